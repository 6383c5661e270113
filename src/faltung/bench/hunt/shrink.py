"""The simplest convolution that is still nearly as slow, compared with the others."""

from collections.abc import Callable, Iterator

from faltung.bench.hunt.draw import is_realistic
from faltung.bench.hunt.measure import Finding
from faltung.errors import FaltungError
from faltung.spec import ConvSpec

SLACK = 1.15
"""A simpler convolution is taken if its ratio is at most so many times that of the one before."""
MOST_STEPS = 40
LEAST_SECONDS = 20e-6
"""Below, calls count more than what they compute."""


def shrink(finding: Finding, again: Callable[[ConvSpec], Finding]) -> Finding:
    """Return what `again` says of the simplest spec that shows the finding; each step must keep its ratio."""
    steps, candidates = 0, _simpler(finding.spec)
    limit = finding.worst * SLACK
    while steps < MOST_STEPS and (spec := next(candidates, None)) is not None:
        steps += 1
        try:
            found = again(spec)
        except FaltungError:
            continue
        if found.worst <= limit and found.seconds >= LEAST_SECONDS:
            finding, candidates = found, _simpler(found.spec)
    return finding


def _simpler(spec: ConvSpec) -> Iterator[ConvSpec]:
    """Specs with one thing less, the boldest first."""
    ones, zeros = (1,) * spec.rank, ((0, 0),) * spec.rank
    changes: list[dict[str, object]] = [
        {"activation": None},
        {"bias": False},
        {"dtype": "float32"},
        {"padding": zeros},
        {"dilation": ones},
        {"stride": ones},
        {"batch": 1},
        {"batch": max(1, spec.num_samples // 2)},
        {"in_size": tuple(max(1, size // 2) for size in spec.in_size)},
    ]
    if spec.groups == 1:
        changes += [{name: max(1, getattr(spec, name) // 2)} for name in ("in_channels", "out_channels")]
    for change in changes:
        try:
            simpler = spec.replace(**change)
        except FaltungError:
            continue
        if simpler != spec and is_realistic(simpler):
            yield simpler
