"""Direct summation, channels last: each output is a list of contiguous runs of the input."""
