"""Data of a wrong length: filled to what the whole stack needs, or to the nearest length that joins again."""

import math
from collections.abc import Iterator

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.facts import Facts
from faltung.diagnosis.lengths import Resized
from faltung.diagnosis.resize import Resize, Resizes


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield longer data, and data of the nearest lengths."""
    doubt = costs.LOOKS_SWAPPED * facts.lengths.look_swapped
    needed, rank = facts.lengths.needed, len(facts.shape)
    if needed:
        words = " and ".join(f"{each.new} {each.name} or more, x has {each.old}" for each in needed)
        sentence = f"the model needs {words}: {facts.lengths.story}"
        growth = max(each.new / max(each.old, 1) for each in needed)
        cost = costs.LONGER_DATA + costs.TWICE_THE_DATA * math.log2(growth) + doubt
        yield Candidate(cost, "too short", sentence, _resize(needed, rank))
    for joined in facts.lengths.joined:
        sentence = f"{facts.misfit.message}: sizes that are multiples of {joined.unit} fit together again"
        cost = costs.NEAREST_LENGTH + costs.NEAREST_SHORTER * joined.is_shorter + doubt
        yield Candidate(cost, "length", sentence, _resize(joined.axes, rank))


def _resize(axes: tuple[Resized, ...], rank: int) -> Resize | Resizes:
    each = tuple(Resize(rank, axis.axis, axis.old, axis.new) for axis in axes)
    return each[0] if len(each) == 1 else Resizes(each)
