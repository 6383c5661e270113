"""Direct summation, channels first, as direct_nhwc does it: a task transposes a stretch of a line and its results.

    transposed[w, ic] = x[ic, first + w]
    results[q, oc] = bias[oc] + sum over (kw, ic) of transposed[q * stride + kw * dilation, ic] * w[kw, ic, oc]
    y[oc, q] = results[q, oc]

Transposing costs half a cycle a number. It pays where every number meets many output channels: vectors along
positions, as direct_nchw has them, would read one short stretch of each of many channels.
"""

from dataclasses import dataclass

from faltung.algorithms.direct_nchw_transposed.kernel import DirectNchwTransposedKernel, DirectNchwTransposedParameters
from faltung.codegen.block import Block
from faltung.codegen.call import Call
from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.epilogue import Epilogue
from faltung.codegen.packing import emit_panel_packing
from faltung.codegen.panel import Panel, each_panel
from faltung.codegen.tile import RegisterTile
from faltung.codegen.transpose import chunks, transpose_back, transpose_line


def emit(e: Emitter, kernel: DirectNchwTransposedKernel) -> None:
    """pack(call, panel), and compute(call, index, scratch): a range of output channels at a stretch of a line."""
    emit_panel_packing(e, kernel, DirectNchwTransposedParameters)
    epilogue = Epilogue(e, kernel)
    with e.function("compute", "*call", "index", "*scratch") as (pointer, index, scratch):
        call = Call(e, pointer)
        p = call.read(DirectNchwTransposedParameters)
        number, oc_part = e.divide(index, p.num_oc_parts)
        stretch = _Stretch(e, kernel, call, p, epilogue, Block.numbered(e, p, number), scratch)
        stretch.transpose()
        each_panel(e, p, oc_part, kernel.out_channels, kernel.vectors * e.lanes, stretch.emit)


@dataclass
class _Stretch:
    """Neighbouring output positions of one line."""

    e: Emitter
    kernel: DirectNchwTransposedKernel
    call: Call
    p: DirectNchwTransposedParameters[Value]
    epilogue: Epilogue
    block: Block
    scratch: Value

    def __post_init__(self) -> None:
        e, k, p = self.e, self.kernel, self.p
        self.transposed = e.buffer(self.scratch, w=k.pitch, c=1)
        self.results = e.buffer(e.byte_buffer(self.scratch).at(i=p.results_at), w=k.vectors * e.lanes, oc=1)
        y = e.buffer(self.call.y, i=1, n=p.sizes.y_n, oc=p.sizes.y_c, d=p.sizes.y_d, line=p.sizes.y_line, w=1)
        self.y = y.moved(i=p.y_offset, **self.block.corner)

    def transpose(self) -> None:
        """Transpose all channels of what the stretch reads."""
        e, k, p, block = self.e, self.kernel, self.p, self.block
        sd, sh, sw = k.along_dhw("stride")
        x = e.buffer(
            self.call.x, n=p.sizes.x_n, d=e.mul(p.sizes.x_d, sd), line=e.mul(p.sizes.x_line, sh), c=p.sizes.x_c, w=1
        )
        x = x.moved(n=block.n, d=block.od, line=block.line)
        reach = k.dilation[-1] * (k.kernel_size[-1] - 1) + 1
        for first, stop, mask in chunks(e, k.in_channels):
            with e.loop("c", stop, first, e.lanes) as c:
                transpose_line(
                    e,
                    x.moved(c=c),
                    self.transposed.moved(c=c),
                    count=e.lanes if mask is None else stop - first,
                    first=e.sub(e.mul(block.ow, sw), p.sizes.low_w),
                    length=e.add(e.mul(e.sub(block.width, 1), sw), reach),
                    limit=p.sizes.in_w,
                    size=p.sizes.in_w,
                    padding_mode=k.padding_mode,
                )

    def emit(self, panel: Int, channels: int) -> None:
        """Compute `channels` output channels of one panel."""
        e, k = self.e, self.kernel
        tile = RegisterTile(e, k.rows, -(-channels // e.lanes))
        oc = e.mul(panel, k.vectors * e.lanes)
        out = Panel(e, k, self.call, panel, oc, channels, 0)
        bias = [out.bias(v) for v in range(tile.vectors)]
        with e.loop("position", self.block.width, step=k.rows) as position:
            tile.start(lambda r, v: bias[v])
            self._sum(tile, self.transposed.moved(w=e.mul(position, k.stride[-1])), out)
            self.epilogue.store_rows(tile, [self.results.at(w=e.add(position, r)) for r in range(k.rows)], channels)
        transpose_back(e, self.results, self.y.moved(oc=oc), channels=channels, width=self.block.width)

    def _sum(self, tile: RegisterTile, x: Buffer, out: Panel) -> None:
        """Add all taps and input channels."""
        e, k = self.e, self.kernel
        taps = k.kernel_size[-1]
        num_runs, length = (1, taps * k.in_channels) if k.is_merged else (taps, k.in_channels)
        with e.loop("kw", num_runs) as kw:
            run, w = x.moved(w=e.mul(kw, k.dilation[-1])), out.rows_of_tap(kw)
            with e.loop("j", length) as j:
                tile.accumulate(lambda r: run.at(w=r * k.stride[-1], c=j), lambda v: out.vector(w, j, v))
