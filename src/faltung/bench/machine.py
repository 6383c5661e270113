"""What this machine can do, measured: arithmetic and memory streams, on all threads of the present setting.

The loops come from our own generator (codegen/roofline.py) and run on the threads that run convolutions, so that a
convolution and its bound differ in nothing but the work.
"""

import time
from dataclasses import dataclass
from functools import cache
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from faltung.codegen import roofline
from faltung.runtime import compile as compiler
from faltung.runtime import pool, processor
from faltung.runtime.launch import Job

REPETITIONS = 6
SECONDS = 0.02
"""Of each repetition."""
CHOICES = 4
"""Turns in which the ways of a stream are compared."""
STREAM_BYTES = 256 * 1024 * 1024
"""Well past the last-level cache; where that is larger than a quarter of this, four times as large as the cache."""
SMALLEST_SHARED_BYTES = 4096
"""Below, a stream runs on one thread."""
BLOCK_BYTES = 4096
"""A stream that reads and writes changes between the two after about so many bytes."""
LEAST_PROCESSOR_SECONDS = 0.05
"""Linux counts the time of other processors' threads in ticks of up to 10 ms."""
STEPS = 2048
"""Of one task of arithmetic: some microseconds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The processor and its measured limits; a copy counts the bytes it reads and those it writes.

    `processor_share` is the part of the time that the threads ran at all: below 1, others used the machine.
    """

    processor: str
    target: str
    vector_bits: int
    threads: int
    peak_gflops_f32: float
    peak_gflops_f64: float
    read_gbps: float
    write_gbps: float
    copy_gbps: float
    processor_share: float


def measure() -> Machine:
    """Measure the machine, in about a second: the best of REPETITIONS short ones of each kind, taken in turns."""
    size = max(STREAM_BYTES, 4 * processor.cache_sizes().get("L3", 0))
    peaks = {dtype: Peak(dtype) for dtype in ("float32", "float64")}
    streams = {"read": Stream(size, 0), "write": Stream(0, size), "copy": Stream(size // 2, size // 2)}
    source = memory(max(stream.read_bytes + stream.written_bytes for stream in streams.values()))
    for stream in streams.values():
        stream.choose(source, source[stream.read_bytes :])
    rates = dict.fromkeys([*peaks, *streams], 0.0)
    for _ in range(REPETITIONS):
        for name, peak in peaks.items():
            rates[name] = max(rates[name], peak.gflops(SECONDS))
        for name, stream in streams.items():
            seconds = stream.seconds(source, source[stream.read_bytes :], SECONDS)
            rates[name] = max(rates[name], stream.num_bytes / seconds / 1e9)
    host = processor.current()
    return Machine(
        processor=processor.processor_name(),
        target=host.cpu,
        vector_bits=8 * host.vector_bytes,
        threads=pool.get_num_threads(),
        peak_gflops_f32=rates["float32"],
        peak_gflops_f64=rates["float64"],
        read_gbps=rates["read"],
        write_gbps=rates["write"],
        copy_gbps=rates["copy"],
        processor_share=min(peak.processor_share for peak in peaks.values()),
    )


class Peak:
    """Fused multiply-adds on registers, on all threads."""

    def __init__(self, dtype: str) -> None:
        host = processor.current()
        chains = roofline.num_chains(host.num_vector_registers)
        self._task_flops = 2 * STEPS * roofline.STEPS_UNROLLED * chains * host.lanes(dtype)
        self._job = Job(_functions(dtype)["multiply_add"], (STEPS,))
        # sum * 1/2 + 1 stays near 2
        self._numbers = np.repeat(np.array([0.5, 1.0], dtype), host.lanes(dtype))
        self._pieces = 8 * pool.get_num_threads()
        self._processor_seconds = self._wanted_seconds = 0.0

    def gflops(self, seconds: float) -> float:
        """Measure for about so many seconds."""
        taken = self._run(self._pieces)  # this wakes the workers, too
        self._pieces = max(round(self._pieces * seconds / taken), pool.get_num_threads())
        before = time.process_time()
        taken = self._run(self._pieces)
        self._processor_seconds += time.process_time() - before
        self._wanted_seconds += taken * pool.get_num_threads()
        return self._pieces * self._task_flops / taken / 1e9

    @property
    def processor_share(self) -> float:
        """The part of all measurements that the threads ran at all; 1 where they were too short to tell."""
        is_known = self._wanted_seconds >= LEAST_PROCESSOR_SECONDS
        return min(self._processor_seconds / self._wanted_seconds, 1.0) if is_known else 1.0

    def _run(self, tasks: int) -> float:
        start = time.perf_counter()
        self._job.run(tasks, self._numbers.ctypes.data, 0)
        return time.perf_counter() - start


class Stream:
    """Passes over memory that read so many bytes and write so many others, on all threads.

    It is the memory bound of a convolution that moves as many: measured on the same memory, it runs from the same
    level of cache. Each thread keeps to its part, which its own cache may hold.
    """

    def __init__(self, bytes_read: int, bytes_written: int) -> None:
        unit = roofline.UNIT_VECTORS * processor.current().vector_bytes
        self.num_bytes = bytes_read + bytes_written
        parts = pool.get_num_threads() if self.num_bytes >= SMALLEST_SHARED_BYTES else 1
        smaller = min(size for size in (bytes_read, bytes_written) if size)
        blocks = max(smaller // (parts * BLOCK_BYTES), 1)
        units = [ceil(size / (parts * blocks * unit)) for size in (bytes_read, bytes_written)]
        self.read_bytes, self.written_bytes = (parts * blocks * count * unit for count in units)
        """What a pass really reads and writes: whole units, so slightly more."""
        self._parts = parts
        functions = _functions("float32")
        jobs = [Job(functions[name], (parts, blocks, *units)) for name in ("stream", "stream_past_cache")]
        self._ways = [(job, is_alone) for job in jobs for is_alone in ((False, True) if parts > 1 else (True,))]
        self._way = self._ways[0]

    def choose(self, x: "Memory", y: "Memory", seconds: float = SECONDS) -> None:
        """Keep to the quickest way on this memory: stores through or around the cache, all threads or one."""
        best = [inf] * len(self._ways)
        for _ in range(CHOICES):
            for number, way in enumerate(self._ways):
                self._way = way
                best[number] = min(best[number], self.seconds(x, y, seconds / CHOICES))
        self._way = self._ways[best.index(min(best))]

    def seconds(self, x: "Memory", y: "Memory", seconds: float) -> float:
        """The time of one pass, from passes that take about so many seconds; one more pass comes first."""
        passes = max(round(seconds / self._run(x, y, 1)), 1)
        share = self.num_bytes / (self.read_bytes + self.written_bytes)
        return self._run(x, y, passes) / passes * share

    def _run(self, x: "Memory", y: "Memory", passes: int) -> float:
        job, is_alone = self._way
        start = time.perf_counter()
        job.run(passes * self._parts, x.ctypes.data, y.ctypes.data, is_alone=is_alone)
        return time.perf_counter() - start


Memory = NDArray[np.uint8]


def memory(num_bytes: int) -> Memory:
    """Bytes aligned to a page and touched, so that they are really there."""
    alignment = 4096
    block = np.ones(num_bytes + alignment, np.uint8)
    start = -block.ctypes.data % alignment
    return block[start : start + num_bytes]


@cache
def _functions(dtype: str) -> dict[str, int]:
    """The addresses of the loops for one element type."""
    host = processor.current()
    registers = host.num_vector_registers
    program = compiler.build(
        ("roofline", registers),
        lambda e: roofline.emit_roofline(e, registers),
        roofline.FUNCTIONS,
        dtype=dtype,
        target=host,
    )
    return program.addresses
