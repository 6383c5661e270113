"""Direct summation of small groups, channels last: each lane with the group of its own output channel.

    y[p, oc] = bias[oc] + sum over taps and i of x[start(p) + tap, group(oc) * I + i] * w[tap, i, oc]

I input and O output channels make a group; O divides the lanes, so a vector of outputs reads whole groups: lanes/O * I
neighbouring inputs, loaded once and spread over the lanes for each i. Depthwise convolution is I = O = 1, where nothing
is spread. The rows of a tile are neighbouring positions of a line: an input is loaded once for all rows that read it,
while the taps that meet it wait in registers. A tile whose windows touch padding looks up where each input lies.
"""

from collections.abc import Callable
from dataclasses import dataclass

from faltung.algorithms.grouped.kernel import GroupedKernel, GroupedParameters
from faltung.codegen.block import Block
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.epilogue import Epilogue
from faltung.codegen.lanes import inputs_of, load_inputs, spread
from faltung.codegen.packing import emit_panel_packing
from faltung.codegen.padding import padded_index
from faltung.codegen.panel import Panel, each_panel
from faltung.codegen.tile import RegisterTile
from faltung.plan.tile import input_reuse

AXES = ("d", "line", "w")


def emit(e: Emitter, kernel: GroupedKernel) -> None:
    """pack(call, panel), and compute(call, index, scratch): a range of output channels at a block of output lines."""
    emit_panel_packing(e, kernel, GroupedParameters)
    epilogue = Epilogue(e, kernel)
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(GroupedParameters)
        number, part = e.divide(index, p.num_oc_parts)
        block = Block.numbered(e, p, number)
        # all panels of a tile before the next tile: inputs are read in the order in which they lie
        with e.loop("line", block.num_lines) as line, e.loop("w", block.width, step=kernel.rows) as w:
            # the last tile of a line begins where it ends with the line
            place = e.add(block.line, line), e.add(block.ow, e.minimum(w, e.sub(block.width, kernel.rows)))

            def emit(panel: Int, channels: int, place: tuple[Int, Int] = place) -> None:
                _PanelTiles(e, kernel, call, p, epilogue, block, panel, channels).emit_tile(*place)

            each_panel(e, p, part, kernel.out_channels, kernel.vectors * e.lanes, emit)
        if kernel.has_streaming_stores:
            e.fence()


@dataclass
class _PanelTiles:
    """The tiles of one panel, which holds whole groups."""

    e: Emitter
    kernel: GroupedKernel
    call: Call
    p: GroupedParameters[Value]
    epilogue: Epilogue
    block: Block
    panel: Int
    channels: int

    def __post_init__(self) -> None:
        e, k, p, block = self.e, self.kernel, self.p, self.block
        oc = e.mul(self.panel, k.vectors * e.lanes)
        self.out = Panel(e, k, self.call, self.panel, oc, self.channels, 0)
        ic, _ = e.divide(e.mul(oc, k.lane_in), k.lane_out)
        self.x = e.buffer(self.call.x, n=p.sizes.x_n, d=p.sizes.x_d, line=p.sizes.x_line, w=k.in_channels, ic=1).moved(
            n=block.n, ic=ic
        )
        y = e.buffer(self.call.y, n=p.sizes.y_n, d=p.sizes.y_d, line=p.sizes.y_line, w=k.y_step, oc=1)
        self.y = y.moved(n=block.n, d=block.od, oc=e.add(oc, p.y_offset))
        self.outputs = [min(e.lanes, self.channels - lane) for lane in range(0, self.channels, e.lanes)]
        is_padded = k.padding_mode == "zeros"
        self.zeros = e.zero_elements(inputs_of(self.channels, k), "zeros") if is_padded else None

    def emit_tile(self, line: Int, ow: Int) -> None:
        """Compute the panel's channels at `rows` positions of an output line, from ow on."""
        e, k = self.e, self.kernel
        bias = [self.out.bias(v) for v in range(len(self.outputs))]
        tile = RegisterTile(e, k.rows, len(self.outputs))
        tile.start(lambda r, v: bias[v])
        window = self._window(line, ow)
        if k.padding_mode is None:
            self._add_inside(tile, window)
        else:
            with e.either(self._is_inside(window), likely=True) as (inside, edge):
                with inside:
                    self._add_inside(tile, window)
                with edge:
                    self._add_at_edge(tile, window)
        if k.has_prefetch:
            self._prefetch_next(window)
        self.epilogue.store_rows(tile, [self.y.at(line=line, w=e.add(ow, r)) for r in range(k.rows)], self.channels)

    def _prefetch_next(self, window: dict[str, Int]) -> None:
        """Ask for what the next line of outputs reads first: short stretches outrun the hardware's foresight."""
        e, k = self.e, self.kernel
        stride, reach = k.along_dhw("stride")[1], (k.along_dhw("kernel_size")[1] - 1) * k.along_dhw("dilation")[1]
        ahead = self.x.moved(**window | {"line": e.add(window["line"], reach + stride)})
        for position in range(k.rows * k.stride[-1]):
            e.prefetch(ahead.at(w=position))

    def _window(self, line: Int, ow: Int) -> dict[str, Int]:
        """Where the window of the tile's first row begins in the input; negative in the padding."""
        e, p = self.e, self.p
        places = zip(
            (self.block.od, line, ow),
            self.kernel.along_dhw("stride"),
            (p.sizes.low_d, p.sizes.low_h, p.sizes.low_w),
            strict=True,
        )
        return dict(zip(AXES, (e.sub(e.mul(index, stride), low) for index, stride, low in places), strict=True))

    def _is_inside(self, window: dict[str, Int]) -> Value:
        """Do the windows of all rows lie inside the input?"""
        e, k = self.e, self.kernel
        conditions = []
        for axis, taps, dilation in zip(AXES[-len(k.axes) :], k.kernel_size, k.dilation, strict=True):
            reach = (taps - 1) * dilation + ((k.rows - 1) * k.stride[-1] if axis == "w" else 0)
            conditions.append(e.compare(window[axis], ">=", 0))
            conditions.append(e.compare(e.add(window[axis], reach), "<", self._size(axis)))
        return e.all_of(*conditions)

    def _size(self, axis: str) -> Int:
        return {"d": self.p.sizes.in_d, "line": self.p.sizes.in_lines, "w": self.p.sizes.in_w}[axis]

    def _add_inside(self, tile: RegisterTile, window: dict[str, Int]) -> None:
        x = self.x.moved(**window)

        def add_line(d: Int, line: Int, tap: Int) -> None:
            here = x.moved(d=d, line=line)
            self._add_taps(tile, tap, lambda position: here.moved(w=position))

        self._for_each_line(add_line)

    def _add_at_edge(self, tile: RegisterTile, window: dict[str, Int]) -> None:
        """Each input where it lies, or what the padding puts in its place."""
        e, mode = self.e, self.kernel.padding_mode

        def index_of(axis: str, step: Int) -> Value:
            return e.i64(e.add(window[axis], step))

        def add_line(d: Int, line: Int, tap: Int) -> None:
            index = {"d": index_of("d", d), "line": index_of("line", line)}
            here = self.x.moved(**{axis: padded_index(e, i, self._size(axis), mode) for axis, i in index.items()})
            exists = e.all_of(*(e.below(i, self._size(axis)) for axis, i in index.items()))
            size = e.choose(exists, self.p.sizes.in_w, 0)  # outside, no input of the line is there

            def input_at(position: Int) -> Buffer:
                w = index_of("w", position)
                place = here.moved(w=padded_index(e, w, self.p.sizes.in_w, mode))
                if self.zeros is None:
                    return place
                return e.buffer(e.choose_pointer(e.below(w, size), place.pointer, self.zeros.pointer), ic=1)

            self._add_taps(tile, tap, input_at)

        self._for_each_line(add_line)

    def _for_each_line(self, body: Callable[[Int, Int, Int], None]) -> None:
        """Run body(d, line, number of its first tap) for each line of taps, d and line counted from the window's."""
        e = self.e
        (kd, kh, kw), (dilation_d, dilation_h, _) = map(self.kernel.along_dhw, ("kernel_size", "dilation"))
        with e.loop("kd", kd) as d, e.loop("kh", kh) as h:
            body(e.mul(d, dilation_d), e.mul(h, dilation_h), e.mul(e.add(e.mul(d, kh), h), kw))

    def _add_taps(self, tile: RegisterTile, tap: Int, input_at: Callable[[Int], Buffer]) -> None:
        """Add the taps of a line, some at a time; input_at(position) is counted from the first input of the window."""
        e, k = self.e, self.kernel
        kw = k.kernel_size[-1]
        whole = kw // k.taps * k.taps
        with e.loop("kw", whole, step=k.taps) as w:
            self._add_column(tile, e.add(tap, w), k.taps, self._moved(input_at, w))
        if whole < kw:
            self._add_column(tile, e.add(tap, whole), kw - whole, self._moved(input_at, whole))

    def _moved(self, input_at: Callable[[Int], Buffer], w: Int) -> Callable[[Int], Buffer]:
        first = self.e.mul(w, self.kernel.dilation[-1])
        return lambda position: input_at(self.e.add(first, position))

    def _add_column(self, tile: RegisterTile, tap: Int, taps: int, input_at: Callable[[Int], Buffer]) -> None:
        """Add `taps` neighbouring taps: each input is loaded once, for every row that reads it."""
        e, k = self.e, self.kernel
        weights = [
            [[self.out.vector(rows, i, v) for v in range(tile.vectors)] for i in range(k.lane_in)]
            for rows in (self.out.rows_of_tap(e.add(tap, t)) for t in range(taps))
        ]
        for position, pairs in input_reuse(tile.rows, taps, k.stride[-1], k.dilation[-1]):
            here = input_at(position)
            loaded = load_inputs(e, k, lambda ic, here=here: here.at(ic=ic), self.outputs)  # type: ignore[misc]
            inputs = [spread(e, k, loaded, i) for i in range(k.lane_in)]
            for row, t in pairs:
                for i in range(k.lane_in):
                    tile.add_to_row(row, weights[t][i], inputs[i])
