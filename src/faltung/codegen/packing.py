"""Packing: the learned kernel laid out in the order in which a tile reads it, once a call, padded with zeros."""

from faltung.codegen.call import Call
from faltung.codegen.emitter import Emitter, Int, Value
from faltung.plan.kernels import RunsKernel, TapsKernel


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
        with e.loop("tap", kernel.num_taps) as tap, e.loop("ic", kernel.group_in) as ic:
            row = packed.moved(k=e.add(e.mul(tap, kernel.group_in), ic))
            _copy_channels(e, kernel, call.kernel, row.pointer, width, tap, ic, first, wanted)


def emit_taps_packing(e: Emitter, kernel: TapsKernel) -> None:
    """pack(call, block): one block of `rows` output channels, [ic, tap, oc], of the workspace."""
    blocks = -(-kernel.group_out // kernel.rows)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        g, block = e.divide(index, blocks)
        first = e.add(e.mul(g, kernel.group_out), e.mul(block, kernel.rows))
        wanted = e.minimum(e.sub(kernel.group_out, e.mul(block, kernel.rows)), kernel.rows)
        packed = e.buffer(call.workspace, block=kernel.reduction * kernel.rows, k=kernel.rows, oc=1).moved(block=index)
        with e.loop("tap", kernel.num_taps) as tap, e.loop("ic", kernel.group_in) as ic:
            row = packed.moved(k=e.add(e.mul(ic, kernel.num_taps), tap))
            _copy_channels(e, kernel, call.kernel, row.pointer, kernel.rows, tap, ic, first, wanted)


def _copy_channels(
    e: Emitter,
    kernel: RunsKernel | TapsKernel,
    source: Value,
    target: Value,
    width: int,
    tap: Int,
    ic: Int,
    first: Int,
    wanted: Int,
) -> None:
    """Copy `wanted` output channels from `first` on, of one tap and input channel; zeros up to `width`."""
    if not kernel.kernel_is_oiw:
        w = e.buffer(source, tap=kernel.group_in * kernel.out_channels, ic=kernel.out_channels, oc=1)
        out = e.buffer(target, oc=1)
        for lane in range(0, width, e.lanes):
            value = e.load_masked(w.at(tap=tap, ic=ic, oc=e.add(first, lane)), e.sub(wanted, lane))
            e.store_masked(value, out.at(oc=lane), min(e.lanes, width - lane))
        return
    w = e.buffer(source, tap=1, ic=kernel.num_taps, oc=kernel.reduction)
    out = e.buffer(target, oc=1)
    with e.loop("oc", wanted) as oc:
        value = e.load_scalar(w.at(tap=tap, ic=ic, oc=e.add(first, oc)))
        e.store_scalar(value, out.at(oc=oc))
    with e.loop("oc_rest", width, wanted) as oc:
        e.store_scalar(e.zero(), out.at(oc=oc))
