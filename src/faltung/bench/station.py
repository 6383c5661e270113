"""What a worker does for a peer: prepare a case, check it, and time it when it is asked to."""

import ctypes
import gc
import importlib
import pickle
import resource
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from faltung.bench import arrays
from faltung.bench.case import read_case
from faltung.bench.check import Expected, Wrong, flat_batch, missing
from faltung.bench.peers.peer import Call, Peer, Work, refuse
from faltung.bench.run import BATCH_SECONDS, seconds_of
from faltung.bench.suite import in_layout
from faltung.runtime import processor
from faltung.spec import ConvSpec

TOLERANCE = 8.0
"""How many times the bound of direct summation a result may be off: what fast algorithms (Winograd, FFT) may cost."""
WARM_UP_SHARE = 0.1
"""The part of a turn that is not counted; at least one call, unless that alone fills the turn."""
COLD_CALLS, MOST_COLD_SECONDS = 3, 1.0
LEAST_EVICTED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Start:
    """A case prepared, called once and found right.

    `memory_bytes` is what the first call added to resident memory at its peak, `peak_bytes` that peak as a whole.
    """

    prepare_seconds: float
    first_seconds: float
    memory_bytes: int
    peak_bytes: int
    error: float
    compared: int


@dataclass(frozen=True, slots=True)
class Burst:
    """One turn: the seconds of each call, and for a call on average its page faults and processor time."""

    calls: list[float]
    page_faults: float
    processor_seconds: float


class Station:
    """One peer and the case it is at."""

    def __init__(self, place: str, threads: int) -> None:
        module, _, name = place.partition(":")
        self.peer: Peer = getattr(importlib.import_module(module), name)(threads)
        self._call: Call | None = None

    def describe(self) -> tuple[str, str, dict[str, str]]:
        """Return what the peer is, the layout of its users' data, and the versions of its packages."""
        return (type(self.peer).__doc__ or "").split("\n")[0], self.peer.layout, versions_of(self.peer.packages)

    def prepare(self, text: str, layout: str | None, expected_file: str) -> Start:
        """Prepare a case, call it for the first time, and compare all its results with what was expected."""
        self.finish()
        expected: list[list[Expected]] = pickle.loads(Path(expected_file).read_bytes())
        asked = read_case(text)
        if asked.is_transposed and not self.peer.transposes:
            raise refuse("compared on convolutions that are not transposed")
        work = self._work(arrays.canonical(asked.spec), layout, asked.is_transposed, is_training=len(expected) > 1)
        start = time.perf_counter()
        call = self.peer.prepare(work)
        prepare_seconds = time.perf_counter() - start
        gc.collect()
        reset_peak()
        before = resident_bytes()
        first_seconds, result = timed(call)
        peak = peak_bytes()
        error = self._checked(result if work.is_training else (result,), work, expected)
        self._call = call
        compared = sum(part.size for parts in expected for part in parts)
        return Start(prepare_seconds, first_seconds, max(peak - before, 0), peak, error, compared)

    def burst(self, seconds: float) -> Burst:
        """Time calls for about so many seconds."""
        assert self._call is not None
        return burst(self._call, seconds)

    def cold(self) -> float:
        """Return the median seconds of calls after the caches were filled with something else."""
        assert self._call is not None
        other = np.zeros(max(LEAST_EVICTED_BYTES, 2 * processor.cache_sizes().get("L3", 0)), np.uint8)
        seconds: list[float] = []
        while len(seconds) < COLD_CALLS and sum(seconds) < MOST_COLD_SECONDS:
            other += 1
            seconds.append(seconds_of(self._call, 1))
        return median(seconds)

    def finish(self) -> None:
        """Forget the case and give its memory back, so that the next one does not find it."""
        if self._call is not None:
            self._call = None
            gc.collect()
            self.peer.release()
        if sys.platform == "linux":
            getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)(0)  # musl has none

    def _work(self, spec: ConvSpec, layout: str | None, is_transposed: bool, *, is_training: bool) -> Work:
        """The arrays of a canonical spec, in the peer's layouts."""
        x, kernel, bias = arrays.random_arrays(spec)
        if is_transposed:
            x = arrays.random_output_gradient(spec)
        dy = arrays.random_output_gradient(spec) if is_training else None
        asked = in_layout(spec, layout or self.peer.layout).replace(kernel_layout=self.peer.kernel_layout)
        moved_dy = None if dy is None else arrays.moved_input(dy, asked)
        moved_kernel = arrays.moved_kernel(kernel, asked)
        return Work(asked, arrays.moved_input(x, asked), moved_kernel, bias, moved_dy, is_transposed)

    def _checked(self, results: tuple[Any, ...], work: Work, expected: list[list[Expected]]) -> float:
        """The largest error over its limit, of y, dx and dkernel."""
        spec = work.spec
        names, shapes = ("y", "dx", "dkernel"), (spec.output_shape, spec.input_shape, spec.kernel_shape)
        if work.is_transposed:
            shapes = (spec.input_shape,) * 3
        found = self.peer.arrays(results, spec)
        worst = 0.0
        for name, shape, array, parts in zip(names, shapes, found, expected, strict=False):
            if array.size != np.prod(shape) or array.dtype != spec.dtype:
                raise Wrong(f"{name} is {array.dtype} {array.shape} instead of {spec.dtype} {shape}")
            array = array.reshape(shape)
            if name == "dkernel":
                array = arrays.canonical_kernel(array, spec)
            else:
                array = flat_batch(arrays.channels_last(array, spec), spec)
            if np.isnan(array).any():
                raise Wrong(f"{name}: {missing(array)}")
            for part in parts:
                error = part.error(array)
                worst = max(worst, error)
                if not error <= TOLERANCE:
                    raise Wrong(f"{name}: {part.describe(array, TOLERANCE)}")
        return worst


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those distributions that are installed; some packages have several names."""
    versions = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def burst(call: Call, seconds: float) -> Burst:
    """Time calls for about so many seconds, after a part of them that warms up."""
    faults, processor_time = _page_faults(), time.process_time()
    one = seconds_of(call, 1)
    if one > seconds:
        return Burst([one], _page_faults() - faults, time.process_time() - processor_time)
    one = min(one, seconds_of(call, max(int(WARM_UP_SHARE * seconds / one), 1)))
    batch = max(int(BATCH_SECONDS / one), 1)
    calls: list[float] = []
    faults, processor_time, start = _page_faults(), time.process_time(), time.perf_counter()
    while not calls or time.perf_counter() - start < seconds:
        calls.append(seconds_of(call, batch))
    count = batch * len(calls)
    return Burst(calls, (_page_faults() - faults) / count, (time.process_time() - processor_time) / count)


def timed(call: Call) -> tuple[float, Any]:
    """Return the seconds and the result of one call."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident_bytes() -> int:
    """Return what of this process is in memory now; 0 where the system does not tell."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """Return the most that was in memory since reset_peak, or since the start where it has no effect."""
    return _status("VmHWM") or 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reset_peak() -> None:
    """Let the peak begin at what is resident now, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _status(key: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)
