"""Direct summation of small groups, channels last: each lane has the group of its own output channel."""
