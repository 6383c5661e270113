"""What might mend a refusal: pure functions from the facts to candidates, a file for each kind of fault."""

from collections.abc import Callable, Iterator

from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.candidates import (
    axes,
    channels,
    colours,
    conflicts,
    declared,
    features,
    flattened,
    groups,
    kernel,
    layout,
    longer,
    rank,
    short,
)
from faltung.diagnosis.facts import Facts

Maker = Callable[[Facts], Iterator[Candidate]]

OF_THE_DATA: tuple[Maker, ...] = (axes.candidates, declared.candidates)
OF_THE_LAYER: tuple[Maker, ...] = (
    *(flattened.candidates, rank.of_kernel, groups.candidates, conflicts.candidates),
    *(channels.candidates, layout.candidates, kernel.candidates),
    *(rank.candidates, channels.of_norm, features.candidates),
)
"""What changes a layer's arguments; nobody changes those of an ONNX file."""
OF_LENGTHS: tuple[Maker, ...] = (short.reflected, short.candidates, longer.candidates)
LAST: tuple[Maker, ...] = (colours.candidates,)


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield every candidate, in a fixed order: of two that cost the same, the first is ranked first."""
    of_the_layer = () if facts.layer.host == "onnx" else OF_THE_LAYER
    for make in (*OF_THE_DATA, *of_the_layer, *OF_LENGTHS, *LAST):
        yield from make(facts)
