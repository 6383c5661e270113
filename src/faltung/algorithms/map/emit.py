"""A map: each task computes some units, blocks of rows of lines.

Vectors lie along the line. Where an operand's numbers lie side by side along the rows instead, tiles of as many rows as
a vector has lanes go through registers and change places there. The rest of a line is masked; where numbers lie
apart it goes one by one.
"""

from dataclasses import dataclass

from faltung.algorithms.map.kernel import APART, CROSSED, INTERLEAVED, LINE, ONE, MapKernel, MapParameters
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Mask, Value
from faltung.codegen.functions import evaluate

OPERANDS = ("x", "kernel", "bias", "extra")
UNROLL = 4
"""Vectors in one step of a line."""
KNOWN_STRIDES: dict[str, dict[str, int]] = {
    LINE: {"i": 1},
    ONE: {"i": 0},
    CROSSED: {"row": 1},
    INTERLEAVED: {"row": 1},
    APART: {},
}


def emit(e: Emitter, kernel: MapKernel) -> None:
    """compute(call, index, scratch): some units of the result."""
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, _):
        call = Call(e, pointer)
        p = call.read(MapParameters)
        arrays = _Arrays.of(e, kernel, call, p)
        first, _ = e.divide(e.mul(index, p.num_units), p.num_tasks)
        last, _ = e.divide(e.mul(e.add(index, 1), p.num_units), p.num_tasks)
        outer = {f"outer{n}": getattr(p, f"outer{n}") for n in range(4 - kernel.outer_axes, 4)}
        with e.loop("unit", last, first) as unit:
            rest, line_block = e.divide(unit, p.num_line_blocks)
            rest, row_block = e.divide(rest, p.num_row_blocks)
            row, i = e.mul(row_block, p.row_block), e.mul(line_block, p.line_block)
            place = {"row": row, "i": i}
            for name, axis in reversed(outer.items()):
                rest, place[name] = e.divide(rest, axis.size)
            num_rows = e.minimum(p.row_block, e.sub(p.rows.size, row))
            length = e.minimum(p.line_block, e.sub(p.line.size, i))
            block = arrays.moved(**place)
            if kernel.rows:
                _emit_interleaved(e, block, length)
            elif kernel.is_tiled:
                _emit_tiles(e, block, num_rows, length)
            else:
                with e.loop("row", num_rows) as row:
                    _emit_line(e, block.moved(row=row), length)


@dataclass
class _Arrays:
    """The operands and the result, from some place on."""

    e: Emitter
    kernel: MapKernel
    operands: list[Buffer]
    y: Buffer

    @classmethod
    def of(cls, e: Emitter, kernel: MapKernel, call: Call, p: MapParameters[Value]) -> "_Arrays":
        axes = {f"outer{n}": getattr(p, f"outer{n}") for n in range(4)} | {"row": p.rows, "i": p.line}

        def buffer(name: str, load: str) -> Buffer:
            strides = {axis: getattr(numbers, name) for axis, numbers in axes.items()}
            return e.buffer(getattr(call, name), **strides | KNOWN_STRIDES[load])

        operands = [buffer(name, load) for name, load in zip(OPERANDS, kernel.loads, strict=False)]
        return cls(e, kernel, operands, buffer("y", kernel.store))

    def moved(self, **indices: Int) -> "_Arrays":
        return _Arrays(self.e, self.kernel, [b.moved(**indices) for b in self.operands], self.y.moved(**indices))

    def load(self, operand: int, i: Int, mask: Mask | None, row: Int = 0) -> Value:
        """A vector along the line; of what does not lie side by side, under a mask, one number."""
        buffer = self.operands[operand]
        if self.kernel.loads[operand] == ONE:
            return self.e.broadcast(buffer.at(row=row))
        if self.kernel.loads[operand] == APART and mask is None:
            return self.e.load_each([buffer.at(row=row, i=self.e.add(i, lane)) for lane in range(self.e.lanes)])
        return self.e.load_masked(buffer.at(row=row, i=i), mask)

    def store(self, values: list[Value], i: Int, mask: Mask | None, row: Int = 0) -> None:
        """The expression of the operands' vectors."""
        e, value = self.e, evaluate(self.e, self.kernel.expression, values)
        if self.kernel.store == APART and mask is None:
            e.store_each(value, [self.y.at(row=row, i=e.add(i, lane)) for lane in range(e.lanes)])
        else:
            e.store_masked(value, self.y.at(row=row, i=i), mask)


def _emit_line(e: Emitter, here: _Arrays, length: Int) -> None:
    k = here.kernel
    numbers = range(len(k.loads))
    repeated = {n: here.load(n, 0, None) for n in numbers if k.loads[n] == ONE}

    def step(i: Int, mask: Mask | None) -> None:
        here.store([repeated[n] if n in repeated else here.load(n, i, mask) for n in numbers], i, mask)

    unroll = 1 if k.is_slow else UNROLL
    width = unroll * e.lanes
    steps, _ = e.divide(length, width)
    vectors, rest = e.divide(length, e.lanes)
    stepped, whole = e.mul(steps, width), e.mul(vectors, e.lanes)
    with e.loop("i", stepped, step=width) as i:
        for v in range(unroll):
            step(e.add(i, v * e.lanes), None)
    if unroll > 1:
        with e.loop("i", whole, stepped, step=e.lanes) as i:
            step(i, None)
    if APART in (k.store, *k.loads):
        with e.loop("i", length, whole) as i:
            step(i, e.mask(1))
    else:
        with e.when(e.compare(rest, ">", 0)):
            step(whole, e.mask(rest))


def _emit_tiles(e: Emitter, block: _Arrays, num_rows: Int, length: Int) -> None:
    """Tiles of lanes x lanes, smaller at the ends."""
    with e.loop("i", length, step=e.lanes) as i, e.loop("row", num_rows, step=e.lanes) as row:
        num_rows_left, left = e.sub(num_rows, row), e.sub(length, i)
        here = block.moved(row=row, i=i)
        is_whole = e.compare(e.minimum(num_rows_left, left), ">=", e.lanes)
        with e.either(is_whole, likely=True) as (whole, edge):
            with whole:
                _emit_tile(e, here)
            with edge:
                _emit_edge(e, here, e.minimum(num_rows_left, e.lanes), left)


def _emit_tile(e: Emitter, here: _Arrays) -> None:
    """A whole tile, in registers."""
    if here.kernel.is_slow:
        _emit_edge(e, here, e.lanes, e.lanes)
        return
    crossed = {
        n: e.transpose([e.load(here.operands[n].at(i=i)) for i in range(e.lanes)])
        for n, load in enumerate(here.kernel.loads)
        if load == CROSSED
    }
    for row in range(e.lanes):
        values = [
            crossed[n][row] if load == CROSSED else here.load(n, 0, None, row)
            for n, load in enumerate(here.kernel.loads)
        ]
        here.store(values, 0, None, row)


def _emit_edge(e: Emitter, here: _Arrays, num_rows: Int, length: Int) -> None:
    """A tile of `num_rows` rows, through the stack: no lane beyond them, or beyond `length`, is read or written."""
    tiles: dict[int, Buffer] = {}
    for n, load in enumerate(here.kernel.loads):
        if load == CROSSED:
            masks = [e.mask(e.choose(e.compare(length, ">", i), num_rows, 0)) for i in range(e.lanes)]
            lines = [e.load_masked(here.operands[n].at(i=i), mask) for i, mask in enumerate(masks)]
            tiles[n] = e.elements(e.lanes * e.lanes, f"tile_{n}")
            for row, vector in enumerate(e.transpose(lines)):
                e.store(vector, tiles[n].at(i=row * e.lanes))
    mask = e.mask(length)
    with e.loop("row", num_rows) as row:
        values = [
            e.load(tiles[n].at(i=e.mul(row, e.lanes))) if n in tiles else here.load(n, 0, mask, row)
            for n in range(len(here.kernel.loads))
        ]
        here.store(values, 0, mask, row)


def _emit_interleaved(e: Emitter, here: _Arrays, length: Int) -> None:
    """All rows of a line at once: as many vectors, whose numbers go to the rows in turn, or come from them."""
    k = here.kernel
    vectors, _ = e.divide(length, e.lanes)
    whole = e.mul(vectors, e.lanes)
    dealt = [[divmod(k.rows * lane + row, e.lanes) for lane in range(e.lanes)] for row in range(k.rows)]
    taken = [[divmod(v * e.lanes + lane, k.rows)[::-1] for lane in range(e.lanes)] for v in range(k.rows)]
    with e.loop("i", whole, step=e.lanes) as i:
        loaded: list[list[Value]] = []
        for n, load in enumerate(k.loads):
            if load == INTERLEAVED:
                first = here.operands[n].moved(i=i)
                lying = [e.load(first.at(row=v * e.lanes)) for v in range(k.rows)]
                loaded.append([e.picked(lying, places) for places in dealt])
            else:
                loaded.append([here.load(n, i, None, row) for row in range(k.rows)])
        rows = [[values[row] for values in loaded] for row in range(k.rows)]
        if k.store != INTERLEAVED:
            for row, values in enumerate(rows):
                here.store(values, i, None, row)
        else:
            results = [evaluate(e, k.expression, values) for values in rows]
            for v, places in enumerate(taken):
                e.store(e.picked(results, places), here.y.moved(i=i).at(row=v * e.lanes))
    with e.loop("i", length, whole) as i, e.loop("row", k.rows) as row:
        mask = e.mask(1)
        here.store([here.load(n, i, mask, row) for n in range(len(k.loads))], i, mask, row)
