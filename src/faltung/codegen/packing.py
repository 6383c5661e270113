"""Packing: the learned kernel laid out in the order in which a tile reads it, once a call, padded with zeros."""

from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Value
from faltung.plan.kernels import PACKED_STEPS, RunsKernel, TapsKernel


def emit_runs_packing(e: Emitter, kernel: RunsKernel) -> None:
    """pack(call, panel): one panel of `vectors * lanes` output channels, [tap, ic, oc], of the workspace."""
    width = kernel.vectors * e.lanes
    panels = -(-kernel.group_out // width)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        g, panel = e.divide(index, panels)
        first = e.add(e.mul(g, kernel.group_out), e.mul(panel, width))
        wanted = e.minimum(e.sub(kernel.group_out, e.mul(panel, width)), width)
        packed = e.buffer(call.workspace, panel=kernel.reduction * width, k=width, oc=1).moved(panel=index)
        source = _source(e, kernel, call.kernel).moved(oc=first)
        masks = [e.mask(e.sub(wanted, lane)) for lane in range(0, width, e.lanes)]
        with e.loop("tap", kernel.num_taps) as tap, e.loop("ic", kernel.group_in) as ic:
            row, out = source.moved(tap=tap, ic=ic), packed.moved(k=e.add(e.mul(tap, kernel.group_in), ic))
            if not kernel.kernel_is_oiw:
                for n, mask in enumerate(masks):
                    e.store(e.load_masked(row.at(oc=n * e.lanes), mask), out.at(oc=n * e.lanes))
            else:
                with e.loop("oc", wanted) as oc:
                    e.store_scalar(e.load_scalar(row.at(oc=oc)), out.at(oc=oc))
                with e.loop("oc_rest", width, wanted) as oc:
                    e.store_scalar(e.zero(), out.at(oc=oc))


def emit_taps_packing(e: Emitter, kernel: TapsKernel) -> None:
    """pack(call, index): PACKED_STEPS steps of the reduction for all output channels of a group, [block, step, oc]."""
    rows, group_out = kernel.rows, kernel.group_out
    whole, rest = divmod(group_out, rows)
    chunks = -(-kernel.reduction // PACKED_STEPS)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        g, chunk = e.divide(index, chunks)
        first = e.mul(chunk, PACKED_STEPS)
        packed = e.buffer(call.workspace, block=kernel.reduction * rows, step=rows, oc=1)
        packed = packed.moved(block=e.mul(g, whole + (rest > 0)))
        source = _source(e, kernel, call.kernel).moved(oc=e.mul(g, group_out))
        with e.loop("step", e.minimum(e.add(first, PACKED_STEPS), kernel.reduction), first) as step:
            ic, tap = e.divide(step, kernel.num_taps)
            row, out = source.moved(ic=ic, tap=tap), packed.moved(step=step)
            with e.loop("block", whole) as block:
                _copy(e, row.moved(oc=e.mul(block, rows)), out.moved(block=block), rows, kernel.kernel_is_oiw)
            if rest:
                _copy(e, row.moved(oc=whole * rows), out.moved(block=whole), rest, kernel.kernel_is_oiw)


def _source(e: Emitter, kernel: RunsKernel | TapsKernel, pointer: Value) -> Buffer:
    """The kernel as the caller holds it."""
    if kernel.kernel_is_oiw:
        return e.buffer(pointer, tap=1, ic=kernel.num_taps, oc=kernel.reduction)
    return e.buffer(pointer, tap=kernel.group_in * kernel.out_channels, ic=kernel.out_channels, oc=1)


def _copy(e: Emitter, source: Buffer, target: Buffer, count: int, is_strided: bool) -> None:
    """`count` neighbouring output channels."""
    if not is_strided:
        e.copy_numbers(source.pointer, target.pointer, count)
        return
    with e.loop("oc", count) as oc:
        e.store_scalar(e.load_scalar(source.at(oc=oc)), target.at(oc=oc))
