"""Nothing is read or written outside the arrays: pages without access, margins of NaN, canaries."""

import os
import platform
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
import pytest
from checking import Array, assert_is_right, call, repro
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import conv_specs, random_arrays

import faltung as ft

GUARDED = Path(__file__).parents[1] / "guarded.py"
NUM_SIZES = 9


def targets() -> dict[str, int]:
    """Return how many kernels to run on each target that this machine can run; "native" is one of the others here."""
    families = {"native": 120}
    if platform.machine() not in ("x86_64", "AMD64"):
        return families
    if llvm.get_host_cpu_features().get("avx2"):
        families["x86-64-v3"] = 120
    return families | {"x86-64": 40}


def targets_id(target: str) -> str:
    absent = "" if "x86-64-v3" in FAMILIES else ", for this machine has no AVX2"
    return f"{target}{absent}"


FAMILIES = targets()


def guarded(*arguments: str, target: str = "native") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(GUARDED), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FALTUNG_TARGET": target, "FALTUNG_NUM_THREADS": "2"},
    )


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, tuple[int, "subprocess.Popen[str]"]]]:
    """One process for each target, all at once, each with its own seed."""
    started = {}
    for target, num_families in FAMILIES.items():
        seed = random.SystemRandom().randrange(2**31)
        started[target] = seed, guarded(str(num_families), str(NUM_SIZES), str(seed), target=target)
    yield started
    for _, process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("target", FAMILIES, ids=targets_id)
def test_no_spec_touches_what_is_not_its_own(runs: dict[str, tuple[int, "subprocess.Popen[str]"]], target: str) -> None:
    seed, process = runs[target]
    output, errors = process.communicate(timeout=1200)
    lines = output.splitlines()
    command = f"FALTUNG_TARGET={target} python tests/guarded.py {FAMILIES[target]} {NUM_SIZES} {seed}"
    last = lines[-1] if lines else "nothing ran"
    assert process.returncode == 0, f"exit status {process.returncode} at: {last}\n{command}\n{errors[-4000:]}"
    assert len(set(lines)) >= FAMILIES[target] * NUM_SIZES * 0.95


def test_the_guard_notices_one_number_too_far() -> None:
    process = guarded("overrun")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGSEGV
    assert output == "one number too far\n"


def test_padding_is_folded_once_and_never_read_beyond_the_input() -> None:
    """Once crashed: channels-first staging looked up lines that no tap needs, and folded them out of the input."""
    text = "conv3d n1 d6 h2 w3 ic48 oc16 kd3 kh4 kw2 sh3 dd3 g16 pd5:0 ph1 pw2:1 circular ncdhw selu f64 exact"
    process = guarded(text, "1821698489")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, f"exit status {process.returncode} at: {output.splitlines()[-1]}\n{errors[-4000:]}"


def margined(values: Array, rng: np.random.Generator, fill: float) -> tuple[Array, Array]:
    """Return an array full of `fill`, and a view into it, with margins and steps on every axis, that holds `values`."""
    low, high = (rng.integers(0, 4, values.ndim) for _ in range(2))
    steps = rng.integers(1, 3, values.ndim)
    outer = np.full(low + steps * values.shape + high, fill, values.dtype)
    window = tuple(
        slice(int(start), int(start + step * size), int(step))
        for start, step, size in zip(low, steps, values.shape, strict=True)
    )
    view = outer[window]
    view[...] = values
    return outer, view


@settings(max_examples=150, deadline=None)
@given(conv_specs(max_macs=50_000), st.integers(0, 2**32 - 1))
def test_margins_of_nan_stay_out_of_the_result(spec: ft.ConvSpec, seed: int) -> None:
    values = random_arrays(spec, seed)
    rng = np.random.default_rng(seed)
    x, kernel, bias = (None if array is None else margined(array, rng, np.nan)[1] for array in values)
    y = call(spec, x, kernel, bias)
    assert not np.isnan(y).any(), repro(spec, seed)
    assert_is_right(y, spec, *values, repro(spec, seed))


@settings(max_examples=150, deadline=None)
@given(conv_specs(max_macs=50_000), st.integers(0, 2**32 - 1), st.sampled_from(["steps", "margins"]))
def test_canaries_around_the_result_survive(spec: ft.ConvSpec, seed: int, how: str) -> None:
    x, kernel, bias = random_arrays(spec, seed)
    canary = -12345.678
    result = np.zeros(spec.output_shape, spec.dtype)
    if how == "steps":
        outer, out = margined(result, np.random.default_rng(seed), canary)
    else:  # contiguous, so that kernels write right into it
        outer = np.full(result.size + 40, canary, spec.dtype)
        out = outer[20 : 20 + result.size].reshape(spec.output_shape)
    before = outer.copy()
    assert call(spec, x, kernel, bias, out=out) is out
    assert_is_right(out, spec, x, kernel, bias, repro(spec, seed, out=how))
    out[...] = canary if how == "margins" else 0.0
    assert outer.tobytes() == before.tobytes(), f"{repro(spec, seed, out=how)}: written outside"


@settings(max_examples=60, deadline=None)
@given(conv_specs(max_macs=50_000), st.integers(0, 2**32 - 1))
def test_inputs_are_not_written(spec: ft.ConvSpec, seed: int) -> None:
    arrays = random_arrays(spec, seed)
    for array in arrays:
        if array is not None:
            array.flags.writeable = False
    before = [None if array is None else array.tobytes() for array in arrays]
    call(spec, *arrays)
    assert before == [None if array is None else array.tobytes() for array in arrays], repro(spec, seed)
