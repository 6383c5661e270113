"""Packing: the learned kernel laid out in the order in which a tile reads it, once a call, padded with zeros."""

from typing import Protocol

from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int
from faltung.codegen.transpose import transpose_line
from faltung.plan.kernel import Kernel, PanelKernel


class KernelOffset(Protocol):
    """What the parameters of an algorithm say about where the learned kernel begins."""

    @property
    def w_offset(self) -> Int: ...


def emit_panel_packing(e: Emitter, kernel: PanelKernel, kind: type[KernelOffset]) -> None:
    """pack(call, panel): one panel of `vectors * lanes` output channels, [tap, ic, oc], of the workspace.

    `kind` is the class of the algorithm's parameters.
    """
    width = kernel.vectors * e.lanes
    panels = -(-kernel.group_out // width)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        g, panel = e.divide(index, panels)
        wanted = e.minimum(e.sub(kernel.group_out, e.mul(panel, width)), width)
        packed = e.buffer(call.workspace, panel=kernel.reduction * width, k=width, oc=1).moved(panel=index)
        source = kernel_source(e, kernel, call, call.read(kind).w_offset).moved(g=g, oc=e.mul(panel, width))
        if _can_transpose(e, kernel):
            with e.either(e.compare(wanted, "==", width), likely=True) as (whole, part):
                with whole:
                    _transpose_panel(e, kernel, source, packed, width)
                with part:
                    _copy_panel(e, kernel, source, packed, width, wanted)
        else:
            _copy_panel(e, kernel, source, packed, width, wanted)


def _can_transpose(e: Emitter, kernel: PanelKernel) -> bool:
    """Do input channels fill vectors, side by side and with a single tap, as in PyTorch's 1 x 1 layers?"""
    are_side_by_side = kernel.w.inner == 1 and kernel.w.outer > 1 and kernel.num_taps == 1
    return are_side_by_side and kernel.group_in % e.lanes == 0


def _transpose_panel(e: Emitter, kernel: PanelKernel, source: Buffer, packed: Buffer, width: int) -> None:
    size = kernel.group_in
    rows = e.buffer(source.pointer, c=kernel.w.outer, w=1)
    for lane in range(0, width, e.lanes):
        to = e.buffer(packed.at(oc=lane), w=width, c=1)
        transpose_line(
            e, rows.moved(c=lane), to, count=e.lanes, first=0, length=size, limit=size, size=size, padding_mode=None
        )


def _copy_panel(e: Emitter, kernel: PanelKernel, source: Buffer, packed: Buffer, width: int, wanted: Int) -> None:
    masks = [e.mask(e.sub(wanted, lane)) for lane in range(0, width, e.lanes)]
    with e.loop("tap", kernel.num_taps) as tap, e.loop("ic", kernel.group_in) as ic:
        row, out = (
            source.moved(ic=ic, **tap_indices(e, kernel, tap)),
            packed.moved(k=e.add(e.mul(tap, kernel.group_in), ic)),
        )
        if kernel.w.outer == 1:
            for n, mask in enumerate(masks):
                e.store(e.load_masked(row.at(oc=n * e.lanes), mask), out.at(oc=n * e.lanes))
        else:
            with e.loop("oc", wanted) as oc:
                e.store_scalar(e.load_scalar(row.at(oc=oc)), out.at(oc=oc))
            with e.loop("oc_rest", width, wanted) as oc:
                e.store_scalar(e.zero(), out.at(oc=oc))


def kernel_source(e: Emitter, kernel: Kernel, call: Call, w_offset: Int) -> Buffer:
    """The kernel as the caller holds it, through the problem's view."""
    view = kernel.w
    taps = dict(zip(("kd", "kh", "kw")[-len(view.taps) :], view.taps, strict=True))
    source = e.buffer(call.kernel, i=1, g=view.group, ic=view.inner, oc=view.outer, **taps)
    return source.moved(i=w_offset)


def tap_indices(e: Emitter, kernel: Kernel, tap: Int) -> dict[str, Int]:
    """The number of a tap taken apart."""
    indices: dict[str, Int] = {}
    for axis, size in reversed(list(zip(kernel.axes, kernel.kernel_size, strict=True))):
        tap, indices[f"k{axis}"] = e.divide(tap, size)
    return indices
