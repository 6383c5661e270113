"""Networks as users of PyTorch write them, channels first, a file for each family."""
