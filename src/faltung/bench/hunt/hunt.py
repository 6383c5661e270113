"""Hunting: random convolutions until the time is up, then the worst of them, each as simple as it gets."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import exp, log
from random import Random

import faltung as ft
from faltung.bench.hunt.calls import FORMS, Torch
from faltung.bench.hunt.draw import draw
from faltung.bench.hunt.measure import Finding, measure
from faltung.bench.hunt.shrink import shrink
from faltung.bench.suite import in_layout
from faltung.errors import CodegenError, FaltungError, UnsupportedConvError
from faltung.spec import ConvSpec

NUM_WORST = 10
SHOWN_BELOW = 0.95
DRAWING_SHARE = 0.6
"""Of the time; the rest is for shrinking what was found."""


@dataclass
class Bag:
    """What a hunt brings home."""

    findings: list[Finding] = field(default_factory=list)
    shrunk: list[Finding] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def mean(self) -> float:
        """The geometric mean of all ratios."""
        return exp(sum(log(finding.ratio) for finding in self.findings) / max(len(self.findings), 1))

    def share_below(self, limit: float) -> float:
        """The part of the convolutions whose ratio is below a limit."""
        return sum(finding.ratio < limit for finding in self.findings) / max(len(self.findings), 1)


def choose_forms(names: str | None) -> list[str]:
    """The forms of PyTorch that were asked for; all by default."""
    asked = list(FORMS) if names in (None, "all") else [name.strip() for name in str(names).split(",") if name.strip()]
    unknown = [name for name in asked if name not in FORMS]
    if unknown or not asked:
        raise FaltungError(f"bench: a hunt's peers are {' and '.join(FORMS)}; got {', '.join(unknown)}.")
    return asked


def hunt(
    modes: Sequence[str],
    *,
    seconds: float,
    seed: int,
    peers: str | None = None,
    layout: str | None = None,
    given: Sequence[tuple[str, ConvSpec]] = (),
    tell: Callable[[str], None] = lambda step: None,
) -> Bag:
    """Measure random convolutions, the modes in turns, for so long; or the given ones, each in its mode."""
    forms = choose_forms(peers)
    torch, bag, random = Torch(), Bag(), Random(seed)
    ft.set_num_threads(1)

    def look(mode: str, spec: ConvSpec) -> None:
        tell(f"{mode} {spec.to_text()}")
        try:
            bag.findings.append(measure(spec, mode, torch, forms))
        except UnsupportedConvError:  # refused with a reason; there is nothing to compare
            return
        except CodegenError as error:
            bag.wrong.append(str(error))

    for mode, spec in given:
        look(mode, spec)
    end = time.monotonic() + seconds
    drawing_end = end - (1 - DRAWING_SHARE) * seconds
    turn = 0
    while not given and time.monotonic() < drawing_end:
        mode = modes[turn % len(modes)]
        look(mode, in_layout(draw(random, mode), layout))
        turn += 1
    bag.findings.sort(key=lambda finding: finding.worst)
    for finding in [] if given else bag.findings[:NUM_WORST]:
        if finding.worst > SHOWN_BELOW or time.monotonic() > end:
            break
        tell(f"shrinking {finding.spec.to_text()}")
        again = partial(measure, mode=finding.mode, torch=torch, forms=forms)
        bag.shrunk.append(shrink(finding, again))
    return bag
