"""What an FFT may sum: where no number outweighs what a window sees.

The rounding of a transform spreads over its whole block, at about eps times the root mean square of all inputs there.
So of every window some part must be as loud as the block, up to LEAST_SHARE of its mean energy: a chunk of half a
window, which each window inside the input covers whole, or the first or last inputs, which each window over an end
covers. Nor may one number hold what is loud there, since it may meet a tap that is next to nothing. Spikes, silence
beside loudness, zeros, NaN and infinities fail; a block of zeros is fine, since its spectrum is exactly zero. With a
dilation, every phase is a sequence of its own. All of it runs inside `quiet`.
"""

from collections.abc import Iterator
from functools import cache, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.algorithms.fft.edges import reach_of
from faltung.algorithms.fft.plan import FftPlan, dense_outputs, window_of
from faltung.plan.problem import Problem

Array = NDArray[Any]

LEAST_SHARE = 1 / 16
"""Of the mean energy of a block: what the quietest chunk has at least."""
LEAST_NUMBERS = 4.0
"""How many numbers of one size would weigh as much, for the energy they have, as those of a chunk do at least."""
LEAST_TAPS = 4.0
"""How many times the largest number of a kernel all its numbers weigh: else what it adds up may be next to nothing."""
NEIGHBOURS = 64
"""Positions whose energy stands for that of the loudest of them."""
TINY = 1e-30
"""Below this, squares of inputs may be lost."""


def are_alike(plan: FftPlan, x: Array, start: int, num_blocks: int) -> bool:
    """Are all chunks of these blocks' inputs about as loud, so that none is uneven? True of most data, soon seen."""
    problem = plan.problem
    if problem.padding_mode not in ("zeros", None) or problem.dilation[0] > 1:
        return False
    first, last = (index + start - problem.low[0] for index in _inside(plan, start, num_blocks))
    chunk = chunk_of(plan.size, window_of(problem))
    if last - first < chunk:
        return False
    energies, least = _energies(x[..., None, first:last], chunk, 1)
    loudest = energies.max()
    if (last - first) % chunk:
        loudest = max(loudest, _squares(x[..., last - chunk : last]).sum(axis=2, dtype=np.float64).max())
    if not (TINY < loudest < 1 / TINY / plan.size and least.min() >= LEAST_SHARE * loudest):
        return False
    begins = np.array([0, (num_blocks - 1) * plan.block])
    ends = _ends(plan, x, start, begins)
    return all(energy.min() * chunk >= LEAST_SHARE * loudest * reach for energy, reach, over in ends if over.any())


def uneven_blocks(plan: FftPlan, x: Array, windows: Array, start: int) -> Array | None:
    """(n, block): which blocks may not be summed by FFT; None for none.

    x is (n, g, in, w), its windows are (n, g, in, block, size), the first one that of the dense output `start`.
    """
    problem, size = plan.problem, plan.size
    chunk = chunk_of(size, window_of(problem))
    energies, least = _energies(windows, chunk, problem.dilation[0])  # n, g, block, chunk
    total = energies.sum(axis=-1)
    begins = np.arange(windows.shape[3]) * plan.block
    first, last = _inside(plan, start, windows.shape[3])
    places = begins[:, None] + np.arange(0, size, chunk)
    least[..., (places < first) | (places + chunk > last)] = np.inf
    is_even = least.min(axis=-1) * (size // chunk) >= LEAST_SHARE * total
    for energy, reach, hangs_over in _ends(plan, x, start, begins):
        is_even &= ~hangs_over | (energy[..., None] * (size / reach) >= LEAST_SHARE * total)
    is_even &= (total > TINY) & (total < 1 / TINY)
    is_even |= ~windows.any(axis=(2, 4))
    return np.asarray(~is_even.all(axis=1)) if not is_even.all() else None


def _inside(plan: FftPlan, start: int, num_blocks: int) -> tuple[int, int]:
    """From where to where the inputs of these blocks are numbers that windows see, counted from their first one."""
    problem = plan.problem
    outputs = min(num_blocks * plan.block, dense_outputs(problem) - start)
    first, last = 0, outputs + window_of(problem) - 1
    if problem.padding_mode in ("zeros", None):
        shift = start - problem.low[0]
        first, last = max(first, -shift), min(last, problem.in_size[0] - shift)
    return first, last


def _ends(plan: FftPlan, x: Array, start: int, begins: Array) -> Iterator[tuple[Array, int, Array]]:
    """At both ends, where padded with zeros: the energy (n, g) of the inputs, how many, which blocks hang over."""
    problem = plan.problem
    if problem.padding_mode != "zeros":
        return
    reach, first = min(reach_of(problem), problem.in_size[0]), begins + (start - problem.low[0])
    hang_over = first < 0, first + plan.size > problem.in_size[0]
    if any(over.any() for over in hang_over):
        both = np.stack((x[..., :reach], x[..., -reach:]), axis=3)
        least = _energies(both, reach, problem.dilation[0])[1][..., 0]
        yield from ((least[..., end], reach, over) for end, over in enumerate(hang_over) if over.any())


def _energies(inputs: Array, chunk: int, dilation: int) -> tuple[Array, Array]:
    """(n, g, block, chunk) twice: the energy of each chunk of inputs (n, g, in, block, w), and what counts of it.

    That is the energy of its quietest phase; of a phase where few numbers hold it, nothing.
    """
    cut = _cut(inputs, chunk)
    phases = [_counted(cut[..., phase::dilation]) for phase in range(dilation)]
    energies, least = zip(*phases, strict=True)
    return reduce(np.add, energies), dilation * reduce(np.minimum, least)


def _counted(numbers: Array) -> tuple[Array, Array]:
    """The energies of numbers (n, g, in, block, chunk, w); and again, nothing for those that few numbers hold."""
    energy = _squares(numbers).sum(axis=2, dtype=np.float64)
    if energy.min() >= LEAST_NUMBERS * float(max(numbers.max(), -numbers.min())) ** 2:  # sooner seen
        return energy, energy
    weight = _products(np.abs(numbers), np.ones(numbers.shape[-1], numbers.dtype)).sum(axis=2, dtype=np.float64)
    return energy, energy * (weight * weight >= LEAST_NUMBERS * energy)


def _cut(numbers: Array, chunk: int) -> Array:
    """The last axis in whole chunks."""
    num_chunks = numbers.shape[-1] // chunk
    return numbers[..., : num_chunks * chunk].reshape(*numbers.shape[:-1], num_chunks, chunk)


def _squares(numbers: Array) -> Array:
    """The sum of squares along the last axis."""
    return _products(numbers, numbers)


def _products(a: Array, b: Array) -> Array:
    """The sum of products along the last axis."""
    return np.vecdot(a, b) if hasattr(np, "vecdot") else np.einsum("...w,...w->...", a, b)


@cache
def chunk_of(size: int, window: int) -> int:
    """The longest part of a transform of which each window covers one whole."""
    return next(size // n for n in range(1, size + 1) if size % n == 0 and size // n <= (window + 1) // 2)


def is_kernel_even(taps: Array) -> bool:
    """May these kernels (g, out, in, k) be transformed: does each output sum several numbers, or none?"""
    sizes = np.abs(taps).reshape(*taps.shape[:2], -1)
    largest, total = sizes.max(axis=-1), sizes.sum(axis=-1)
    return bool((((total > LEAST_TAPS * largest) & (largest < 1 / TINY)) | (largest == 0)).all())


def are_even(problem: Problem, x: Array, dy: Array) -> bool:
    """May a kernel gradient be summed from the spectra of x (n, g, in, w) and dy (n, g, out, w)?

    A channel has sum x**2 / max x**2 positions in effect; those of two channels coincide, at each lag, in their product
    over the number of all. That must be more than one for the sparsest. Positions at the ends, which some taps do not
    meet, count for nothing in the sum.
    """
    (stride,), (low,), (in_size,) = problem.stride, problem.low, problem.in_size
    span = window_of(problem) - 1
    first, last = max(span - low, 0), min((problem.out_size[0] - 1) * stride - low + 1, in_size)
    begin, end = -(-max(low, 0) // stride), min((in_size - 1 + low - span) // stride + 1, problem.out_size[0])
    if first >= last or begin >= end:
        return False
    pairs = (x, x[..., first:last]), (dy, dy[..., begin:end])
    for share_of in (_share_at_most, _share):
        shares = [share_of(numbers, inner) for numbers, inner in pairs]
        if all(share < in_size for share in shares) and shares[0] * shares[1] * dy.shape[0] * dy.shape[3] < 1:
            return True
    return False


def _share(numbers: Array, inner: Array) -> float:
    """The largest share of one number in the energy of its channel; NaN or infinity where one is not finite."""
    largest = np.maximum(numbers.max(axis=(0, 3)), -numbers.min(axis=(0, 3))).astype(np.float64) ** 2
    energy = _squares(inner).sum(axis=0, dtype=np.float64)
    return float(np.where(largest == 0, 0, np.where(_is_safe(energy), largest / energy, np.inf)).max())


def _share_at_most(numbers: Array, inner: Array) -> float:
    """No less than that share, and sooner found: that of a few neighbours together."""
    cut = _cut(numbers, NEIGHBOURS)
    each, behind = _squares(cut), _squares(numbers[..., cut.shape[-2] * NEIGHBOURS :])
    energy = _squares(inner).sum(axis=0, dtype=np.float64)
    largest = np.maximum(each.max(axis=(0, 3)), behind.max(axis=0))
    return float(np.where(_is_safe(energy), largest / energy, np.inf).max())


def _is_safe(energy: Array) -> Array:
    """Have neither the squares nor their sum left the type?"""
    return (energy > TINY) & (energy < 1 / TINY)
