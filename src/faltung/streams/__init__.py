"""Networks run chunk by chunk: `Stream`, and what it knows about a graph along time."""
