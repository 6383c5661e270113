"""Planning long kernels by FFT: blocked overlap-save (Oppenheim and Schafer, Discrete-Time Signal Processing, 8.7.3).

A transform of `size` inputs, multiplied with the conjugate spectrum of a kernel that spans `window` inputs, yields

    block = size - window + 1

outputs of the dense convolution; the rest has wrapped around. Taps that lie apart are a kernel with zeros between them,
and of a stride every stride-th dense output is kept. The kernel gradient is the same correlation with the roles
changed: blocks of dy meet blocks of x, their products are summed as spectra, and one inverse transform at the end gives
the `window` lags.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import ceil, log2, prod

from faltung.algorithms.fft.good_size import good_size
from faltung.machine.target import Target
from faltung.plan.memory import round_up_to_cache_line
from faltung.plan.problem import Problem
from faltung.spec.activation import NOT_IN_NUMPY
from faltung.spec.dtype import ITEM_BYTES

FEWEST_TAPS = 64
"""Below this, and with fewer inputs or outputs, direct summation is always quicker: not worth a comparison."""
FEWEST_MATRIX_CHANNELS = 16
"""Below this a matrix product for each frequency takes longer than a product of spectra for each pair of channels."""
MOST_PARTIAL_SPECTRA = 8
"""Partial spectra of a kernel gradient: each is as large as the whole, and they are added up at the end."""
MOST_SPECTRA_BYTES = 256 * 1024 * 1024
"""Bytes of the spectra of a kernel, and of all partial spectra: what a call may take beside its arrays."""


@dataclass(frozen=True, slots=True)
class FftPlan:
    """What NumPy's FFT computes instead of a kernel of ours. The tasks do not depend on the number of threads."""

    problem: Problem
    cycles: float
    size: int
    block: int
    samples_per_task: int
    groups_per_task: int
    blocks_per_task: int
    reasons: tuple[str, ...]

    algorithm = "fft"

    @property
    def num_blocks(self) -> int:
        """Blocks along w."""
        return ceil(dense_outputs(self.problem) / self.block)

    @property
    def num_tasks(self) -> int:
        """Independent parts of the work."""
        return prod(self.parts)

    @property
    def parts(self) -> tuple[int, int, int]:
        """Tasks along the samples, the groups and the blocks."""
        problem = self.problem
        return (
            ceil(problem.num_samples / self.samples_per_task),
            ceil(problem.groups / self.groups_per_task),
            ceil(self.num_blocks / self.blocks_per_task),
        )

    def groups_of(self, part: int) -> slice:
        """The groups of one of the parts."""
        return slice(part * self.groups_per_task, (part + 1) * self.groups_per_task)

    def task(self, index: int) -> tuple[slice, slice, int, int]:
        """The samples, the groups, the first block and the number of blocks of a task; blocks run fastest."""
        _, group_parts, block_parts = self.parts
        rest, block_part = divmod(index, block_parts)
        sample_part, group_part = divmod(rest, group_parts)
        first = block_part * self.blocks_per_task
        samples = slice(sample_part * self.samples_per_task, (sample_part + 1) * self.samples_per_task)
        return samples, self.groups_of(group_part), first, min(self.blocks_per_task, self.num_blocks - first)

    @property
    def shared_bytes(self) -> int:
        """The spectra of the kernel."""
        return spectra_bytes(self.problem, self.size)

    @property
    def scratch_bytes(self) -> int:
        """For each thread: the inputs and results of a task, and their spectra."""
        problem = self.problem
        lines = self.samples_per_task * self.groups_per_task * self.blocks_per_task
        numbers = lines * (problem.group_in + problem.group_out) * 2 * (self.size + 2)
        return round_up_to_cache_line(numbers * ITEM_BYTES[problem.dtype])


@dataclass(frozen=True, slots=True)
class FftGradientPlan(FftPlan):
    """The kernel gradient by FFT: products of all samples and blocks are added up as a few partial spectra."""

    algorithm = "fft_gradient"

    @property
    def num_partial_spectra(self) -> int:
        """Sums that are independent of each other, for each part of the groups."""
        samples, _, blocks = self.parts
        return max(
            min(samples * blocks, MOST_PARTIAL_SPECTRA, MOST_SPECTRA_BYTES // spectra_bytes(self.problem, self.size)), 1
        )

    @property
    def num_tasks(self) -> int:
        """Independent parts of the work."""
        return self.parts[1] * self.num_partial_spectra

    @property
    def shared_bytes(self) -> int:
        """The spectra of all partial spectra."""
        return self.num_partial_spectra * spectra_bytes(self.problem, self.size)


def refuse(problem: Problem, _: Target) -> str | None:
    """Why not by FFT."""
    if problem.precision == "exact":
        return "its rounding errors are not those of direct summation"
    if problem.rank > 1:
        return "it convolves along one axis only"
    if prod(problem.kernel_size) < FEWEST_TAPS:
        return f"fewer than {FEWEST_TAPS} taps"
    if min(problem.in_size[0], problem.out_size[0]) < FEWEST_TAPS:
        return f"fewer than {FEWEST_TAPS} inputs or outputs"
    if problem.activation in NOT_IN_NUMPY:
        return f"NumPy does not compute {problem.activation}"
    if not any(spectra_bytes(problem, size) <= MOST_SPECTRA_BYTES for size in _sizes(problem)):
        return "the spectra of the kernel take too much memory"
    return None


def plan_gradient(problem: Problem, target: Target) -> FftGradientPlan:
    """The kernel gradient in the same blocks and tasks, which cost as much."""
    forward = plan(problem, target)
    return FftGradientPlan(*(getattr(forward, field.name) for field in fields(forward)))


def plan(problem: Problem, target: Target) -> FftPlan:
    """The cheapest size of the transforms by the cost model, and the work in tasks."""
    sizes = (size for size in _sizes(problem) if spectra_bytes(problem, size) <= MOST_SPECTRA_BYTES)
    size = min(sizes, key=lambda size: _cycles(problem, target, size))
    block = size - window_of(problem) + 1
    samples, groups, blocks = tasks_of(problem, target, size, ceil(dense_outputs(problem) / block))
    num_blocks = ceil(dense_outputs(problem) / block)
    return FftPlan(
        problem=problem,
        cycles=_cycles(problem, target, size),
        size=size,
        block=block,
        samples_per_task=samples,
        groups_per_task=groups,
        blocks_per_task=blocks,
        reasons=(f"transforms of {size} inputs, {block} outputs of each are kept, {num_blocks} blocks",),
    )


def tasks_of(problem: Problem, target: Target, size: int, num_blocks: int) -> tuple[int, int, int]:
    """How many samples, groups and blocks go into one task."""
    costs = target.costs.fft
    elements = costs.matrix_task_elements if multiplies_matrices(problem) else costs.task_elements
    most = max(elements // (size * max(problem.group_in, problem.group_out)), 1)
    if problem.is_channels_last:  # neighbouring channels share cache lines
        groups = min(problem.groups, most)
        blocks = min(num_blocks, max(most // groups, 1))
    else:
        blocks = min(num_blocks, most)
        groups = min(problem.groups, max(most // blocks, 1))
    return min(problem.num_samples, max(most // (blocks * groups), 1)), groups, blocks


def multiplies_matrices(problem: Problem) -> bool:
    """Are the spectra of all channels multiplied as a matrix for each frequency?"""
    return min(problem.group_in, problem.group_out) >= FEWEST_MATRIX_CHANNELS


def window_of(problem: Problem) -> int:
    """Inputs that the window spans."""
    return problem.effective_kernel[0]


def dense_outputs(problem: Problem) -> int:
    """Outputs with a stride of 1."""
    return (problem.out_size[0] - 1) * problem.stride[0] + 1


def spectra_bytes(problem: Problem, size: int) -> int:
    """Bytes of the spectra of the kernel."""
    spectra = problem.groups * problem.group_in * problem.group_out
    return round_up_to_cache_line(spectra * (size // 2 + 1) * 2 * ITEM_BYTES[problem.dtype])


def transform_cycles(size: int, dtype: str, target: Target) -> float:
    """The model's cycles of one real transform."""
    costs, num_bytes = target.costs.fft, size * ITEM_BYTES[dtype]
    return (
        (costs.far_butterfly_cycles if 4 * num_bytes >= target.l2_bytes else costs.butterfly_cycles) * size * log2(size)
    )


def _cycles(problem: Problem, target: Target, size: int) -> float:
    """The model's cycles: transforms of the kernel, and of each block the transforms, the products and the moves."""
    costs, blocks = target.costs.fft, ceil(dense_outputs(problem) / (size - window_of(problem) + 1))
    pairs, lines = problem.group_in * problem.group_out, problem.group_in + problem.group_out
    transform, scale = transform_cycles(size, problem.dtype, target), ITEM_BYTES[problem.dtype] / 4
    product = costs.matrix_product_cycles if multiplies_matrices(problem) else costs.product_cycles
    move = costs.interleaved_move_cycles if problem.is_channels_last and problem.is_multichannel else costs.move_cycles
    block = lines * (transform + size * move * scale) + pairs * size / 2 * product * scale
    kernel = costs.call_cycles + problem.groups * pairs * (transform + size * costs.move_cycles)
    samples, groups, blocks_of_task = tasks_of(problem, target, size, blocks)
    tasks = ceil(problem.num_samples / samples) * ceil(problem.groups / groups) * ceil(blocks / blocks_of_task)
    sums = problem.groups * problem.num_samples * blocks * block + tasks * costs.task_cycles
    return costs.alone_share * kernel + (costs.alone_share if tasks == 1 else 1.0) * sums


def _sizes(problem: Problem) -> Iterator[int]:
    """Sizes worth comparing: powers of two that hold at least two windows, and one transform of everything."""
    everything = dense_outputs(problem) + window_of(problem) - 1
    size = 2 ** ceil(log2(2 * window_of(problem)))
    while size < everything:
        yield size
        size *= 2
    yield good_size(everything)
