"""Packing for the direct algorithm for channels first: output channels in blocks of a tile's rows, step by step."""

from faltung.algorithms.direct_nchw.kernel import PACKED_STEPS, DirectNchwKernel, DirectNchwParameters
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter
from faltung.codegen.packing import kernel_source, tap_indices


def emit_block_packing(e: Emitter, kernel: DirectNchwKernel) -> None:
    """pack(call, index): PACKED_STEPS steps of the reduction for all output channels, [group, block, step, oc]."""
    rows, group_out = kernel.rows, kernel.group_out
    whole, rest = divmod(group_out, rows)
    chunks = -(-kernel.reduction // PACKED_STEPS)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        part, chunk = e.divide(index, chunks)
        first, first_group = e.mul(chunk, PACKED_STEPS), e.mul(part, kernel.groups_per_pack)
        packed = e.buffer(call.workspace, block=kernel.block_pitch, step=rows, oc=1)
        source = kernel_source(e, kernel, call, call.read(DirectNchwParameters).w_offset)
        last_group = e.minimum(e.add(first_group, kernel.groups_per_pack), kernel.groups)
        last = e.minimum(e.add(first, PACKED_STEPS), kernel.reduction)
        with e.loop("g", last_group, first_group) as g, e.loop("step", last, first) as step:
            ic, tap = e.divide(step, kernel.num_taps)
            row = source.moved(g=g, ic=ic, **tap_indices(e, kernel, tap))
            out = packed.moved(block=e.mul(g, whole + (rest > 0)), step=step)
            with e.loop("block", whole) as block:
                _copy(e, row.moved(oc=e.mul(block, rows)), out.moved(block=block), rows, kernel.w.outer)
            if rest:
                _copy(e, row.moved(oc=whole * rows), out.moved(block=whole), rest, kernel.w.outer)


def _copy(e: Emitter, source: Buffer, target: Buffer, count: int, step: int) -> None:
    """`count` output channels, `step` elements apart in the source, neighbours in the target."""
    if step == 1:
        e.copy_numbers(source.pointer, target.pointer, count)
        return
    with e.loop("oc", count) as oc:
        e.store_scalar(e.load_scalar(source.at(oc=oc)), target.at(oc=oc))
