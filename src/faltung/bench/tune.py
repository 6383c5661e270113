"""`faltung tune`: measure what algorithms take on this processor, fit the prices to it, keep them beside the cache."""

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from faltung.bench import measurements
from faltung.bench.fit import fit, share_near_best
from faltung.bench.measurements import Question, Timing
from faltung.errors import FaltungError
from faltung.machine import tables
from faltung.machine.cost import CostModel, prices_of
from faltung.machine.target import Target
from faltung.runtime import cache, pool, processor

if TYPE_CHECKING:
    from rich.table import Table

Steps = Callable[[list[Question], str], Iterable[Question]]
"""Passes over the questions, and shows how far it has come."""


@dataclass(frozen=True)
class Tuned:
    """The fitted prices, the measurements they suit, and the share of choices near the best, before and now."""

    costs: CostModel
    measured: list[Timing]
    before: float
    now: float

    @property
    def num_choices(self) -> int:
        """Measurements of which there were several algorithms to choose from."""
        return sum(len(timing.microseconds) > 1 for timing in self.measured)


def tune(target: Target, steps: Steps, *, seconds: float, asked: list[Question] | None = None) -> Tuned:
    """Fit the prices to this processor, beginning with those of any."""
    asked = measurements.questions() if asked is None else asked
    begun = replace(target, costs=CostModel(family=processor.family(), origin=_origin(target)))
    threads = pool.get_num_threads()
    try:
        pool.set_num_threads(1)
        measured = list(measurements.measure(steps(asked, "Measuring algorithms"), begun, seconds))
    finally:
        pool.set_num_threads(threads)
    costs = fit(measured, begun)
    before, now = (share_near_best(measured, replace(target, costs=c)) for c in (target.costs, costs))
    return Tuned(costs, measured, before, now)


def own_table(target: Target) -> Path:
    """Where this processor's own prices are kept; an error if there is no place for them."""
    folder = cache.directory()
    if folder is None:
        raise FaltungError("tune: prices are kept in the cache's folder, which is off. Set FALTUNG_CACHE_DIR to one.")
    return folder / tables.file_name(processor.family(), target.vector_bytes)


def table(costs: CostModel) -> "Table":
    """The prices, beside those of any processor."""
    from rich.table import Table

    shown = Table("price", "here", "any processor", title=f"{costs.family}: {costs.origin}")
    for (name, price), usual in zip(prices_of(costs).items(), prices_of(CostModel()).values(), strict=True):
        shown.add_row(name, f"{price:.3g}", f"{usual:.3g}")
    return shown


def _origin(target: Target) -> str:
    bits, today = 8 * target.vector_bytes, datetime.date.today().isoformat()
    return f"{processor.processor_name()}, {bits} bit, {today}, faltung tune"
