"""What algorithms took: the measurements that prices are fitted to, and how they are made.

Every convolution of the sweep and of the core suite, in both layouts, and its kernel gradient, by each algorithm that
could serve, in turns on one thread, in processor time.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from faltung.algorithms.algorithm import Algorithm, AnyPlan
from faltung.algorithms.choose import FORWARD, KERNEL_GRADIENT, offers
from faltung.bench.suite import LAYOUTS, in_layout, load
from faltung.machine.target import Target
from faltung.operators.executor import executor_of
from faltung.plan.problem import Problem
from faltung.runtime import buffers
from faltung.spec import ConvSpec

FUNCTIONS: dict[str, tuple[Algorithm, ...]] = {"forward": FORWARD, "kernel_gradient": KERNEL_GRADIENT}
SUITES = ("sweep", "core")
ROUNDS = 5
"""Turns of all algorithms; the median of their ratios counts."""


@dataclass(frozen=True, slots=True)
class Question:
    """A convolution in a layout, and what of it is computed: forward or kernel_gradient."""

    text: str
    layout: str
    function: str

    @property
    def spec(self) -> ConvSpec:
        """The convolution in its layout; a gradient has neither bias nor activation."""
        spec = in_layout(ConvSpec.from_text(self.text), self.layout)
        return spec if self.function == "forward" else spec.replace(bias=False, activation=None)

    def plans(self, target: Target) -> list[AnyPlan]:
        """The plans of all algorithms that could serve, the cheapest by the cost model first."""
        return offers(Problem.of(self.spec), target, FUNCTIONS[self.function])


@dataclass(frozen=True, slots=True)
class Timing:
    """What each algorithm took, in microseconds of one thread."""

    question: Question
    microseconds: dict[str, float]


def questions() -> list[Question]:
    """What is measured: small sizes of all kinds and layers of real networks, in both layouts, forward and gradient."""
    texts = dict.fromkeys(text for suite in SUITES for text in load(suite).values())  # sweeps meet in some sizes
    return [Question(text, layout, f) for text in texts for layout in LAYOUTS for f in FUNCTIONS]


def measure(asked: Iterable[Question], target: Target, seconds: float) -> Iterator[Timing]:
    """Time each question for about so many seconds; the number of threads should be 1."""
    for question in asked:
        yield Timing(question, _microseconds(question, target, seconds))


def _microseconds(question: Question, target: Target, seconds: float) -> dict[str, float]:
    calls = {plan.algorithm: _call(question, plan) for plan in question.plans(target)}
    counts = {}
    for name, call in calls.items():
        call()  # compiles
        counts[name] = max(1, int(seconds / len(calls) / ROUNDS / max(_seconds_of(call, 1), 1e-7)))
    turns = [{name: _seconds_of(call, counts[name]) for name, call in calls.items()} for _ in range(ROUNDS)]
    # the machine's speed changes: compare within a turn, with the turn's quickest
    quickest = median(min(turn.values()) for turn in turns)
    took = {name: 1e6 * quickest * median(turn[name] / min(turn.values()) for turn in turns) for name in calls}
    return {name: round(us, 2) for name, us in took.items()}  # as they are kept, so that a fit can be repeated


def _call(question: Question, plan: AnyPlan) -> Callable[[], object]:
    spec, rng = question.spec, np.random.default_rng(0)

    def array(shape: tuple[int, ...]) -> Any:
        return rng.standard_normal(shape).astype(spec.dtype)

    if question.function == "forward":
        y = buffers.empty(spec.output_shape, np.dtype(spec.dtype), spec.output_bytes)  # aligned for streaming stores
        bias = array((spec.out_channels,)) if spec.bias else None
        return partial(executor_of(plan), array(spec.input_shape), array(spec.kernel_shape), bias, y)
    dw = np.empty(spec.kernel_shape, spec.dtype)
    return partial(executor_of(plan), array(spec.input_shape), array(spec.output_shape), None, dw)


def _seconds_of(call: Callable[[], object], count: int) -> float:
    """Processor seconds of one call."""
    start = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - start) / count


def write(path: Path, measurements: list[Timing]) -> None:
    """Keep measurements, one to a line."""
    lines = [json.dumps([*asdict(m.question).values(), m.microseconds]) for m in measurements]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def read(path: Path) -> list[Timing]:
    """Measurements that were kept."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return [Timing(Question(*question), microseconds) for *question, microseconds in rows]
