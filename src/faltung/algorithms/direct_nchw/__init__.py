"""Direct summation, channels first: vectors lie along output positions."""
