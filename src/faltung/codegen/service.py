"""A whole call without Python: `serve(record, x, kernel, bias, y, missing)` finds threads and workspace itself.

For hosts that call by a function pointer, from whichever of their threads. What a call needs beyond its arrays stands
in a record, made once and never freed. The workspace of the last call waits at a place that all records share; whoever
takes it leaves null there, so that a second caller at the same time gets memory of its own.
"""

from faltung.codegen.emitter import POINTER, VOID, Emitter, Int, Value
from faltung.machine.memory import CACHE_LINE

# fields of a record
POOL_PLACE, WORKSPACE_PLACE = 0, 1
SHARED_BYTES, SCRATCH_BYTES = 2, 3  # the most that any of the jobs wants; the second for each thread
RESULT_BYTES, IS_ZEROED, NEEDS_ALIGNMENT = 4, 5, 6
NUM_JOBS, JOBS = 7, 8
"""From JOBS on: the addresses of the jobs, which run one after the other."""

# a workspace begins with its size; what follows lies at a cache line
HEAD_BYTES = CACHE_LINE
LEAST_BYTES = 1 << 20
"""Bytes of a new workspace at least, so that a network's layers share one."""


def emit_serve(e: Emitter, num_threads: int) -> None:
    """serve(record, x, kernel, bias, y, missing): compute y, or store at `missing` that there is no memory for it.

    y is zeroed first, or computed elsewhere and copied, where the record says.
    """
    with e.function("serve", "*record", "*x", "*kernel", "*bias", "*y", "*missing") as arguments:
        record, x, kernel, bias, y, missing = arguments
        fields = e.fields(record)
        pool = e.load_pointer(fields.pointer_at(POOL_PLACE), "pool")
        threads = e.variable(1, "threads")
        with e.when(e.is_there(pool)):
            threads.set(e.fields(pool).field(num_threads))
        result_bytes = fields.field(RESULT_BYTES)
        is_misplaced = e.is_not(e.is_aligned(y, HEAD_BYTES))
        is_elsewhere = e.all_of(is_misplaced, e.compare(fields.field(NEEDS_ALIGNMENT), "!=", 0))
        before = e.choose(is_elsewhere, _round_up_to_cache_line(e, result_bytes), 0)
        needed = e.add(before, fields.field(SHARED_BYTES), e.mul(threads.get(), fields.field(SCRATCH_BYTES)))
        block = _take(e, fields.pointer_at(WORKSPACE_PLACE), needed)
        is_missing = e.all_of(e.is_not(e.is_there(block)), e.compare(needed, ">", 0))
        with e.when(is_missing):
            e.store_scalar(1, missing)
        with e.when(e.is_not(is_missing)):
            memory = e.byte_buffer(block)
            result = e.choose_pointer(is_elsewhere, memory.at(i=HEAD_BYTES), y)
            with e.when(e.compare(fields.field(IS_ZEROED), "!=", 0)):
                e.call_external("bzero", [result, result_bytes], VOID)
            workspace = memory.at(i=e.add(before, HEAD_BYTES))
            with e.loop("job", fields.field(NUM_JOBS)) as index:
                job = fields.pointer_at(e.add(index, JOBS))
                e.call("launch_pointers", x, kernel, bias, result, workspace, job, pool)
            with e.when(is_elsewhere):
                e.call_external("memcpy", [y, result, result_bytes], POINTER)
            left = e.exchange(fields.pointer_at(WORKSPACE_PLACE), block)
            e.call_external("free", [left], VOID)


def _round_up_to_cache_line(e: Emitter, num_bytes: Value) -> Int:
    lines, _ = e.divide(e.add(num_bytes, HEAD_BYTES - 1), HEAD_BYTES)
    return e.mul(lines, HEAD_BYTES)


def _take(e: Emitter, place: Value, needed: Int) -> Value:
    """The workspace that waits at `place`, or a new one where there is none, or too small a one; null for no memory."""
    block = e.pointer_variable(e.exchange(place, e.null()), "block")
    size = e.variable(0, "size")
    with e.when(e.is_there(block.get())):
        size.set(e.load_i64(block.get()))
    with e.when(e.compare(size.get(), "<", needed)):
        e.call_external("free", [block.get()], VOID)
        enough = e.maximum(_round_up_to_cache_line(e, needed), LEAST_BYTES)
        new = e.call_external("aligned_alloc", [HEAD_BYTES, e.add(enough, HEAD_BYTES)], POINTER)
        with e.when(e.is_there(new)):
            e.store_scalar(enough, new)
        block.set(new)
    return block.get()
