"""Long kernels on NumPy's FFT: blocked overlap-save, as plan/fft.py lays it out.

With W = conj(rfft(w)), irfft(rfft(x) * W) is the correlation of a block of x with w. NumPy computes a transform of
float32 in float64, five times slower, unless a factor is part of it: so transforms of x are orthonormal, both ways, and
the kernel is multiplied with the size that its transform divides by.

A block whose numbers differ too much for a transform (fft_ranges.py), one that holds a NaN or an infinity
among them, or a sum too large for the type, is computed by direct summation instead, and so is everything where the
kernel is such, or most blocks are. Outputs at the ends whose windows meet few inputs are summed directly too
(algorithms/fft/edges.py).
"""

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from faltung.algorithms.choose import choose_kernel
from faltung.algorithms.fft.edges import edges_of, part_of
from faltung.algorithms.fft.plan import FftPlan, dense_outputs, multiplies_matrices, window_of
from faltung.operators.activation import activate
from faltung.operators.fft_ranges import are_alike, is_kernel_even, uneven_blocks
from faltung.operators.padding import SOURCES
from faltung.plan.problem import Problem
from faltung.runtime import pool, processor
from faltung.runtime.launch import Array, Launch
from faltung.runtime.python_threads import on_threads
from faltung.runtime.quiet import quiet

Spectra = NDArray[Any]
MOST_AT_ONCE = 2**18
"""Inputs that are looked at together, by the caller: more are looked at task by task."""
Place = tuple[int, int]
"""A sample and a block."""
MOST_UNEVEN = 0.5
"""Of all blocks: where more are summed directly, all are, at once."""
MOST_PRODUCTS = 2**15
"""Multiplications of one product of matrices: above this, NumPy's OpenBLAS starts threads of its own beside ours."""


class FftLaunch:
    """One plan, ready to run on arrays of its shapes and strides; safe under concurrent callers."""

    def __init__(self, plan: FftPlan) -> None:
        self.plan = plan
        self._dense_outputs = dense_outputs(plan.problem)
        self._multiplies_matrices = multiplies_matrices(plan.problem)
        self._parts: dict[int, Launch] = {}

    @property
    def workspace_bytes(self) -> int:
        """Workspace with the present number of threads."""
        return self.plan.shared_bytes + pool.get_num_threads() * self.plan.scratch_bytes

    def __call__(self, x: Array, kernel: Array, bias: Array | None, y: Array) -> None:
        """Compute into y; the arrays must be what the plan was made for."""
        problem = self.plan.problem
        inputs, outputs, taps = input_view(problem, x), output_view(problem, y), kernel_view(problem, kernel)
        numbers = None if bias is None else bias.reshape(problem.groups, problem.group_out, 1)
        with quiet():
            is_even = is_kernel_even(taps)
            are_fine = inputs.size <= MOST_AT_ONCE and are_alike(self.plan, inputs, 0, self.plan.num_blocks)
        if not is_even:
            self._direct(x, kernel, bias, y)
            return
        spectra = on_threads(lambda part: self._spectra(taps[self.plan.groups_of(part)]), self.plan.parts[1])

        def task(index: int) -> list[Place]:
            return self._piece(inputs, spectra, numbers, outputs, index, are_fine)

        uneven = {place for places in on_threads(task, self.plan.num_tasks) for place in places}
        if len(uneven) > MOST_UNEVEN * problem.num_samples * self.plan.num_blocks:
            self._direct(x, kernel, bias, y)
            return
        for sample, block in sorted(uneven):
            self._sum_directly(block, inputs[sample], kernel, bias, outputs[sample])
        for edge in self._edges:
            edge(x, kernel, bias, y)

    def _sum_directly(self, block: int, x: Array, kernel: Array, bias: Array | None, y: Array) -> None:
        """The outputs of one block and sample."""
        problem, length = self.plan.problem, self.plan.block
        begin, end = (-(-n * length // problem.stride[0]) for n in (block, block + 1))
        end = min(end, problem.out_size[0])
        if begin == end:
            return
        launch = self._parts.get(block)
        if launch is None:
            alone = replace(problem, num_samples=1, y_offset=0)  # a sample's view begins at its first output
            launch = self._parts[block] = Launch(choose_kernel(part_of(alone, begin, end), processor.current()))
        launch(x, kernel, bias, y)

    @cached_property
    def _direct(self) -> Launch:
        return Launch(choose_kernel(self.plan.problem, processor.current()))

    @cached_property
    def _edges(self) -> list[Launch]:
        return [Launch(choose_kernel(edge, processor.current())) for edge in edges_of(self.plan.problem)]

    def _spectra(self, taps: Array) -> Spectra:
        """The spectra of kernels (g, out, in, k) as (g, out, in, f), or (g, f, in, out) for products of matrices."""
        size, problem = self.plan.size, self.plan.problem
        spread = np.zeros((*taps.shape[:-1], size), taps.dtype)
        with quiet():
            np.multiply(taps, taps.dtype.type(size), out=spread[..., : window_of(problem) : problem.dilation[0]])
            spectra = np.fft.rfft(spread, norm="forward")
        np.conjugate(spectra, out=spectra)
        return np.ascontiguousarray(spectra.transpose(0, 3, 2, 1)) if self._multiplies_matrices else spectra

    def _piece(
        self, x: Array, spectra: list[Spectra], bias: Array | None, y: Array, index: int, are_fine: bool
    ) -> list[Place]:
        """Compute some samples (n), groups and blocks of y (n, g, out, w); returns the blocks that must be summed.

        are_fine: all blocks are known to be even.
        """
        plan, problem = self.plan, self.plan.problem
        samples, groups, first, num_blocks = plan.task(index)
        start, stride = first * plan.block, problem.stride[0]

        with quiet():
            inputs = x[samples, groups]
            windows = windows_of(plan, inputs, start, num_blocks)
            uneven = None
            if not are_fine and not are_alike(plan, inputs, start, num_blocks):
                uneven = uneven_blocks(plan, inputs, windows, start)
            product = self._product(np.fft.rfft(windows, norm="ortho"), spectra[groups.start // plan.groups_per_task])
            dense = np.fft.irfft(product, plan.size, norm="ortho")[..., : plan.block]
            if not np.isfinite(dense.sum()):
                too_large = np.logical_not(np.isfinite(dense).all(axis=(1, 2, 4)))
                uneven = too_large if uneven is None else uneven | too_large
            dense = dense.reshape(*dense.shape[:-2], -1)[..., -start % stride : self._dense_outputs - start : stride]
            if bias is not None:
                dense += bias[groups]
            if problem.activation is not None:
                dense = activate(dense.astype(np.float64), problem.activation, problem.activation_parameter)
            begin = -(-start // stride)
            y[samples, groups, :, begin : begin + dense.shape[-1]] = dense
        if uneven is None:
            return []
        return [(samples.start + int(n), first + int(block)) for n, block in np.argwhere(uneven)]

    def _product(self, x: Spectra, w: Spectra) -> Spectra:
        """Sum over the input channels of x (n, g, in, block, f) times w, as (n, g, out, block, f)."""
        if self._multiplies_matrices:
            n, g, inputs, blocks, f = x.shape
            rows = x.transpose(1, 4, 0, 3, 2).reshape(g, f, n * blocks, inputs)
            y = products_of_matrices(rows, w)
            return np.ascontiguousarray(y.reshape(g, f, n, blocks, -1).transpose(2, 0, 4, 3, 1))
        total = x[:, :, 0, None] * w[:, :, 0, None]
        term = np.empty_like(total) if x.shape[2] > 1 else total
        for channel in range(1, x.shape[2]):
            total += np.multiply(x[:, :, channel, None], w[:, :, channel, None], out=term)
        return total


def windows_of(plan: FftPlan, x: Array, start: int, num_blocks: int) -> Array:
    """The overlapping inputs (n, g, in, block, size) of blocks whose first output is the dense output `start`."""
    problem = plan.problem
    outputs = min(num_blocks * plan.block, dense_outputs(problem) - start)
    length = outputs + window_of(problem) - 1
    padded = np.zeros((*x.shape[:-1], (num_blocks - 1) * plan.block + plan.size), x.dtype)
    first, in_size = start - problem.low[0], problem.in_size[0]
    if problem.padding_mode in SOURCES:
        padded[..., :length] = x[..., SOURCES[problem.padding_mode](np.arange(first, first + length), in_size)]
    else:
        begin, end = max(first, 0), min(first + length, in_size)
        if begin < end:
            padded[..., begin - first : end - first] = x[..., begin:end]
    shape, steps = (*x.shape[:-1], num_blocks, plan.size), padded.strides
    return np.ndarray(shape, padded.dtype, padded, strides=(*steps[:-1], plan.block * steps[-1], steps[-1]))


def products_of_matrices(a: Spectra, b: Spectra) -> Spectra:
    """The product for each group and frequency: (g, f, rows, k) times (g, f, k, columns)."""
    product = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    few = max(MOST_PRODUCTS // (a.shape[-2] * a.shape[-1]), 1)
    for column in range(0, b.shape[-1], few):
        np.matmul(a, b[..., column : column + few], out=product[..., column : column + few])
    return product


def input_view(problem: Problem, x: Array) -> Array:
    """The input as (n, g, in, w), wherever the numbers lie."""
    shape = (problem.num_samples, problem.groups, problem.group_in, problem.in_size[0])
    return _view(x, 0, shape, (problem.x.n, problem.group_in * problem.x.c, problem.x.c, problem.x.spatial[0]))


def output_view(problem: Problem, y: Array) -> Array:
    """The result as (n, g, out, w)."""
    shape = (problem.num_samples, problem.groups, problem.group_out, problem.out_size[0])
    steps = (problem.y.n, problem.group_out * problem.y.c, problem.y.c, problem.y.spatial[0])
    return _view(y, problem.y_offset, shape, steps)


def kernel_view(problem: Problem, kernel: Array) -> Array:
    """The kernel as (g, out, in, k)."""
    shape = (problem.groups, problem.group_out, problem.group_in, problem.kernel_size[0])
    return _view(
        kernel, problem.w.offset, shape, (problem.w.group, problem.w.outer, problem.w.inner, problem.w.taps[0])
    )


def _view(array: Array, offset: int, shape: tuple[int, ...], steps: tuple[int, ...]) -> Array:
    """Numbers of an array, `offset` from its first one and then by steps, all in elements."""
    strides = tuple(step * array.itemsize for step in steps)
    if array.flags.c_contiguous:  # sooner done than as_strided
        return np.ndarray(shape, array.dtype, array, offset * array.itemsize, strides)
    first = as_strided(array, (1,), (array.itemsize,)) if offset == 0 else array.reshape(-1)[offset:]
    return as_strided(first, shape, strides)
