"""The loops that measure the machine: multiply-adds as fast as they go, and streams through its memory.

Each is a piece(call, index, scratch), so the same launcher and worker threads run them as run a convolution. Their
results go to the scratch, so that nothing of them can be left out.
"""

from faltung.codegen.call import Call, Parameters
from faltung.codegen.emitter import Emitter, Value, Variable

FUNCTIONS = ("multiply_add", "stream", "stream_around_cache")
STEPS_UNROLLED = 4
UNIT_VECTORS = 8
"""Vectors that one step of a stream reads or writes."""

MULTIPLY_ADD_PARAMETERS = ("num_steps",)
STREAM_PARAMETERS = ("num_parts", "num_blocks", "read_units", "written_units")


def num_chains(num_vector_registers: int) -> int:
    """Independent sums: they hide the latency of every pipeline (at most 12 are in flight) and leave registers free."""
    return num_vector_registers * 3 // 4


def emit_roofline(e: Emitter, num_vector_registers: int) -> None:
    """Emit the functions of this file for one element type."""
    _emit_multiply_add(e, num_chains(num_vector_registers))
    _emit_stream(e, "stream", is_around_cache=False)
    _emit_stream(e, "stream_around_cache", is_around_cache=True)


def _emit_multiply_add(e: Emitter, chains: int) -> None:
    """Each piece: num_steps times STEPS_UNROLLED times `chains` of sum = sum * x[0] + x[1], vectors of x."""
    with e.function("multiply_add", "*call", "index", "*scratch") as (pointer, _, scratch):
        call = Call(e, pointer)
        p = Parameters(e, call.parameters, MULTIPLY_ADD_PARAMETERS)
        x = e.buffer(call.x, i=1)
        factor, term = e.load(x.at(i=0), "factor"), e.load(x.at(i=e.lanes), "term")
        sums = _sums(e, chains)
        with e.loop("step", p.num_steps):
            for _ in range(STEPS_UNROLLED):
                for total in sums:
                    total.set(e.fma(total.get(), factor, term))
        _keep(e, sums, scratch)


def _emit_stream(e: Emitter, name: str, is_around_cache: bool) -> None:
    """Each piece: one part of x and y; in each of its blocks read_units of x, then written_units of y.

    Piece num_parts starts again with part 0, so one launch can pass over the same memory many times.
    """
    store = e.store_around_cache if is_around_cache else e.store
    with e.function(name, "*call", "index", "*scratch") as (pointer, index, scratch):
        call = Call(e, pointer)
        p = Parameters(e, call.parameters, STREAM_PARAMETERS)
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
        if is_around_cache:
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
