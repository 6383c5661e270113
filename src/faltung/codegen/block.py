"""A block of output positions: what a task of a kernel, or a step of a kernel gradient, is about."""

from dataclasses import dataclass
from typing import Protocol

from faltung.codegen.emitter import Emitter, Int
from faltung.plan.parameters import LineSizes


class BlockNumbers(Protocol):
    """What the parameters of an algorithm say about its blocks of positions."""

    @property
    def num_line_blocks(self) -> Int: ...
    @property
    def num_w_blocks(self) -> Int: ...
    @property
    def block_lines(self) -> Int: ...
    @property
    def block_w(self) -> Int: ...
    @property
    def sizes(self) -> LineSizes[Int]: ...


class TileBlockNumbers(Protocol):
    """The same where lines are cut into tiles of some positions."""

    @property
    def num_line_blocks(self) -> Int: ...
    @property
    def num_tile_blocks(self) -> Int: ...
    @property
    def block_lines(self) -> Int: ...
    @property
    def block_tiles(self) -> Int: ...
    @property
    def sizes(self) -> LineSizes[Int]: ...


@dataclass(frozen=True)
class Block:
    """`num_lines` output lines from `line` on, `width` positions of each from `ow` on, of sample n and plane od."""

    n: Int
    od: Int
    line: Int
    num_lines: Int
    ow: Int
    width: Int

    @property
    def corner(self) -> dict[str, Int]:
        """The first position, as axes of an output array."""
        return {"n": self.n, "d": self.od, "line": self.line, "w": self.ow}

    @classmethod
    def numbered(cls, e: Emitter, p: BlockNumbers, number: Int) -> "Block":
        """The block with this number; positions vary fastest, then lines, planes and samples."""
        rest, w_block = e.divide(number, p.num_w_blocks)
        outer, line_block = e.divide(rest, p.num_line_blocks)
        n, od = e.divide(outer, p.sizes.out_d)
        line, ow = e.mul(line_block, p.block_lines), e.mul(w_block, p.block_w)
        num_lines = e.minimum(p.block_lines, e.sub(p.sizes.lines, line))
        return cls(n, od, line, num_lines, ow, e.minimum(p.block_w, e.sub(p.sizes.out_w, ow)))

    @classmethod
    def of_tiles(cls, e: Emitter, p: TileBlockNumbers, number: Int, outputs: int) -> "Block":
        """The block with this number, whose lines are cut into tiles of `outputs` positions."""
        rest, tile_block = e.divide(number, p.num_tile_blocks)
        outer, line_block = e.divide(rest, p.num_line_blocks)
        n, od = e.divide(outer, p.sizes.out_d)
        line, ow = e.mul(line_block, p.block_lines), e.mul(tile_block, e.mul(p.block_tiles, outputs))
        num_lines = e.minimum(p.block_lines, e.sub(p.sizes.lines, line))
        width = e.minimum(e.mul(p.block_tiles, outputs), e.sub(p.sizes.out_w, ow))
        return cls(n, od, line, num_lines, ow, width)
