"""The loops that measure the machine: multiply-adds as fast as they go, and streams through its memory.

Each is a compute(call, index, scratch), so the same launcher and worker threads run them as run a convolution. Their
results go to the scratch, so that nothing of them can be left out.
"""

from dataclasses import dataclass
from typing import Generic

from faltung.codegen.call import Call
from faltung.codegen.emitter import Emitter, Value, Variable
from faltung.plan.parameters import T

FUNCTIONS = ("multiply_add", "stream", "stream_past_cache")
STEPS_UNROLLED = 4
"""Rounds of all sums in one step of the loop, so that counting costs nothing."""
UNIT_VECTORS = 8
"""Vectors that one step of a stream reads or writes."""


@dataclass(frozen=True, slots=True)
class MultiplyAddParameters(Generic[T]):
    """How long the multiply-adds last."""

    num_steps: T


@dataclass(frozen=True, slots=True)
class StreamParameters(Generic[T]):
    """The parts and blocks of two arrays, and the units that a block reads and writes."""

    num_parts: T
    num_blocks: T
    read_units: T
    written_units: T


def num_chains(num_vector_registers: int) -> int:
    """Independent sums: they hide the latency of every pipeline (at most 12 are in flight) and leave registers free."""
    return num_vector_registers * 3 // 4


def emit_roofline(e: Emitter, num_vector_registers: int) -> None:
    """Emit the functions of this file for one element type."""
    _emit_multiply_add(e, num_chains(num_vector_registers))
    _emit_stream(e, "stream", is_streaming=False)
    _emit_stream(e, "stream_past_cache", is_streaming=True)


def _emit_multiply_add(e: Emitter, chains: int) -> None:
    """Each task: num_steps times STEPS_UNROLLED times `chains` of sum = sum * x[0] + x[1], vectors of x."""
    with e.function("multiply_add", "*call", "index", "*scratch") as (pointer, _, scratch):
        call = Call(e, pointer)
        p = call.read(MultiplyAddParameters)
        x = e.buffer(call.x, i=1)
        factor, term = e.load(x.at(i=0), "factor"), e.load(x.at(i=e.lanes), "term")
        sums = _sums(e, chains)
        with e.loop("step", p.num_steps):
            for _ in range(STEPS_UNROLLED):
                for total in sums:
                    total.set(e.fma(total.get(), factor, term))
        _keep(e, sums, scratch)


def _emit_stream(e: Emitter, name: str, is_streaming: bool) -> None:
    """Each task: one part of x and y; in each of its blocks read_units of x, then written_units of y.

    Task num_parts starts again with part 0, so one launch can pass over the same memory many times.
    """
    store = e.store_streaming if is_streaming else e.store
    with e.function(name, "*call", "index", "*scratch") as (pointer, index, scratch):
        call = Call(e, pointer)
        p = call.read(StreamParameters)
        _, part = e.divide(index, p.num_parts)
        unit = UNIT_VECTORS * e.lanes
        x = e.buffer(call.x, block=e.mul(p.read_units, unit), unit=unit, i=1)
        y = e.buffer(call.y, block=e.mul(p.written_units, unit), unit=unit, i=1)
        sums, number = _sums(e, UNIT_VECTORS), e.splat(1.0)
        first = e.mul(part, p.num_blocks)
        with e.loop("block", e.add(first, p.num_blocks), first) as block:
            here, there = x.moved(block=block), y.moved(block=block)
            with e.loop("read", p.read_units) as step:
                for v, total in enumerate(sums):
                    total.set(e.arithmetic(total.get(), "+", e.load(here.at(unit=step, i=v * e.lanes))))
            with e.loop("write", p.written_units) as step:
                for v in range(UNIT_VECTORS):
                    store(number, there.at(unit=step, i=v * e.lanes))
        if is_streaming:
            e.fence()
        _keep(e, sums, scratch)


def _sums(e: Emitter, count: int) -> list[Variable]:
    sums = [e.vector_variable(f"sum_{n}") for n in range(count)]
    for total in sums:
        total.set(e.splat(0.0))
    return sums


def _keep(e: Emitter, sums: list[Variable], scratch: Value) -> None:
    result = sums[0].get()
    for total in sums[1:]:
        result = e.arithmetic(result, "+", total.get())
    e.store(result, scratch)
