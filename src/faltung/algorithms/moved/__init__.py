"""Channels first by way of channels last: the input is moved, convolved there, and the result is moved back."""
