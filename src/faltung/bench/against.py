"""Has it become slower? Two runs compared by what does not depend on how busy the machine was.

Times of two runs differ for many reasons, ratios within a run for few: how long we take is told in times of each peer
and of the machine's bound. The change of a case is the median change of these ratios.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from faltung.bench.peers import OURS
from faltung.bench.result import Case, Comparison
from faltung.errors import FaltungError

SLOWER = 1.2
"""A case whose ratios grew by more than this has become slower."""
STEADY_US = 100.0
"""Ratios of cases that take both sides longer than this should repeat,"""
STEADY = 1.1
"""up to this factor."""


@dataclass(frozen=True, slots=True)
class SpeedChange:
    """How one of ours changed on one case: the factor is above 1 where it became slower, infinite where it is gone."""

    case: str
    peer: str
    factor: float
    reason: str = ""


def changes(new: Comparison, old: Comparison) -> list[SpeedChange]:
    """Return the change of each case that ours had times for in the old run, the worst first."""
    check_alike(new, old)
    found = []
    for name, before in old.cases.items():
        now = new.cases.get(name)
        for peer in OURS:
            if now is None or peer not in before.measured or peer not in now.results:
                continue
            result = now.results[peer]
            if result.is_measured:
                factors = [after / earlier for earlier, after in _ratios(before, now, peer)]
                found.append(SpeedChange(name, peer, median(factors)))
            else:
                found.append(SpeedChange(name, peer, float("inf"), f"{result.status}: {result.reason}"))
    return sorted(found, key=lambda change: -change.factor)


def repeats(new: Comparison, old: Comparison) -> list[tuple[str, str, float]]:
    """Return how much each ratio to a peer differs from the old run, as a factor above 1: case, peer, factor.

    Only where both sides take longer than STEADY_US; the largest difference comes first.
    """
    found = []
    for name in new.cases.keys() & old.cases.keys():
        for peer, ratio in new.ratios(name).items():
            earlier = old.ratio(name, peer) if peer in old.participants else None
            results = new.cases[name].results
            sides = (results[peer], results[str(new.counterpart(peer))])
            if earlier is not None and min(side.microseconds for side in sides) > STEADY_US:
                found.append((name, peer, max(ratio / earlier, earlier / ratio)))
    return sorted(found, key=lambda item: -item[2])


def check_alike(new: Comparison, old: Comparison) -> None:
    """Raise if the runs did not do the same."""
    for what in ("mode", "layout", "threads"):
        one, other = getattr(new, what), getattr(old, what)
        if one != other:
            raise FaltungError(f"bench: runs are compared with the same {what}; got {one}, and {other} in the old run.")


def _ratios(before: Case, now: Case, peer: str) -> Iterator[tuple[float, float]]:
    """The time of ours over that of the bound and of each peer that both runs measured: in the old run and now."""
    yield 1 / before.share_of_bound(peer), 1 / now.share_of_bound(peer)
    for other in before.measured:
        if other not in OURS and other in now.measured:
            yield before.ratio(peer, other), now.ratio(peer, other)
