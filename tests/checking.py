"""What the tests of computed results share: a call from a spec, the oracle's verdict, other sizes, a fresh process."""

import os
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import faltung as ft
from faltung import reference
from faltung.algorithms import choose
from faltung.algorithms.algorithm import Algorithm
from faltung.machine.target import Target
from faltung.plan.problem import Problem

Array = NDArray[Any]

FUNCTIONS = {1: ft.conv1d, 2: ft.conv2d, 3: ft.conv3d}
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 31, 32, 33, 40, 47, 64, 65, 129, 500, 2049)


def options_of(spec: ft.ConvSpec) -> dict[str, Any]:
    """Return the keyword arguments with which a call of conv1d … asks for `spec`."""
    names = ("stride", "padding", "dilation", "groups", "layout", "kernel_layout", "padding_mode", "precision")
    activation = spec.activation
    if activation is not None and spec.activation_parameter is not None:
        return {name: getattr(spec, name) for name in names} | {"activation": (activation, spec.activation_parameter)}
    return {name: getattr(spec, name) for name in names} | {"activation": activation}


def plain_options(spec: ft.ConvSpec) -> dict[str, Any]:
    """The options of a gradient: those of the convolution, without activation."""
    return {name: value for name, value in options_of(spec).items() if name != "activation"}


def call(spec: ft.ConvSpec, x: Any, kernel: Any, bias: Any = None, out: Array | None = None) -> Array:
    """Convolve with the public function of the spec's rank."""
    return FUNCTIONS[spec.rank](x, kernel, bias, out=out, **options_of(spec))


def random_dy(spec: ft.ConvSpec, seed: int, *, integers: bool = False) -> Array:
    """Return a random gradient of the output, dy."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(-4, 5, spec.output_shape) if integers else rng.standard_normal(spec.output_shape)
    return drawn.astype(spec.dtype)


def repro(spec: ft.ConvSpec, seed: int, **more: object) -> str:
    """Return the line that finds a failure again: strategies.random_arrays(spec, seed) are its arrays."""
    return f"{spec.to_text()} | seed={seed}" + "".join(f" {name}={value}" for name, value in more.items())


def assert_is_right(
    y: Array,
    spec: ft.ConvSpec,
    x: Any,
    kernel: Any,
    bias: Any,
    line: str,
    *,
    exact: bool = False,
) -> None:
    """Compare y with the oracle: within its bound, or exactly; NaN and infinities where it has them."""
    expected = reference.conv(x, kernel, bias, spec=spec)
    assert (y.shape, y.dtype) == (expected.shape, np.dtype(spec.dtype)), f"{line}: {y.shape} {y.dtype}"
    bound = np.zeros(expected.shape) if exact else reference.bound(x, kernel, bias, spec=spec)
    is_finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.where(is_finite, 0.0, y), np.where(is_finite, 0.0, expected), err_msg=line)
    error = np.where(is_finite, abs(np.where(is_finite, y, 0.0) - np.where(is_finite, expected, 0.0)), 0.0)
    wrong = np.flatnonzero(~(error <= np.where(is_finite, bound, 0.0)))
    assert not wrong.size, (
        f"{line}: {wrong.size} of {y.size} wrong, first at {np.unravel_index(wrong[0], y.shape)}: "
        f"got {y.flat[wrong[0]]!r}, reference {expected.flat[wrong[0]]!r}, bound {bound.flat[wrong[0]]:.3g}"
    )


def preferring(name: str) -> tuple[Algorithm, ...]:
    """Return the list of choose.py such that this algorithm computes whatever it can, paying or not."""
    (wanted,) = (algorithm for algorithm in choose.FORWARD if algorithm.name == name)

    def yielding(algorithm: Algorithm) -> Algorithm:
        def refuse(problem: Problem, target: Target) -> str | None:
            served = wanted.refuse(problem, target) is None
            return algorithm.refuse(problem, target) or (f"{name} is to compute it" if served else None)

        return algorithm if algorithm is wanted else replace(algorithm, refuse=refuse)

    return tuple(yielding(algorithm) for algorithm in choose.FORWARD)


def with_costs(target: Target, **groups: dict[str, Any]) -> Target:
    """Return the target with some prices changed: with_costs(target, fft={"call_cycles": 0.0})."""
    changed = {group: replace(getattr(target.costs, group), **prices) for group, prices in groups.items()}
    return replace(target, costs=replace(target.costs, **changed))


FINE_TASKS: dict[str, dict[str, Any]] = {
    "tasks": {"task_cycles": 100.0, "parallel_cycles": 100.0},
    "direct_nchw": {"stretch_l1_share": 0.02, "fewest_chunk_steps": 1},
    "epilogue_gradient": {"longest_row": 64, "line_block": 64},
}
"""Prices at which small work is cut finely too."""


def resized(spec: ft.ConvSpec, rng: np.random.Generator, *, max_macs: int = 200_000) -> ft.ConvSpec:
    """Return `spec` with other batch and lengths, down to the least that its padding allows: mostly the same kernel."""
    least = []
    for window, (low, high) in zip(spec.effective_kernel, spec.padding, strict=True):
        inside = max(window - low - high, 1)
        least.append(inside if spec.padding_mode == "zeros" else max(inside, low + 1, high + 1))
    for _ in range(10):
        sizes = [
            least_size + int(rng.integers(0, 4)) if rng.integers(2) else max(least_size, int(rng.choice(SIZES)))
            for least_size in least
        ]
        batch = tuple(int(rng.choice((1, 1, 2, 3, 5))) for _ in spec.batch)
        other = spec.replace(in_size=tuple(sizes), batch=batch)
        if other.macs <= max_macs:
            return other
    return spec.replace(in_size=tuple(least), batch=(1,) * len(spec.batch))


def python(program: str, *arguments: str, timeout: float = 60, **environment: Any) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter that knows the tests' helpers."""
    paths = os.pathsep.join(filter(None, [os.path.dirname(__file__), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


def fork(work: Callable[[], bool]) -> int:
    """Start a child process that runs `work`; its exit code is 0 if that returns True."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of forks beside threads; we survive them
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = 0 if work() else 2
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def exit_code(child: int, timeout: float = 60) -> int | str:
    """Wait for a child of `fork`; one that does not end in time is killed."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return f"still running after {timeout} s"
