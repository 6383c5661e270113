"""Direct summation, channels first with many channels: stretches are transposed to channels last and back."""
