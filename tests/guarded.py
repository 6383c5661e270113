"""Convolve random specs between pages that nobody may touch, naming each spec before it runs; see test_safety.py.

    python tests/guarded.py FAMILIES SIZES SEED     run FAMILIES kernels, each at SIZES sizes
    python tests/guarded.py "conv1d n1 …" SEED      run one spec, in every placement

x, kernel, bias, the result and the workspace lie flush with the end, or with the beginning, of readable pages: a
number too far is a segmentation fault, so the last line printed tells the spec. What else lies on the pages is NaN, so
that a read on the other side shows in the result; it is compared after the call, so that a write shows too.
"""

import ctypes
import mmap
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
from checking import FINE_TASKS, assert_is_right, call, plain_options, preferring, random_dy, repro, resized, with_costs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import conv_specs, random_arrays, winograd_specs

import faltung as ft
from faltung import reference
from faltung.algorithms import choose
from faltung.operators.epilogue_gradient import epilogue_gradient_of
from faltung.runtime import buffers, processor
from faltung.spec.activation import shows_slope

Array = NDArray[Any]

HOST = processor.current()
Placed = Callable[[str, Array | None], Array | None]

NO_ACCESS, READ_ONLY, READ_WRITE = 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
PLACEMENTS = [(is_at_end, has_gaps) for is_at_end in (True, False) for has_gaps in (False, True)]


def protect(address: int, num_bytes: int, access: int) -> None:
    arguments = ctypes.c_void_p(address), ctypes.c_size_t(num_bytes), ctypes.c_int(access)
    if ctypes.CDLL(None, use_errno=True).mprotect(*arguments):
        raise OSError(ctypes.get_errno(), "mprotect")


class Arena:
    """Pages between two pages without access, used again for one array after the other."""

    def __init__(self, num_bytes: int) -> None:
        self.size = -(-max(num_bytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        self.pages = mmap.mmap(-1, self.size + 2 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.pages)) + mmap.PAGESIZE
        protect(self.address - mmap.PAGESIZE, mmap.PAGESIZE, NO_ACCESS)
        protect(self.address + self.size, mmap.PAGESIZE, NO_ACCESS)
        self.bytes = np.frombuffer(self.pages, np.uint8, self.size, mmap.PAGESIZE)

    def clear(self) -> None:
        """Make every number on the pages a NaN."""
        protect(self.address, self.size, READ_WRITE)
        self.bytes[...] = 0xFF

    def freeze(self) -> None:
        """Let nobody write from now on."""
        protect(self.address, self.size, READ_ONLY)

    def offset(self, num_bytes: int, is_at_end: bool) -> int:
        return self.size - num_bytes if is_at_end else 0


class Guard:
    """One arena for each role, as large as it has ever had to be."""

    def __init__(self) -> None:
        self.arenas: dict[str, Arena] = {}

    def arena(self, role: str, num_bytes: int) -> Arena:
        arena = self.arenas.get(role)
        if arena is None or arena.size < num_bytes:
            arena = self.arenas[role] = Arena(num_bytes)
        arena.clear()
        return arena

    def empty(self, role: str, shape: tuple[int, ...], dtype: str, is_at_end: bool, gaps: tuple[int, ...]) -> Array:
        """An array of NaN whose first or last number is the first or last on its pages; gaps in numbers, by axis."""
        item = np.dtype(dtype).itemsize
        if 0 in shape:
            return np.empty(shape, dtype)
        strides: list[int] = []
        span = 1  # from the first number to the last, both included, and the gap before the next
        for size, gap in zip(reversed(shape), reversed(gaps), strict=True):
            strides.append((span + gap) * item if strides else item)
            span = size * strides[-1] // item
        strides.reverse()
        num_bytes = sum((size - 1) * step for size, step in zip(shape, strides, strict=True)) + item
        arena = self.arena(role, num_bytes)
        place = mmap.PAGESIZE + arena.offset(num_bytes, is_at_end)
        return np.ndarray(shape, dtype, arena.pages, place, strides)

    def assert_only(self, role: str, array: Array, line: str) -> None:
        """Complain if anything but the numbers of a contiguous `array` has changed on its pages."""
        arena = self.arenas[role]
        start = array.ctypes.data - arena.address
        outside = np.concatenate([arena.bytes[:start], arena.bytes[start + array.nbytes :]])
        assert np.all(outside == 0xFF), f"{line}: written outside the {role}"


def run(guard: Guard, spec: ft.ConvSpec, seed: int, is_at_end: bool, has_gaps: bool) -> None:
    """Convolve one spec in one placement."""
    line = repro(spec, seed, place="end" if is_at_end else "start", gaps=has_gaps)
    print(line, flush=True)
    rng = np.random.default_rng(seed)

    def placed(role: str, values: Array | None) -> Array | None:
        if values is None:
            return None
        # gaps between lines and samples of x only, where they can be read in place; not between the numbers of a line
        num_outer = (values.ndim - (2 if spec.is_channels_last else 1)) * (has_gaps and role == "x")
        gaps = [int(rng.integers(0, 9)) if axis < num_outer else 0 for axis in range(values.ndim)]
        array = guard.empty(role, values.shape, spec.dtype, is_at_end, tuple(gaps))
        array[...] = values
        if array.size:
            guard.arenas[role].freeze()
        return array

    values = random_arrays(spec, seed)
    x, kernel, bias = (placed(role, array) for role, array in zip(("x", "kernel", "bias"), values, strict=True))
    y = guard.empty("result", spec.output_shape, spec.dtype, is_at_end, (0,) * len(spec.output_shape))
    if has_gaps:
        call(spec, x, kernel, bias, out=y)
    else:
        ft.compile(spec)(x, kernel, bias, out=y)  # type: ignore[arg-type]
    assert_is_right(y, spec, *values, line)
    if y.size:
        guard.assert_only("result", y, line)
        if not has_gaps:
            run_gradients(guard, spec, placed, values[0], values[1], is_at_end, line)
            run_epilogue_gradient(guard, spec, placed, values, is_at_end, line)


def run_gradients(
    guard: Guard, spec: ft.ConvSpec, placed: Placed, x: Array, kernel: Array, is_at_end: bool, line: str
) -> None:
    """Compute both gradients of one spec in one placement; the inputs lie where the convolution left them."""
    options = plain_options(spec)
    dy = random_dy(spec, len(line))
    arrays = {role: placed(role, array) for role, array in (("x", x), ("kernel", kernel), ("dy", dy))}
    dx = guard.empty("dx", spec.input_shape, spec.dtype, is_at_end, (0,) * x.ndim)
    ft.input_gradient(arrays["dy"], arrays["kernel"], spec.input_shape, out=dx, **options)  # type: ignore[arg-type]
    dw = guard.empty("dw", spec.kernel_shape, spec.dtype, is_at_end, (0,) * kernel.ndim)
    ft.kernel_gradient(arrays["x"], arrays["dy"], spec.kernel_size, out=dw, **options)  # type: ignore[arg-type]
    for role, result, expected, bound in (
        (
            "dx",
            dx,
            reference.input_gradient(dy, kernel, spec=spec),
            reference.input_gradient_bound(dy, kernel, spec=spec),
        ),
        ("dw", dw, reference.kernel_gradient(x, dy, spec=spec), reference.kernel_gradient_bound(x, dy, spec=spec)),
    ):
        wrong = np.flatnonzero(~(abs(result - expected) <= bound))
        assert not wrong.size, f"{line}: {role} wrong in {wrong.size} of {result.size} places, first at {wrong[:1]}"
        if result.size:
            guard.assert_only(role, result, line)


def run_epilogue_gradient(
    guard: Guard, spec: ft.ConvSpec, placed: Placed, values: tuple[Any, ...], is_at_end: bool, line: str
) -> None:
    """Compute the gradient of the spec's bias and activation in one placement; the bias's lies on the heap."""
    if not spec.bias and spec.activation is None:
        return
    has_slope = spec.activation is not None and shows_slope(spec.activation, spec.activation_parameter)
    source_spec = spec if has_slope else spec.replace(activation=None)
    source = placed("source", reference.conv(*values, spec=source_spec).astype(spec.dtype))
    dy = random_dy(spec, len(line))
    dz = guard.empty("dz", spec.output_shape, spec.dtype, is_at_end, (0,) * dy.ndim)
    result, _ = epilogue_gradient_of(spec).run(placed("dy", dy), source, dz=dz)  # type: ignore[arg-type]
    expected = reference.output_gradient(*values, dy, spec=spec)
    wrong = np.flatnonzero(~(abs(result - expected) <= reference.output_gradient_bound(*values, dy, spec=spec)))
    assert not wrong.size, f"{line}: dz wrong in {wrong.size} of {result.size} places, first at {wrong[:1]}"
    if result is dz:
        guard.assert_only("dz", result, line)


def guard_workspaces(guard: Guard) -> None:
    """Give each call a workspace of exactly the bytes it asks for, full of NaN."""

    def take(num_bytes: int) -> buffers.Workspace:
        arena = guard.arena("workspace", num_bytes)
        address = arena.address + arena.offset(num_bytes, is_at_end=True)
        return buffers.Workspace(arena.pages, num_bytes, address)

    buffers.take_workspace = take
    buffers.give_workspace_back = lambda workspace: None


def cut_finely(is_fine: bool) -> None:
    """Let several threads share small work, or nobody share it, from the next plan on."""
    costs = FINE_TASKS if is_fine else {"tasks": {"task_cycles": 60_000.0, "parallel_cycles": 60_000.0}}
    target = with_costs(HOST, **costs)
    processor.current = lambda: target


def main(arguments: list[str]) -> None:
    guard = Guard()
    guard_workspaces(guard)
    if arguments[0] == "overrun":
        print("one number too far", flush=True)
        ctypes.c_char.from_address(guard.arena("x", 1).address + guard.arenas["x"].size).value = b"0"
    if arguments[0].startswith("conv"):
        for is_at_end, has_gaps in PLACEMENTS:
            run(guard, ft.ConvSpec.from_text(arguments[0]), int(arguments[1]), is_at_end, has_gaps)
        return
    num_families, num_sizes, seed = map(int, arguments)
    rng = np.random.default_rng(seed)
    rules = choose.FORWARD, preferring("winograd"), preferring("direct_nchw_transposed")

    @hypothesis_seed(seed)
    @settings(
        max_examples=num_families,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(conv_specs(max_macs=50_000), conv_specs(max_macs=50_000), winograd_specs(max_macs=100_000)))
    def run_family(spec: ft.ConvSpec) -> None:
        cut_finely(bool(rng.integers(2)))
        choose.FORWARD = rules[int(rng.integers(len(rules)))]
        for number in range(num_sizes):
            sized = resized(spec, rng, max_macs=2_000_000 if number % 4 == 3 else 50_000) if number else spec
            try:
                run(guard, sized, int(rng.integers(2**31)), *PLACEMENTS[number % 4])
            except Exception:  # stop here: Hypothesis would run the family again, with other sizes
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)

    run_family()


if __name__ == "__main__":
    main(sys.argv[1:])
