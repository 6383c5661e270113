"""Layer normalisation: each contiguous row by its own mean and variance."""
