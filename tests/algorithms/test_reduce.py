"""Reductions against NumPy in float64: lines and columns, one chunk and many, ends, and nothing outside."""

import numpy as np
import pytest
from checking import FINE_TASKS, with_costs
from hypothesis import given, settings
from hypothesis import strategies as st
from running import Array, run, run_on_pages

from faltung.algorithms.reduce.kernel import EXTREMES, KINDS, SPREADS
from faltung.algorithms.reduce.plan import Reduce, plan
from faltung.runtime import processor

HOST = processor.current()
FINE = with_costs(HOST, **FINE_TASKS, passes={"chunk_numbers": 40, "chunk_rows": 7})
SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 300]


def expected_of(kind: str, x: Array, correction: int = 0) -> Array:
    x = x.astype("f8")
    with np.errstate(all="ignore"):
        squares = ((x - x.mean(1, keepdims=True)) ** 2).sum(1)
        variance = squares / np.float64(x.shape[1] - correction)
        results = {"sum": x.sum(1), "mean": x.mean(1), "mean_square": (x**2).mean(1), "max": x.max(1), "min": x.min(1)}
        results |= {"variance": variance, "std": np.sqrt(variance)}
    return results[kind]


@settings(max_examples=250, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.sampled_from([1, 2, 3, 8]),
    st.sampled_from(SIZES),
    st.sampled_from([1, 1, *SIZES]),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["numbers", "integers", "ends", "far from zero"]),
)
def test_every_reduction(
    kind: str, outer: int, reduced: int, inner: int, seed: int, dtype: str, is_fine: bool, is_at_end: bool, what: str
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((outer, reduced, inner))
    if what == "integers":
        x = rng.integers(-9, 10, x.shape)
    elif what == "ends":
        x = rng.choice([np.nan, np.inf, -np.inf, 1.0, -2.0], x.shape, p=[0.02, 0.08, 0.1, 0.4, 0.4])
    elif what == "far from zero":
        x += 1000
    x = x.astype(dtype)
    correction = int(rng.integers(0, 2))
    request = Reduce(kind=kind, outer=outer, reduced=reduced, inner=inner, dtype=dtype, correction=correction)
    y = run_on_pages(plan(request, FINE if is_fine else HOST), [x], np.full((outer, inner), 5.0, dtype), is_at_end)
    expected = expected_of(kind, x, correction)
    if kind in EXTREMES or (what == "integers" and kind == "sum"):
        np.testing.assert_array_equal(y, expected.astype(dtype))
        return
    is_number = np.isfinite(expected)
    np.testing.assert_array_equal(y[~is_number], expected[~is_number].astype(dtype))
    eps = np.finfo(dtype).eps
    scale = expected_of("sum" if kind == "sum" else "mean", abs(np.where(np.isfinite(x), x, 0)))
    if kind in SPREADS:
        scale = expected
    if kind == "mean_square":
        scale = expected
    error = abs(y[is_number] - expected[is_number])
    assert (error <= 24 * eps * scale[is_number] + 1e-30).all(), repr(request)


@pytest.mark.parametrize("inner", [1, 3, 64])
@pytest.mark.parametrize("kind", ["sum", "mean", "variance"])
def test_a_long_sum_keeps_its_digits(kind: str, inner: int) -> None:
    reduced = 2**21 // inner
    x = (np.random.default_rng(0).random((1, reduced, inner)) + 0.5).astype("f4")
    y = np.empty((1, inner), "f4")
    run(plan(Reduce(kind=kind, outer=1, reduced=reduced, inner=inner, dtype="float32"), HOST), [x], y)
    np.testing.assert_allclose(y, expected_of(kind, x), rtol=2e-6)


def test_parts_of_larger_arrays() -> None:
    larger = np.random.default_rng(0).integers(-9, 9, (4, 50, 40)).astype("f4")
    for inner in (1, 20):
        request = Reduce(kind="sum", outer=4, reduced=50, inner=inner, dtype="float32", x_strides=(2000, 40))
        y = np.empty((4, inner), "f4")
        run(plan(request, FINE), [larger], y)
        np.testing.assert_array_equal(y, larger[:, :, :inner].sum(1))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="a reduction is one of"):
        plan(Reduce(kind="median", outer=1, reduced=1, inner=1, dtype="float32"), HOST)
