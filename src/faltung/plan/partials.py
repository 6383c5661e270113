"""Partial results: a kernel gradient is summed over chunks of positions, each into memory of its own."""

MOST_TASKS = 16
"""Chunks: each has a partial result, which takes memory and is added at the end."""
MOST_PARTIAL_BYTES = 32 * 1024 * 1024
"""Bytes of all partial results."""
