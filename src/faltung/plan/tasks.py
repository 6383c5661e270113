"""How finely work is cut for the threads: the same for every thread count, so that bits do not depend on it."""

SMALLEST_PARALLEL_CYCLES = 40_000.0
"""Below this one thread is quicker than two: handing over costs about a microsecond, waking a sleeper far more."""
PIECE_CYCLES = 20_000.0
"""A piece lasts some microseconds at least, so that claiming it costs nothing."""
BYTES_PER_CYCLE = 16.0
"""What one core moves to and from its second cache."""
MOST_PIECES = 128
EVEN_PIECES = 24
"""So many that one more or less for a thread does not matter."""


def piece_count(cycles: float, groups: int) -> int:
    """Pieces worth having for each group: many enough to balance, few enough to last."""
    if cycles < SMALLEST_PARALLEL_CYCLES:
        return 1
    return max(1, min(int(cycles / PIECE_CYCLES) + 1, MOST_PIECES) // groups)
