"""A depthwise convolution and a pointwise one after it, block by block where that keeps the intermediate in cache."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from faltung.algorithms.choose import choose_kernel
from faltung.operators.convolution import Convolution
from faltung.plan.kernel import Kernel
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.plan.separable import SeparableBlock, blocks_of, refuse_blocks
from faltung.runtime import buffers, processor
from faltung.runtime.launch import Array, Launch
from faltung.runtime.python_threads import on_threads
from faltung.spec import ConvSpec


class Separable:
    """y from x and the two kernels. Each thread takes whole blocks: what it made is in its own cache."""

    def __init__(self, depthwise: ConvSpec, pointwise: ConvSpec) -> None:
        self.depthwise, self.pointwise = Convolution(depthwise), Convolution(pointwise)
        self.refusal = self._refusal()
        self._blocks: list[tuple[SeparableBlock, Launch, Launch]] = []
        if self.refusal is None:
            launches: dict[Problem, Launch] = {}
            for block in blocks_of(Problem.of(depthwise), Problem.of(pointwise), processor.current()):
                one, other = (_launch(problem, launches) for problem in (block.depthwise, block.pointwise))
                self._blocks.append((block, one, other))

    def _refusal(self) -> str | None:
        """Why in two whole passes."""
        if not isinstance(self.depthwise.plan, Plan):
            return "there is nothing to compute, or NumPy computes it"
        return refuse_blocks(Problem.of(self.depthwise.spec), processor.current())

    def run(
        self, x: Array, depthwise: Array, pointwise: Array, bias: Array | None = None, out: Array | None = None
    ) -> Array:
        """Convolve contiguous arrays of the specs' shapes; `out` must be contiguous too."""
        if self.refusal is not None:
            return self.pointwise.run(self.depthwise.run(x, depthwise, None), pointwise, bias, out)
        spec = self.pointwise.spec
        y = buffers.empty(spec.output_shape, np.dtype(spec.dtype), spec.output_bytes) if out is None else out
        item_bytes = y.itemsize

        def compute(index: int) -> None:  # it holds the arrays, for helpers that an interrupted caller has left
            block, one, other = self._blocks[index]
            between = buffers.take_workspace(block.intermediate_bytes)
            one.alone_at(x.ctypes.data + block.x_offset * item_bytes, depthwise.ctypes.data, 0, between.address)
            bias_at, y_at = 0 if bias is None else bias.ctypes.data, y.ctypes.data + block.y_offset * item_bytes
            other.alone_at(between.address, pointwise.ctypes.data, bias_at, y_at)
            buffers.give_workspace_back(between)

        on_threads(compute, len(self._blocks))
        return y


def _launch(problem: Problem, launches: dict[Problem, Launch]) -> Launch:
    """One launch for all blocks that are the same problem."""
    found = launches.get(problem)
    if found is None:
        plan = choose_kernel(problem, processor.current())
        # blocks need not begin where a vector does, as results that are written around the cache must
        assert isinstance(plan.kernel, Kernel)
        kernel = replace(plan.kernel, has_streaming_stores=False)
        found = launches[problem] = Launch(replace(plan, kernel=kernel))
    return found


@lru_cache(maxsize=1024)
def separable_of(depthwise: ConvSpec, pointwise: ConvSpec) -> Separable:
    """The compiled separable convolution; equal specs share one."""
    return Separable(depthwise, pointwise)
