"""Calls until the time is up."""

import time
from collections.abc import Iterator
from random import Random

from faltung.fuzz.case import Case
from faltung.fuzz.draw import draw
from faltung.fuzz.judge import judge
from faltung.fuzz.shrink import shrink


def complaints(random: Random, seconds: float) -> Iterator[tuple[str, Case]]:
    """Yield what is wrong with a call, and the smallest such call."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        case = draw(random)
        complaint = judge(case)
        if complaint is not None:
            least = shrink(case, complaint)
            yield judge(least) or complaint, least
