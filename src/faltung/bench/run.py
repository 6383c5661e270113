"""Measure one convolution: first whether it is right, then how fast, against what this machine can do.

The machine's speed changes from minute to minute, so its bound is measured in turns with the convolution, and a share
is the median of the turns' ratios. The memory bound of a convolution is the time of streaming as many bytes through
memory that is as warm as the convolution finds its own.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import faltung as ft
from faltung.bench.arrays import random_arrays, source_bytes
from faltung.bench.check import check
from faltung.bench.machine import Peak, Stream, memory
from faltung.bench.suite import in_layout
from faltung.errors import ShapeError
from faltung.machine.memory import CACHE_LINE
from faltung.plan.plan import Plan
from faltung.runtime import buffers, launch
from faltung.spec.options import options_of

Array = NDArray[Any]

LEAST_TURNS, MOST_TURNS = 3, 15
CASE_SHARE = 0.6
"""The part of the time that goes to the convolution; the rest goes to the machine."""
BATCH_SECONDS = 100e-6
"""Calls are timed in batches of this length at least: reading the clock takes time, too."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One convolution on warm arrays, called as users call it.

    Shares are those of the quickest that this machine can be: peak arithmetic, streaming the bytes, and the slower of
    the two (the roofline), which `bound` names. `cached_load_ms` is what a new process pays instead of `compile_ms`.
    `call_overhead_us` is the warm time of the same function, with the same options, for a single multiplication.
    `processor_share` is the part of the time that the threads ran at all: below 1, others used the machine.
    """

    spec: ft.ConvSpec
    algorithm: str
    microseconds: float  # median
    fastest: float  # microseconds
    gflops: float
    share_of_peak: float
    share_of_bandwidth: float
    share_of_roofline: float
    bound: str
    compile_ms: float
    cached_load_ms: float
    call_overhead_us: float
    checked: int  # outputs compared with the reference
    processor_share: float


def measure(text: str, *, layout: str | None = None, seconds: float = 0.5) -> Measurement:
    """Check and measure the convolution that a spec text describes, for about so many seconds.

    Arguments:
        text: a spec text.
        layout: "nwc" for channels last, "ncw" for channels first; default: what the text says.
        seconds: for timing; checking and compiling come on top.

    Raises:
        CodegenError: if the result is wrong; then nothing is timed.
    """
    spec = in_layout(ft.ConvSpec.from_text(text), layout)
    convolution = ft.compile(spec)
    if convolution.plan is None:
        raise ShapeError(f"{spec.name}: a measurement needs outputs; got the output shape {spec.output_shape}.")
    convolve = public_function(spec)
    stream = Stream(bytes_read(spec), spec.output_bytes)
    source = memory(max(stream.read_bytes, source_bytes(spec)))
    x, kernel, bias = random_arrays(spec, source)
    checked = check(convolve, x, kernel, bias, spec=spec)
    turns, processor_share = _turns(spec, lambda: convolve(x, kernel, bias), stream, source, seconds)
    compile_ms, cached_load_ms = _compile_times(convolution)

    times = [median(turn.case) for turn in turns]
    of_peak = median(turn.peak / taken for turn, taken in zip(turns, times, strict=True))
    of_bandwidth = median(turn.stream / taken for turn, taken in zip(turns, times, strict=True))
    of_roofline = median(max(turn.peak, turn.stream) / taken for turn, taken in zip(turns, times, strict=True))
    everything = [taken for turn in turns for taken in turn.case]
    return Measurement(
        spec=spec,
        algorithm=convolution.algorithm,
        microseconds=1e6 * median(everything),
        fastest=1e6 * min(everything),
        gflops=spec.flops / median(everything) / 1e9,
        share_of_peak=of_peak,
        share_of_bandwidth=of_bandwidth,
        share_of_roofline=of_roofline,
        bound="arithmetic" if of_peak > of_bandwidth else "memory",
        compile_ms=compile_ms,
        cached_load_ms=cached_load_ms,
        call_overhead_us=_call_overhead(spec),
        checked=checked,
        processor_share=processor_share,
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    """Seconds of each call, of its arithmetic at peak, of streaming its bytes."""

    case: list[float]
    peak: float
    stream: float


def _turns(
    spec: ft.ConvSpec, call: Callable[[], Array], stream: Stream, source: NDArray[np.uint8], seconds: float
) -> tuple[list[_Turn], float]:
    """Time the call, the peak and the stream in turns; say what part of the processor we got."""
    peak = Peak(spec.dtype)
    written = max(stream.written_bytes, buffers.SMALLEST_RECYCLED_BYTES)

    def target() -> NDArray[np.uint8]:
        """Recycled memory, as the result of the call; given back at once, so that both write to the same."""
        return buffers.empty((written,), np.dtype(np.uint8), written)

    stream.choose(source, target(), seconds / 10)
    one = seconds_of(call, 1)
    if one < seconds:
        one = min(one, seconds_of(call, 1))
    for_case = CASE_SHARE * seconds
    count = min(max(int(for_case / max(5 * one, 0.01)), LEAST_TURNS), MOST_TURNS)
    for_machine = (seconds - for_case) / 2 / count
    batch = max(int(BATCH_SECONDS / one), 1)
    calls = max(int(for_case / count / (one * batch)), 1)
    turns = []
    for _ in range(count):
        stream_seconds = stream.seconds(source, target(), for_machine)
        peak_seconds = spec.flops / peak.gflops(for_machine) / 1e9
        if one < for_machine:
            call()  # the stream's memory is warm now, not the call's
        case = [seconds_of(call, batch) for _ in range(calls)]
        turns.append(_Turn(case, peak_seconds, stream_seconds))
    return turns, peak.processor_share


def seconds_of(call: Callable[[], object], count: int) -> float:
    """Return the seconds of one of `count` calls."""
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def public_function(spec: ft.ConvSpec) -> Callable[..., Array]:
    """Return the function of faltung that computes the spec, with the spec's options."""
    return partial(getattr(ft, spec.name), **options_of(spec)._asdict())


def bytes_read(spec: ft.ConvSpec) -> int:
    """Return the bytes that a convolution must read: the kernel, and the input but for lines that strides skip."""
    item = np.dtype(spec.dtype).itemsize
    share = 1.0
    for axis in range(spec.rank):
        touched = _touched(spec, axis)
        step = spec.in_channels * item if spec.is_channels_last else item
        if axis == spec.rank - 1 and step < CACHE_LINE:
            lines = np.unique(np.flatnonzero(touched) * step // CACHE_LINE).size
            share *= min(lines * CACHE_LINE / (touched.size * step), 1.0)
        else:
            share *= touched.mean()
    return round(spec.input_bytes * share) + spec.kernel_bytes


def _touched(spec: ft.ConvSpec, axis: int) -> NDArray[np.bool_]:
    """Which inputs along an axis lie in some window, at a tap."""
    low, high = spec.padding[axis]
    stride, reach = spec.stride[axis], (spec.out_size[axis] - 1) * spec.stride[axis] + 1
    touched = np.zeros(low + spec.in_size[axis] + high, bool)
    for tap in range(spec.kernel_size[axis]):
        first = tap * spec.dilation[axis]
        touched[first : first + reach : stride] = True
    return touched[low : low + spec.in_size[axis]]


def _compile_times(convolution: ft.Convolution) -> tuple[float, float]:
    """Milliseconds to compile the kernel afresh, and to load it from disk, in a cache of its own; none for an FFT."""
    if not isinstance(convolution.plan, Plan):
        return 0.0, 0.0
    kernel = convolution.plan.kernel
    before = os.environ.get("FALTUNG_CACHE_DIR")
    with tempfile.TemporaryDirectory() as directory:
        os.environ["FALTUNG_CACHE_DIR"] = directory
        try:
            compiled = launch.build(kernel)
            loaded = min((launch.build(kernel) for _ in range(3)), key=lambda program: program.seconds)
        finally:
            if before is None:
                del os.environ["FALTUNG_CACHE_DIR"]
            else:
                os.environ["FALTUNG_CACHE_DIR"] = before
    return 1e3 * compiled.seconds, 1e3 * loaded.seconds


def _call_overhead(spec: ft.ConvSpec) -> float:
    """Microseconds of a warm call for one sample, one channel, one tap and one output."""
    one = spec.replace(
        **{"batch": 1, "in_size": (1,) * spec.rank, "in_channels": 1, "out_channels": 1, "kernel_size": 1},
        **{"stride": 1, "dilation": 1, "padding": 0, "groups": 1, "padding_mode": "zeros"},
    )
    convolve = public_function(one)
    x, kernel, bias = (np.ones(shape, one.dtype) for shape in (one.input_shape, one.kernel_shape, (1,)))
    arguments = (x, kernel, bias) if one.bias else (x, kernel)
    return 1e6 * min(seconds_of(lambda: convolve(*arguments), 200) for _ in range(20))
