"""Direct summation, channels last: each output is a list of contiguous runs of the input times rows of the kernel.

    y[p, oc] = bias[oc] + sum over (kd, kh) of sum over j of x[start(p) + offset(kd, kh) + j] * w[kd, kh, j, oc]

A run is kw * ic numbers long when w is dense, ic otherwise. Output positions p count through (n, d, h, w) without a
gap, so tiles may straddle lines. Tiles whose windows lie inside one line of the input read it in place ("inline");
all others look up, tap by tap, where each of their rows reads ("gathered"): in the input, in its reflection or copy,
or in a line of zeros. Both sum in the same order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from faltung.algorithms.direct_nhwc.kernel import DirectNhwcKernel, DirectNhwcParameters
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value, Variable
from faltung.codegen.epilogue import Epilogue
from faltung.codegen.packing import emit_panel_packing
from faltung.codegen.padding import padded_index
from faltung.codegen.panel import Panel, each_panel
from faltung.codegen.tile import RegisterTile
from faltung.machine.memory import CACHE_LINE


def emit(e: Emitter, kernel: DirectNhwcKernel) -> None:
    """pack(call, panel), and compute(call, index, scratch): the output channels of a group at `task_positions`."""
    emit_panel_packing(e, kernel, DirectNhwcParameters)
    epilogue = Epilogue(e, kernel)
    width = kernel.vectors * e.lanes
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(DirectNhwcParameters)
        rest_of_index, oc_part = e.divide(index, p.num_oc_parts)
        g, task = e.divide(rest_of_index, p.num_blocks)
        first = e.mul(task, p.task_positions)
        last = e.minimum(e.add(first, p.task_positions), p.num_positions)
        walk = _PanelWalk(e, kernel, call, p, epilogue, g)
        # a block of positions stays in cache while the panels of output channels pass over it
        with e.loop("block", last, first, p.block_positions) as block:
            stop = e.minimum(e.add(block, p.block_positions), last)
            each_panel(e, p, oc_part, kernel.group_out, width, partial(walk.emit, block, stop))
        if kernel.has_streaming_stores:
            e.fence()


@dataclass
class _Place:
    """An output position taken apart: one variable for each of n and the spatial axes."""

    axes: dict[str, Variable]

    def __getitem__(self, axis: str) -> Value:
        return self.axes[axis].get()

    def indices(self, prefix: str) -> dict[str, Value]:
        """{"n": …, "ow": …} for addresses; the prefix goes before spatial axes."""
        return {axis if axis == "n" else prefix + axis: self[axis] for axis in self.axes}

    def advance(self, e: Emitter, step: int, sizes: dict[str, Value]) -> None:
        """Move `step` positions on, carrying from w over h and d to n."""
        inner = self.axes["w"]
        inner.increase(step)
        with e.loop_while("carry") as carry:
            carry.leave_if(e.compare(inner.get(), "<", sizes["w"]))
            inner.increase(e.sub(0, sizes["w"]))
            self._carry_into(e, [axis for axis in ("h", "d", "n") if axis in self.axes], sizes)

    def _carry_into(self, e: Emitter, axes: list[str], sizes: dict[str, Value]) -> None:
        axis, *outer = axes
        self.axes[axis].increase(1)
        if outer:
            with e.when(e.compare(self.axes[axis].get(), "==", sizes[axis])):
                self.axes[axis].set(0)
                self._carry_into(e, outer, sizes)


@dataclass
class _PanelWalk:
    """The walk of one panel over a block of positions."""

    e: Emitter
    kernel: DirectNhwcKernel
    call: Call
    p: DirectNhwcParameters[Value]
    epilogue: Epilogue
    g: Int

    def __post_init__(self) -> None:
        e, k, p = self.e, self.kernel, self.p
        self.out_size = {axis: getattr(p, f"out_{axis}") for axis in k.axes}
        self.in_size = {axis: getattr(p, f"in_{axis}") for axis in k.axes}
        x_strides: dict[str, Int] = {"d": p.x_d, "h": p.x_h, "w": k.in_channels}
        self.x_strides = {axis: x_strides[axis] for axis in k.axes}
        self.low = {axis: getattr(p, f"low_{axis}") for axis in k.axes}
        self.stride = dict(zip(k.axes, k.stride, strict=True))
        self.dilation = dict(zip(k.axes, k.dilation, strict=True))
        self.taps = dict(zip(k.axes, k.kernel_size, strict=True))
        self.x = e.buffer(self.call.x, n=p.x_n, ic=1, **self.x_strides).moved(ic=e.mul(self.g, k.group_in))
        self.zeros = e.zero_elements(k.group_in, "zeros") if k.padding_mode == "zeros" else None
        # with one group and dense taps along w, the taps of a line are one run
        self.is_merged = k.groups == 1 and (k.dilation[-1] == 1 or k.kernel_size[-1] == 1)

    def _sum_run(self, tile: RegisterTile, row_at: Callable[[int], Buffer], length: int, w: Buffer, out: Panel) -> None:
        """Add `length` neighbouring numbers of each row, times as many rows of the kernel."""
        with self.e.loop("j", length) as j:
            tile.accumulate(lambda r: row_at(r).at(j=j), lambda v: out.vector(w, j, v))

    def emit(self, first: Value, stop: Value, panel: Int, channels: int) -> None:
        """Compute `channels` output channels of one panel at positions first … stop - 1."""
        e, k, p = self.e, self.kernel, self.p
        tile = RegisterTile(e, k.rows, -(-channels // e.lanes))
        oc = e.add(e.mul(self.g, k.group_out), e.mul(panel, k.vectors * e.lanes))
        out = Panel(e, k, self.call, panel, oc, channels, self.g)
        bias = [out.bias(v) for v in range(tile.vectors)]
        y_strides = {"od": p.y_d, "oh": p.y_h, "ow": k.y_step}
        y = e.buffer(self.call.y, n=p.y_n, oc=1, **{f"o{axis}": y_strides[f"o{axis}"] for axis in k.axes})
        y = y.moved(oc=e.add(oc, p.y_offset))
        place = self._place_of(first)
        with e.loop("position", stop, first, k.rows) as position:
            tile.start(lambda r, v: bias[v])
            with e.either(self._is_inside(place, position, stop), likely=True) as (inline, gathered):
                with inline:
                    if k.has_prefetch:
                        self._prefetch_next(place, panel)
                    self._inline_tile(tile, place, out)
                    here = y.at(**place.indices("o"))
                    rows = [e.buffer(here, w=k.y_step).at(w=r) for r in range(k.rows)]
                    self.epilogue.store_rows(tile, rows, channels)
                with gathered:
                    places = self._gathered_tile(tile, place, position, stop, out, y)
                    rows = [places.pointer_at(r) for r in range(k.rows)]
                    self.epilogue.store_rows(tile, rows, channels, limit=e.sub(stop, position))
            place.advance(e, k.rows, self.out_size)

    def _place_of(self, position: Value) -> _Place:
        e, rest, axes = self.e, position, {}
        for axis in reversed(self.kernel.axes):
            rest, index = e.divide(rest, self.out_size[axis])
            axes[axis] = e.variable(index, f"o{axis}")
        axes["n"] = e.variable(rest, "n")
        return _Place(axes)

    def _is_inside(self, place: _Place, position: Value, stop: Value) -> Value:
        """Do all rows lie in one line of outputs, and their windows inside the input?"""
        e, k = self.e, self.kernel
        conditions = [
            e.compare(e.add(place["w"], k.rows), "<=", self.out_size["w"]),
            e.compare(e.add(position, k.rows), "<=", stop),
        ]
        if k.padding_mode is not None:
            for axis in k.axes:
                rows = k.rows if axis == "w" else 1
                start = self._window_start(axis, place[axis])
                reach = (rows - 1) * self.stride[axis] + (self.taps[axis] - 1) * self.dilation[axis]
                conditions.append(e.compare(start, ">=", 0))
                conditions.append(e.compare(e.add(start, reach), "<", self.in_size[axis]))
        return e.all_of(*conditions)

    def _window_start(self, axis: str, index: Int) -> Int:
        """Where the window of an output begins along one axis of the input; negative in the padding."""
        return self.e.sub(self.e.mul(index, self.stride[axis]), self.low[axis])

    def _prefetch_next(self, place: _Place, panel: Int) -> None:
        """Ask for what the same tile of the next block reads: a share of it with each panel."""
        e, k, p = self.e, self.kernel, self.p
        starts = {axis: self._window_start(axis, place[axis]) for axis in k.axes}
        row_step = k.stride[-1] * k.in_channels
        x = e.buffer(self.x.at(n=place["n"], **starts), row=row_step, j=1)
        line = CACHE_LINE // e.element_bytes
        panels = -(-k.group_out // (k.vectors * e.lanes))
        share = -(-row_step // (line * panels)) * line
        first = e.mul(panel, share)
        with e.loop("ahead", e.minimum(e.add(first, share), row_step), first, line) as j:
            for r in range(k.rows):
                e.prefetch(x.at(row=e.add(p.block_positions, r), j=j))

    def _inline_tile(self, tile: RegisterTile, place: _Place, out: Panel) -> None:
        e, k = self.e, self.kernel
        starts = {axis: self._window_start(axis, place[axis]) for axis in k.axes}
        window = self.x.moved(n=place["n"], **starts)
        taps = {axis: e.mul(self.dilation[axis], self.x_strides[axis]) for axis in k.axes}
        x = e.buffer(window.pointer, row=k.stride[-1] * k.in_channels, j=1, **{f"k{a}": s for a, s in taps.items()})

        def reduce(indices: dict[str, Int], tap: Int) -> None:
            length = k.group_in * (k.kernel_size[-1] if self.is_merged else 1)
            run = x.moved(**indices)
            self._sum_run(tile, lambda r: run.moved(row=r), length, out.rows_of_tap(tap), out)

        self._for_each_tap(reduce, is_merged=self.is_merged)

    def _for_each_tap(self, body: Callable[[dict[str, Int], Int], None], is_merged: bool) -> None:
        """Run body({"kd": …, "kh": …, "kw": …}, number of the tap) in the order of the kernel's memory."""
        e, k = self.e, self.kernel
        kd = self.taps.get("d", 1)
        kh = self.taps.get("h", 1)
        kw = self.taps["w"]
        with e.loop("kd", kd) as d, e.loop("kh", kh) as h, e.loop("kw", 1 if is_merged else kw) as w:
            tap = e.add(e.mul(e.add(e.mul(d, kh), h), kw), w)
            body(
                {f"k{axis}": index for axis, index in zip(("d", "h", "w"), (d, h, w), strict=True) if axis in k.axes},
                tap,
            )

    def _gathered_tile(
        self, tile: RegisterTile, place: _Place, position: Value, stop: Value, out: Panel, y: Buffer
    ) -> Buffer:
        """Sum a tile row by row; returns where its rows go."""
        e, k = self.e, self.kernel
        sample = e.integers(k.rows, "row_sample")
        start = {axis: e.integers(k.rows, f"row_start_{axis}") for axis in k.axes}
        walk = _Place({axis: e.variable(place[axis], f"walk_{axis}") for axis in place.axes})
        places = e.pointers(k.rows, "row_place")
        with e.loop("r", k.rows) as r:
            e.store_scalar(walk["n"], sample.at(i=r))
            e.store_scalar(y.at(**walk.indices("o")), places.at(i=r))
            for axis in k.axes:
                e.store_scalar(e.i64(self._window_start(axis, walk[axis])), start[axis].at(i=r))
            # rows past the end repeat the last position; they are not stored
            with e.when(e.compare(e.add(position, r, 1), "<", stop)):
                walk.advance(e, 1, self.out_size)
        address = e.pointers(k.rows, "row_address")

        def reduce(indices: dict[str, Int], tap: Int) -> None:
            with e.loop("r", k.rows) as r:
                e.store_scalar(self._tap_address(sample, start, r, indices), address.at(i=r))
            rows = [e.buffer(address.pointer_at(r, f"row_{r}"), j=1) for r in range(k.rows)]
            self._sum_run(tile, lambda r: rows[r], k.group_in, out.rows_of_tap(tap), out)

        self._for_each_tap(reduce, is_merged=False)
        return places

    def _tap_address(self, sample: Buffer, start: dict[str, Buffer], r: Int, indices: dict[str, Int]) -> Value:
        """Where row r reads the channels of one tap."""
        e, k = self.e, self.kernel
        where: dict[str, Int] = {}
        inside: list[Value] = []
        for axis in k.axes:
            index = e.add(start[axis].field(r), e.mul(indices[f"k{axis}"], self.dilation[axis]))
            where[axis] = padded_index(e, index, self.in_size[axis], k.padding_mode)
            inside.append(e.below(index, self.in_size[axis]))
        pointer = self.x.at(n=sample.field(r), **where)
        return pointer if self.zeros is None else e.choose_pointer(e.all_of(*inside), pointer, self.zeros.pointer)
