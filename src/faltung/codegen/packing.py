"""Packing: the learned kernel laid out in the order in which a tile reads it, once a call, padded with zeros."""

from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int
from faltung.codegen.transpose import turn
from faltung.plan.kernels import PACKED_STEPS, GroupsKernel, Kernel, RunsKernel, TapsKernel, TurnedKernel

PanelKernel = RunsKernel | TurnedKernel | GroupsKernel


def emit_runs_packing(e: Emitter, kernel: PanelKernel) -> None:
    """pack(call, panel): one panel of `vectors * lanes` output channels, [tap, ic, oc], of the workspace."""
    width = kernel.vectors * e.lanes
    panels = -(-kernel.group_out // width)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        g, panel = e.divide(index, panels)
        wanted = e.minimum(e.sub(kernel.group_out, e.mul(panel, width)), width)
        packed = e.buffer(call.workspace, panel=kernel.reduction * width, k=width, oc=1).moved(panel=index)
        source = _source(e, kernel, call).moved(g=g, oc=e.mul(panel, width))
        if _can_turn(e, kernel):
            with e.either(e.compare(wanted, "==", width), likely=True) as (whole, part):
                with whole:
                    _turn_panel(e, kernel, source, packed, width)
                with part:
                    _copy_panel(e, kernel, source, packed, width, wanted)
        else:
            _copy_panel(e, kernel, source, packed, width, wanted)


def _can_turn(e: Emitter, kernel: PanelKernel) -> bool:
    """Do input channels fill vectors, side by side and with a single tap, as in PyTorch's 1 x 1 layers?"""
    are_side_by_side = kernel.w.inner == 1 and kernel.w.outer > 1 and kernel.num_taps == 1
    return are_side_by_side and kernel.group_in % e.lanes == 0


def _turn_panel(e: Emitter, kernel: PanelKernel, source: Buffer, packed: Buffer, width: int) -> None:
    size = kernel.group_in
    rows = e.buffer(source.pointer, c=kernel.w.outer, w=1)
    for lane in range(0, width, e.lanes):
        to = e.buffer(packed.at(oc=lane), w=width, c=1)
        turn(e, rows.moved(c=lane), to, count=e.lanes, first=0, length=size, limit=size, size=size, padding_mode=None)


def _copy_panel(e: Emitter, kernel: PanelKernel, source: Buffer, packed: Buffer, width: int, wanted: Int) -> None:
    masks = [e.mask(e.sub(wanted, lane)) for lane in range(0, width, e.lanes)]
    with e.loop("tap", kernel.num_taps) as tap, e.loop("ic", kernel.group_in) as ic:
        row, out = (
            source.moved(ic=ic, **_taps(e, kernel, tap)),
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


def emit_taps_packing(e: Emitter, kernel: TapsKernel) -> None:
    """pack(call, index): PACKED_STEPS steps of the reduction for all output channels, [group, block, step, oc]."""
    rows, group_out = kernel.rows, kernel.group_out
    whole, rest = divmod(group_out, rows)
    chunks = -(-kernel.reduction // PACKED_STEPS)
    with e.function("pack", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        part, chunk = e.divide(index, chunks)
        first, first_group = e.mul(chunk, PACKED_STEPS), e.mul(part, kernel.groups_per_pack)
        packed = e.buffer(call.workspace, block=kernel.block_pitch, step=rows, oc=1)
        source = _source(e, kernel, call)
        last_group = e.minimum(e.add(first_group, kernel.groups_per_pack), kernel.groups)
        last = e.minimum(e.add(first, PACKED_STEPS), kernel.reduction)
        with e.loop("g", last_group, first_group) as g, e.loop("step", last, first) as step:
            ic, tap = e.divide(step, kernel.num_taps)
            row = source.moved(g=g, ic=ic, **_taps(e, kernel, tap))
            out = packed.moved(block=e.mul(g, whole + (rest > 0)), step=step)
            with e.loop("block", whole) as block:
                _copy(e, row.moved(oc=e.mul(block, rows)), out.moved(block=block), rows, kernel.w.outer)
            if rest:
                _copy(e, row.moved(oc=whole * rows), out.moved(block=whole), rest, kernel.w.outer)


def _source(e: Emitter, kernel: Kernel, call: Call) -> Buffer:
    """The kernel as the caller holds it, through the problem's view."""
    view = kernel.w
    taps = dict(zip(("kd", "kh", "kw")[-len(view.taps) :], view.taps, strict=True))
    source = e.buffer(call.kernel, i=1, g=view.group, ic=view.inner, oc=view.outer, **taps)
    return source.moved(i=call.parameter(e, "w_offset", kernel.PARAMETERS))


def _taps(e: Emitter, kernel: Kernel, tap: Int) -> dict[str, Int]:
    """The number of a tap taken apart."""
    indices: dict[str, Int] = {}
    for axis, size in reversed(list(zip(kernel.axes, kernel.kernel_size, strict=True))):
        tap, indices[f"k{axis}"] = e.divide(tap, size)
    return indices


def _copy(e: Emitter, source: Buffer, target: Buffer, count: int, step: int) -> None:
    """`count` output channels, `step` elements apart in the source, neighbours in the target."""
    if step == 1:
        e.copy_numbers(source.pointer, target.pointer, count)
        return
    with e.loop("oc", count) as oc:
        e.store_scalar(e.load_scalar(source.at(oc=oc)), target.at(oc=oc))
