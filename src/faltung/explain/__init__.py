"""What a convolution does: one layer in words and numbers, a whole model as a table."""

import sys
from types import ModuleType
from typing import Any

from faltung.explain.explanation import Explanation, explain

__all__ = ["Explanation", "explain"]


class _CallableModule(ModuleType):
    """The package and the function have one name: ft.explain can be called whichever of them it is."""

    def __call__(self, layer: Any, input_shape: Any = None) -> Explanation:
        return explain(layer, input_shape)


sys.modules[__name__].__class__ = _CallableModule
