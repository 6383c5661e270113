"""Is the cost model right? Every algorithm that could serve a convolution is timed beside the one it chose."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from faltung.algorithms.choose import offers
from faltung.bench.run import BATCH_SECONDS, seconds_of
from faltung.bench.suite import in_layout
from faltung.operators.executor import executor_of
from faltung.plan.problem import Problem
from faltung.runtime import buffers, processor
from faltung.spec import ConvSpec

if TYPE_CHECKING:
    from rich.table import Table

NEAR = 1.1
"""A choice is right that takes so many times as long as the best, or less."""
ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Choice:
    """One convolution: what each algorithm took; the first one is what the cost model chose."""

    case: str
    seconds: dict[str, float]

    @property
    def chosen(self) -> str:
        """The algorithm with the fewest cycles by the model."""
        return next(iter(self.seconds))

    @property
    def has_others(self) -> bool:
        """Was there a choice?"""
        return len(self.seconds) > 1

    @property
    def best(self) -> str:
        """The algorithm that was quickest."""
        return min(self.seconds, key=self.seconds.__getitem__)

    @property
    def factor(self) -> float:
        """How many times as long as the best the chosen one took."""
        return self.seconds[self.chosen] / self.seconds[self.best]


def share_near_best(choices: list[Choice]) -> float:
    """The share of choices within NEAR of the best.

    >>> share_near_best([Choice("a", {"fft": 1.0, "winograd": 2.0}), Choice("b", {"winograd": 2.0, "fft": 1.0})])
    0.5
    """
    return sum(choice.factor <= NEAR for choice in choices) / len(choices)


def measure_choice(name: str, text: str, *, layout: str | None = None, seconds: float = 0.5) -> Choice:
    """Time the algorithms that could serve a spec text in turns, for about so many seconds."""
    spec = in_layout(ConvSpec.from_text(text), layout)
    rng = np.random.default_rng(0)
    shapes = spec.input_shape, spec.kernel_shape, (spec.out_channels,)
    x, kernel, numbers = (rng.standard_normal(shape).astype(spec.dtype) for shape in shapes)
    bias = numbers if spec.bias else None
    y = buffers.empty(spec.output_shape, np.dtype(spec.dtype), spec.output_bytes)  # aligned for writing around caches
    executors = {plan.algorithm: executor_of(plan) for plan in offers(Problem.of(spec), processor.current())}
    calls = {algorithm: partial(executor, x, kernel, bias, y) for algorithm, executor in executors.items()}
    counts = {algorithm: _count(call, seconds / len(calls) / ROUNDS) for algorithm, call in calls.items()}
    taken: dict[str, list[float]] = {algorithm: [] for algorithm in calls}
    for _ in range(ROUNDS):
        for algorithm, call in calls.items():
            taken[algorithm].append(seconds_of(call, counts[algorithm]))
    # the machine's speed changes: compare within a turn, with the turn's quickest
    quickest = [min(turn) for turn in zip(*taken.values(), strict=True)]
    shares = {
        algorithm: median(time / best for time, best in zip(times, quickest, strict=True))
        for algorithm, times in taken.items()
    }
    return Choice(name, {algorithm: share * median(quickest) for algorithm, share in shares.items()})


def _count(call: Callable[[], object], seconds: float) -> int:
    """How many calls fill a turn; the first ones also compile and warm up."""
    call()
    return max(1, int(max(seconds, BATCH_SECONDS) / seconds_of(call, 1)))


def table(choices: list[Choice]) -> "Table":
    """The choices that were not near the best, worst first."""
    from rich.table import Table

    shown = Table("case", "chosen", "µs", "best", "µs", "times as long")
    for choice in sorted(choices, key=lambda choice: -choice.factor):
        if choice.factor > NEAR:
            chosen, best = choice.seconds[choice.chosen], choice.seconds[choice.best]
            numbers = f"{1e6 * chosen:.1f}", choice.best, f"{1e6 * best:.1f}", f"{choice.factor:.2f}"
            shown.add_row(choice.case, choice.chosen, *numbers)
    return shown
