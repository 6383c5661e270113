"""Resampling and lookup of rows against NumPy in float64."""

from typing import Any

import numpy as np
import pytest
from checking import FINE_TASKS, with_costs
from hypothesis import given, settings
from hypothesis import strategies as st
from running import run, run_on_pages

from faltung.algorithms.resample.plan import Resample, plan, rows
from faltung.runtime import processor

HOST = processor.current()
FINE = with_costs(HOST, **FINE_TASKS, passes={"unit_numbers": 40})
SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 130]


def request(outer: int, out: int, inner: int, taps: int, size: int, **options: Any) -> Resample:
    return Resample(
        outer=outer,
        out_size=out,
        inner=inner,
        taps=taps,
        has_weights=options.get("has_weights", True),
        index_dtype=options.get("index_dtype", "int64"),
        x_strides=(size * inner, inner),
        y_strides=(out * (inner + options.get("gap", 0)), inner + options.get("gap", 0)),
        dtype=options.get("dtype", "float32"),
    )


@settings(max_examples=200, deadline=None)
@given(
    *(st.sampled_from([1, 2, 3]), st.sampled_from(SIZES), st.sampled_from(SIZES), st.sampled_from(SIZES)),
    *(st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from(["float32", "float64"])),
    *(st.sampled_from(["int32", "int64"]), st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0, 3])),
)
def test_every_resampling(
    outer: int,
    size: int,
    out: int,
    inner: int,
    taps: int,
    seed: int,
    dtype: str,
    index_dtype: str,
    has_weights: bool,
    fine: bool,
    end: bool,
    gap: int,
) -> None:
    rng = np.random.default_rng(seed)
    taps = taps if has_weights else 1
    x = rng.integers(-9, 10, (outer, size, inner)).astype(dtype)
    index = rng.integers(0, size, (out, taps)).astype(index_dtype)
    weight = rng.integers(-4, 5, (out, taps)).astype(dtype) / 4
    expected = x[:, index[:, 0]].copy()
    if has_weights:
        expected = (x.astype("f8")[:, index] * weight[None, :, :, None]).sum(2)
    asked = request(
        outer, out, inner, taps, size, dtype=dtype, index_dtype=index_dtype, has_weights=has_weights, gap=gap
    )
    memory = np.full((outer, out, inner + gap), -77.0, dtype)[:, :, :].reshape(-1)[: outer * out * (inner + gap) - gap]
    operands = [x, index, weight if has_weights else None]
    y = run_on_pages(plan(asked, FINE if fine else HOST), operands, memory, end)
    whole = np.append(y, np.full(gap, -77.0, dtype)).reshape(outer, out, inner + gap)
    np.testing.assert_array_equal(whole[:, :, :inner], expected)
    assert (whole[:, :, inner:] == -77.0).all()


def test_numbers_that_are_copied_stay_as_they_are() -> None:
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-40, 3.0], "f4").reshape(1, 6, 1)
    index = np.array([5, 4, 3, 2, 1, 0, 0], "i4")
    y = np.empty((1, 7, 1), "f4")
    run(plan(request(1, 7, 1, 1, 6, has_weights=False, index_dtype="int32"), HOST), [x, index], y)
    assert y.tobytes() == x[:, index].tobytes()


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_rows(dtype: str) -> None:
    table = np.random.default_rng(0).standard_normal((50, 37)).astype("f4")
    index = np.random.default_rng(1).integers(0, 50, 1000).astype(dtype)
    y = run_on_pages(plan(rows(1000, 37, dtype, "float32"), FINE), [table, index], np.empty((1000, 37), "f4"), True)
    np.testing.assert_array_equal(y, table[index])


def test_several_taps_need_weights() -> None:
    with pytest.raises(ValueError, match="several taps need weights"):
        plan(request(1, 2, 3, 2, 5, has_weights=False), HOST)
