"""Softmax and its logarithm along one axis."""
