"""The kernel gradient on NumPy's FFT: blocks of x meet blocks of dy, and their products are added as spectra."""

from functools import cached_property

import numpy as np

from faltung.algorithms.fft.plan import FftGradientPlan, dense_outputs, multiplies_matrices, window_of
from faltung.algorithms.kernel_gradient import plan as direct
from faltung.operators.fft import Spectra, input_view, kernel_view, output_view, products_of_matrices, windows_of
from faltung.operators.fft_ranges import are_even
from faltung.runtime import pool, processor
from faltung.runtime.launch import Array, Launch
from faltung.runtime.python_threads import on_threads
from faltung.runtime.quiet import quiet


class FftGradientLaunch:
    """One plan, ready to run on arrays of its shapes; safe under concurrent callers."""

    def __init__(self, plan: FftGradientPlan) -> None:
        self.plan = plan
        self._multiplies_matrices = multiplies_matrices(plan.problem)

    @property
    def workspace_bytes(self) -> int:
        """Workspace with the present number of threads."""
        return self.plan.shared_bytes + pool.get_num_threads() * self.plan.scratch_bytes

    def __call__(self, x: Array, dy: Array, bias: Array | None, dw: Array) -> None:
        """Compute into dw; the arrays must be what the plan was made for. There is no bias."""
        plan, problem = self.plan, self.plan.problem
        inputs, arriving, taps = input_view(problem, x), output_view(problem, dy), kernel_view(problem, dw)
        with quiet():
            is_even = are_even(problem, inputs, arriving)
        if not is_even:
            self._direct(x, dy, bias, dw)
            return
        sums = on_threads(
            lambda index: self._partial_spectrum(inputs, arriving, *divmod(index, plan.num_partial_spectra)),
            plan.num_tasks,
        )

        def total(part: int) -> bool:
            with quiet():
                spectra = sums[part * plan.num_partial_spectra]
                for number in range(1, plan.num_partial_spectra):
                    spectra += sums[part * plan.num_partial_spectra + number]
                if self._multiplies_matrices:  # (g, f, in, out)
                    spectra = np.ascontiguousarray(spectra.transpose(0, 3, 2, 1))
                lags = np.fft.irfft(spectra, plan.size, norm="ortho")[..., : window_of(problem) : problem.dilation[0]]
            taps[plan.groups_of(part)] = lags
            return bool(np.isfinite(lags).all())

        if not all(on_threads(total, plan.parts[1])):
            self._direct(x, dy, bias, dw)

    @cached_property
    def _direct(self) -> Launch:
        return Launch(direct.plan(self.plan.problem, processor.current()))

    def _partial_spectrum(self, x: Array, dy: Array, part: int, first_task: int) -> Spectra:
        """The sum of every num_partial_spectra-th task of a part of the groups, (g, out, in, f) or (g, f, in, out)."""
        plan = self.plan
        sample_parts, group_parts, block_parts = plan.parts
        total: Spectra | None = None
        for number in range(first_task, sample_parts * block_parts, plan.num_partial_spectra):
            sample_part, block_part = divmod(number, block_parts)
            samples, groups, first, num_blocks = plan.task(
                (sample_part * group_parts + part) * block_parts + block_part
            )
            with quiet():
                windows = windows_of(plan, x[samples, groups], first * plan.block, num_blocks)
                arriving = np.fft.rfft(self._spread(dy[samples, groups], first, num_blocks), norm="forward")
                product = self._product(np.fft.rfft(windows, norm="ortho"), np.conjugate(arriving, out=arriving))
                total = product if total is None else np.add(total, product, out=total)
        assert total is not None
        return total

    def _spread(self, dy: Array, first: int, num_blocks: int) -> Array:
        """Blocks of dy times the size of a transform, its strides filled with zeros: (n, g, out, block, size)."""
        plan, stride = self.plan, self.plan.problem.stride[0]
        start = first * plan.block
        end = min(start + num_blocks * plan.block, dense_outputs(plan.problem))
        dense = np.zeros((*dy.shape[:-1], num_blocks * plan.block), dy.dtype)
        arriving = dy[..., -(-start // stride) : -(-end // stride)]
        np.multiply(arriving, dy.dtype.type(plan.size), out=dense[..., -start % stride : end - start : stride])
        spread = np.zeros((*dy.shape[:-1], num_blocks, plan.size), dy.dtype)
        spread[..., : plan.block] = dense.reshape(*dy.shape[:-1], num_blocks, plan.block)
        return spread

    def _product(self, x: Spectra, dy: Spectra) -> Spectra:
        """Sum over samples and blocks of x (n, g, in, block, f) times dy (n, g, out, block, f)."""
        n, g, inputs, blocks, f = x.shape
        if self._multiplies_matrices:
            rows = x.transpose(1, 4, 2, 0, 3).reshape(g, f, inputs, n * blocks)
            columns = dy.transpose(1, 4, 0, 3, 2).reshape(g, f, n * blocks, dy.shape[2])
            return products_of_matrices(rows, columns)
        product = np.empty((g, dy.shape[2], inputs, f), x.dtype)
        for channel in range(inputs):
            np.sum(x[:, :, channel, None] * dy, axis=(0, 3), out=product[:, :, channel])
        return product
