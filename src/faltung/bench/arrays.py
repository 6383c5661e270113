"""The numbers that benchmarks convolve: random, the same in every process, in the layout that each one wants."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.bench.machine import memory
from faltung.plan.memory import round_up_to_cache_line
from faltung.spec import ConvSpec

Array = NDArray[Any]

DIFFERENT_NUMBERS = 1_000_003
"""Larger arrays repeat themselves: after a prime number of numbers, so that no two windows of a line are alike."""


def random_arrays(spec: ConvSpec, source: NDArray[np.uint8] | None = None) -> tuple[Array, Array, Array | None]:
    """Return x and kernel, one after the other in `source` or in memory of their own, and a bias if there is one."""
    if source is None:
        source = memory(source_bytes(spec))
    x = source[: spec.input_bytes].view(spec.dtype)
    start = round_up_to_cache_line(spec.input_bytes)
    kernel = source[start : start + spec.kernel_bytes].view(spec.dtype)
    bias = np.empty(spec.out_channels if spec.bias else 0, spec.dtype)
    for array in (x, kernel, bias):
        fill(array)
    return x.reshape(spec.input_shape), kernel.reshape(spec.kernel_shape), bias if spec.bias else None


def random_output_gradient(spec: ConvSpec) -> Array:
    """Return a gradient of the output, as backpropagation would bring it."""
    gradient = memory(spec.output_bytes).view(spec.dtype)
    fill(gradient[::-1])
    return gradient.reshape(spec.output_shape)


def fill(array: Array) -> None:
    """Fill a flat array with random numbers."""
    numbers = np.random.default_rng(0).standard_normal(DIFFERENT_NUMBERS).astype(array.dtype)
    for start in range(0, array.size, numbers.size):
        part = array[start : start + numbers.size]
        part[:] = numbers[: part.size]


def source_bytes(spec: ConvSpec) -> int:
    """Return how much memory random_arrays needs for x and kernel."""
    return round_up_to_cache_line(spec.input_bytes) + spec.kernel_bytes


def canonical(spec: ConvSpec) -> ConvSpec:
    """Return the spec with channels last and the kernel as Keras has it: the arrays that all peers start from.

    >>> canonical(ConvSpec.from_text("conv1d n2 w9 ic3 oc4 kw3 ncw oiw")).input_shape
    (2, 9, 3)
    """
    return spec.replace(layout=None, kernel_layout=None)


def channels_last(array: Array, spec: ConvSpec) -> Array:
    """Return an input or output of the spec with its channels on the last axis."""
    return array if spec.is_channels_last else np.moveaxis(array, 1, -1)


def moved_input(array: Array, spec: ConvSpec) -> Array:
    """Return a channels-last input or output in the layout of the spec, in memory of its own."""
    return array if spec.is_channels_last else placed(np.moveaxis(array, -1, 1))


def moved_kernel(kernel: Array, spec: ConvSpec) -> Array:
    """Return a kernel (*K, I, O) in the layout of the spec, in memory of its own."""
    return kernel if spec.kernel_layout.endswith("IO") else placed(np.moveaxis(kernel, (-1, -2), (0, 1)))


def canonical_kernel(kernel: Array, spec: ConvSpec) -> Array:
    """Return a kernel in the layout of the spec as (*K, I, O)."""
    return kernel if spec.kernel_layout.endswith("IO") else np.moveaxis(kernel, (0, 1), (-1, -2))


def placed(array: Array) -> Array:
    """Return a contiguous copy that begins at a page."""
    copy = memory(max(array.nbytes, 1))[: array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
