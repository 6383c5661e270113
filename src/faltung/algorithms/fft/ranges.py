"""What an FFT may sum: where no number outweighs what a window sees.

The rounding of a transform spreads over its whole block, at about eps times the root mean square of all inputs there. So
of every window some part must be as loud as the block, up to LEAST_SHARE of its mean energy: a chunk of half a window,
which each window inside the input covers whole, or the first or last inputs, which each window over an end covers.
Spikes, silence beside loudness, zeros, NaN and infinities fail; a block of zeros is fine, since its spectrum is exactly
zero. With a dilation, every phase is a sequence of its own.
"""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from faltung.algorithms.fft.edges import reach_of
from faltung.algorithms.fft.plan import FftPlan, window_of

Array = NDArray[Any]

LEAST_SHARE = 1 / 16
"""Of the mean energy of a block: what the quietest chunk has at least."""
LEAST_TAPS = 4.0
"""How many times the largest number of a kernel all its numbers weigh: else what it adds up may be next to nothing."""
TINY = 1e-30
"""Below this, squares of inputs may be lost."""


def uneven_blocks(plan: FftPlan, x: Array, windows: Array, start: int) -> Array:
    """(n, block): which blocks may not be summed by FFT; x is (n, g, in, w), its windows are (n, g, in, block, size)."""
    problem, size = plan.problem, plan.size
    chunk = chunk_of(plan)
    energies = energies_of(windows, chunk, problem.dilation[0])  # n, g, block, chunk
    total = energies.sum(axis=-1)
    least = LEAST_SHARE * total
    first = start - problem.low[0] + np.arange(windows.shape[3])[:, None] * plan.block
    places = first + np.arange(0, size, chunk)
    if problem.padding_mode in ("zeros", None):
        energies[..., (places < 0) | (places + chunk > problem.in_size[0])] = np.inf
    is_even = energies.min(axis=-1) * (size // chunk) >= least
    if problem.padding_mode == "zeros":
        reach = min(reach_of(problem), problem.in_size[0])
        for inputs, hangs_over in ((x[..., :reach], first[:, 0] < 0), (x[..., -reach:], first[:, 0] + size > problem.in_size[0])):
            if hangs_over.any():
                end = energies_of(inputs[..., None, :], reach, problem.dilation[0])[..., 0]
                is_even &= ~hangs_over | (end * (size / reach) >= least)
    is_even &= (total > TINY) & (total < 1 / TINY)
    if not is_even.all():
        is_even |= ~windows.any(axis=(2, 4))
    return ~is_even.all(axis=1)


def energies_of(inputs: Array, chunk: int, dilation: int) -> Array:
    """The energy of each chunk of (n, g, in, block, w), all channels of a group together; of the quietest phase."""
    shape, steps = inputs.shape, inputs.strides
    num_chunks = shape[-1] // chunk
    cut = as_strided(inputs, (*shape[:-1], num_chunks, chunk), (*steps[:-1], chunk * steps[-1], steps[-1]))
    with np.errstate(all="ignore"):
        if dilation == 1:
            return np.einsum("...c,...c->...", cut, cut).sum(axis=2, dtype=np.float64)
        phases = [cut[..., phase::dilation] for phase in range(dilation)]
        each = [np.einsum("...c,...c->...", phase, phase).sum(axis=2, dtype=np.float64) for phase in phases]
        return dilation * np.minimum.reduce(each)


def chunk_of(plan: FftPlan) -> int:
    """The longest part of a transform of which each window covers one whole."""
    most = (window_of(plan.problem) + 1) // 2
    return next(plan.size // n for n in range(1, plan.size + 1) if plan.size % n == 0 and plan.size // n <= most)


def is_kernel_even(taps: Array) -> bool:
    """May these kernels (g, out, in, k) be transformed: does each output sum several numbers, or none?"""
    sizes = np.abs(taps)
    largest = sizes.max(axis=(2, 3))
    with np.errstate(all="ignore"):
        is_even = (sizes.sum(axis=(2, 3)) > LEAST_TAPS * largest) & (largest < 1 / TINY)
    return bool((is_even | (largest == 0)).all())


def are_even(x: Array, dy: Array) -> bool:
    """May a kernel gradient be summed from the spectra of x (n, g, in, w) and dy (n, g, out, w)?

    A channel has sum x**2 / max x**2 positions in effect; those of two channels coincide, at each lag, in their product
    over the number of all. That must be more than one for the sparsest.
    """
    shares = []
    for numbers in (x, dy):
        with np.errstate(all="ignore"):
            largest = np.maximum(numbers.max(axis=(0, 3)), -numbers.min(axis=(0, 3))).astype(np.float64)
            energy = np.einsum("ngcw,ngcw->gc", numbers, numbers, dtype=np.float64)
            share = np.where(largest == 0, 0, largest**2 / energy).max()
        if not (share <= 1.0 + 1e-5 and largest.max() < 1 / TINY):
            return False
        shares.append(float(share))
    return shares[0] * shares[1] * dy.shape[0] * dy.shape[3] < 1
