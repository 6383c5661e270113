"""Three short programs on real data: each convolves once, draws one picture and says what it did.

`faltung demo --programs` runs them all; `python examples/NAME.py [DIRECTORY]` runs one.
"""

from collections.abc import Callable
from pathlib import Path

from faltung.demo import ecg_filter_bank, moving_average, photo_edges
from faltung.demo.program import DemoResult

PROGRAMS: dict[str, Callable[[Path], DemoResult]] = {
    "ecg_filter_bank": ecg_filter_bank.run,
    "photo_edges": photo_edges.run,
    "moving_average": moving_average.run,
}
