"""Pools, reductions, norms, softmax, resizing and padding as steps."""
