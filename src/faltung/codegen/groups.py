"""The groups kernel: small groups, channels last, each lane with the group of its own output channel.

    y[p, oc] = bias[oc] + sum over taps and i of x[start(p) + tap, group(oc) * I + i] * w[tap, i, oc]

I input and O output channels make a group; O divides the lanes, so a vector of outputs reads whole groups: lanes/O * I
neighbouring inputs, loaded once and spread over the lanes for each i. Depthwise convolution is I = O = 1, where nothing
is spread. Positions are walked as by the runs kernel; only the sum of a run differs.
"""

from collections.abc import Callable

from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.runs import Panel, Strips, emit_runs
from faltung.codegen.tile import RegisterTile
from faltung.plan.kernels import GroupsKernel


def emit_groups(e: Emitter, kernel: GroupsKernel) -> None:
    """piece(call, index, scratch): all output channels at `piece_positions` output positions."""
    emit_runs(e, kernel, GroupStrips)


class GroupStrips(Strips):
    """The walk of one panel, which holds whole groups, over a block of positions."""

    kernel: GroupsKernel

    def channels_at_once(self) -> int:
        """Input channels of a whole panel."""
        return self.kernel.vectors * self._inputs_of_vector()

    def merges_taps(self) -> bool:
        """Each tap is a run of its own."""
        return False

    def first_channel(self, panel: Int) -> Int:
        """Panels follow each other in the input as they do in the output."""
        return self.e.mul(panel, self.channels_at_once())

    def _inputs_of_vector(self) -> int:
        return self.e.lanes // self.kernel.lane_out * self.kernel.lane_in

    def sum_run(self, tile: RegisterTile, row_at: Callable[[int], Buffer], length: int, w: Buffer, out: Panel) -> None:
        """Add one tap: each lane takes the inputs of its own group."""
        e, k = self.e, self.kernel
        outputs = [min(e.lanes, out.channels - v * e.lanes) for v in range(tile.vectors)]
        counts = [-(-count // k.lane_out) * k.lane_in for count in outputs]
        loaded = [
            [self._inputs(row_at(r), v * self._inputs_of_vector(), count) for v, count in enumerate(counts)]
            for r in range(tile.rows)
        ]
        for i in range(k.lane_in):
            # lane l belongs to group l // O, whose inputs begin at l // O * I
            lanes = [lane // k.lane_out * k.lane_in + i for lane in range(e.lanes)]
            is_plain = lanes == list(range(e.lanes))

            def factor(r: int, v: int, lanes: list[int] = lanes, is_plain: bool = is_plain) -> Value:
                return loaded[r][v] if is_plain else e.shuffle(loaded[r][v], loaded[r][v], lanes)

            tile.accumulate_lanes(factor, lambda v, i=i: out.vector(w, i, v))  # type: ignore[misc]

    def inline_taps(self, tile: RegisterTile, x: Buffer, out: Panel) -> None:
        """Neighbouring rows read overlapping windows: with dense taps each number is loaded once and kept for all."""
        if not self.kernel.has_window:
            super().inline_taps(tile, x, out)
            return
        kw = self.kernel.kernel_size[-1]

        def reduce(indices: dict[str, Int], tap: Int) -> None:
            self._slide(tile, x.moved(**indices), kw, tap, out)

        self.for_each_tap(reduce, is_merged=True)

    def _slide(self, tile: RegisterTile, x: Buffer, kw: int, tap: Int, out: Panel) -> None:
        """Add the taps of one line: x[p + j] waits in slot j % rows, each tap loads the one that is new to it."""
        e, rows = self.e, tile.rows
        counts = [min(e.lanes, out.channels - v * e.lanes) for v in range(tile.vectors)]
        slots = [[e.vector_variable(f"x_s{s}_v{v}") for v in range(tile.vectors)] for s in range(rows)]

        def fetch(slot: int, position: Int) -> None:
            for v, count in enumerate(counts):
                slots[slot][v].set(self._inputs(x.moved(row=position), v * e.lanes, count))

        def add(k: int, first: Int) -> None:
            fetch((k + rows - 1) % rows, e.add(first, k + rows - 1))
            w = out.rows_of_tap(e.add(tap, first, k))
            tile.accumulate_lanes(lambda r, v: slots[(k + r) % rows][v].get(), lambda v: out.vector(w, 0, v))

        for r in range(rows - 1):
            fetch(r, r)
        whole = kw // rows * rows
        with e.loop("kw_turn", whole, step=rows) as first:
            for k in range(rows):
                add(k, first)
        for k in range(kw - whole):
            add(k, whole)

    def _inputs(self, row: Buffer, first: int, count: int) -> Value:
        return self.e.load_masked(row.at(j=first), self.e.mask(count))
