"""The maximum or the mean of each window, channels last."""
