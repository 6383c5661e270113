"""Sizes rounded up: to whole vectors, tiles and cache lines."""

from faltung.machine.memory import CACHE_LINE


def round_up(number: int, step: int) -> int:
    """The least multiple of step that is not below number."""
    return -(-number // step) * step


def round_up_to_cache_line(num_bytes: int) -> int:
    """Rounded up to whole cache lines."""
    return round_up(num_bytes, CACHE_LINE)
