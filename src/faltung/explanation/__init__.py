"""What a convolution does: one layer in words and numbers, a whole model as a table."""

from faltung.explanation.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]
