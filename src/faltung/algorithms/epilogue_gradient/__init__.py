"""The gradient of bias and activation in one pass."""
