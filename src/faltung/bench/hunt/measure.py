"""Ratios of one convolution: checked first, then timed by processor time, on one thread, in turns."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from faltung.bench.check import check
from faltung.bench.hunt.calls import Call, Data, Torch, our_call
from faltung.bench.suite import in_layout
from faltung.errors import CodegenError
from faltung.spec import ConvSpec

TURNS, LEAST_TURNS = 4, 2
SLOW_SECONDS = 20e-3
"""Longer calls take the least turns."""
BURST_SECONDS = 2e-3
"""Calls are timed in bursts of about this length."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One convolution: how long it takes, and how long others take for the same, in units of that."""

    mode: str
    spec: ConvSpec
    seconds: float
    ratio: float
    """Of the better of PyTorch's forms; below 1 we are slower."""
    layout_ratio: float
    """Of ourselves with the other layout."""

    @property
    def worst(self) -> float:
        """What the hunt sorts by: a layout that costs twice what the other does is as bad as being slower."""
        return min(self.ratio, 2 * self.layout_ratio)


def measure(spec: ConvSpec, mode: str, torch: Torch, forms: Sequence[str]) -> Finding:
    """Check and time a convolution.

    Raises:
        CodegenError: where our numbers are wrong; then nothing is timed.
    """
    data = Data.of(spec, mode)
    ours = our_call(data)
    theirs = [torch.call(data, form) for form in forms]
    _check(ours, theirs[0], data, torch)
    turned = in_layout(spec, "ncw" if spec.is_channels_last else "nwc")
    times = _times([ours, our_call(Data.of(turned, mode)), *theirs])
    return Finding(mode, spec, times[0], min(times[2:]) / times[0], times[1] / times[0])


def _check(ours: Call, theirs: Call, data: Data, torch: Torch) -> None:
    """Forward against the reference; gradients against PyTorch, whose sums are as long."""
    if data.mode == "forward":
        from faltung import compile as compile_spec

        check(compile_spec(data.spec), data.x, data.kernel, data.bias, spec=data.spec)
        return
    found, wanted = ours(), torch.arrays(theirs(), data)
    scale = float(np.abs(wanted).max(initial=0)) + float(np.finfo(data.spec.dtype).tiny)
    worst = float(np.abs(found - wanted).max(initial=0)) / scale
    if not worst < 1e4 * np.finfo(data.spec.dtype).eps:
        raise CodegenError(f"{data.mode} of {data.spec.to_text()} is off by {worst:.1e} of its largest number")


def _times(calls: Sequence[Call]) -> list[float]:
    """Processor seconds of each call: the least of some turns."""
    counts, least = [], []
    for call in calls:
        call()
        least.append(_seconds(call, 1))
        counts.append(max(1, round(BURST_SECONDS / max(least[-1], 1e-7))))
    for _ in range(TURNS if max(least) < SLOW_SECONDS else LEAST_TURNS):
        for number, call in enumerate(calls):
            least[number] = min(least[number], _seconds(call, counts[number]))
    return least


def _seconds(call: Call, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        call()
    return (time.process_time() - start) / count
