"""Networks as users of Keras write them, channels last: those of their kind in PyTorch once more."""
