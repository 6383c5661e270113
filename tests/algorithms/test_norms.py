"""Layer, group and instance norm and softmax against NumPy in float64."""

from typing import Any

import numpy as np
import pytest
from checking import FINE_TASKS, with_costs
from hypothesis import given, settings
from hypothesis import strategies as st
from running import Array, run, run_on_pages

from faltung.algorithms.group_norm import plan as group_norm
from faltung.algorithms.layer_norm import plan as layer_norm
from faltung.algorithms.softmax import plan as softmax
from faltung.runtime import processor

HOST = processor.current()
FINE = with_costs(HOST, **FINE_TASKS, passes={"chunk_rows": 7})
SIZES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 130]
DTYPES = st.sampled_from(["float32", "float64"])


def normalised(x: Array, axes: Any, epsilon: float, scale: Array | None, shift: Array | None) -> Array:
    x = x.astype("f8")
    mean = x.mean(axes, keepdims=True)
    y = (x - mean) / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + epsilon)
    return y, (1 if scale is None else scale.astype("f8")), (0 if shift is None else shift.astype("f8"))


def assert_near(y: Array, expected: tuple[Array, Any, Any], offset: float) -> None:
    """Each number has the error of its own scale; the mean of numbers far from zero has theirs."""
    plain, scale, shift = expected
    eps = np.finfo(y.dtype).eps
    bound = eps * ((12 * abs(plain) + 12 * (1 + offset)) * abs(scale) + 2 * abs(shift))
    wrong = abs(y - (plain * scale + shift)) > bound
    assert not wrong.any(), f"{wrong.sum()} of {wrong.size} wrong"


@settings(max_examples=100, deadline=None)
@given(
    *(st.sampled_from(SIZES), st.sampled_from([*SIZES, 1000]), st.integers(0, 2**32 - 1), DTYPES),
    *(st.booleans(), st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0.0, 100.0])),
)
def test_layer_norm(
    rows: int, size: int, seed: int, dtype: str, has_scale: bool, has_shift: bool, fine: bool, end: bool, offset: float
) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((rows, size)) + offset).astype(dtype)
    scale = rng.standard_normal(size).astype(dtype) if has_scale else None
    shift = rng.standard_normal(size).astype(dtype) if has_shift else None
    request = layer_norm.LayerNorm(
        num_rows=rows, size=size, epsilon=0.1, has_scale=has_scale, has_shift=has_shift, dtype=dtype
    )
    made = layer_norm.plan(request, FINE if fine else HOST)
    y = run_on_pages(made, [x, scale, shift], np.empty_like(x), end)
    assert_near(y, normalised(x, 1, 0.1, scale, shift), offset)
    run(made, [x, scale, shift], x)
    assert x.tobytes() == y.tobytes()


@settings(max_examples=150, deadline=None)
@given(
    *(
        st.sampled_from([1, 2, 3]),
        st.sampled_from([*SIZES, 300]),
        st.sampled_from([1, 2, 4, 5]),
        st.sampled_from(SIZES),
    ),
    *(st.integers(0, 2**32 - 1), DTYPES, st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from([0.0, 100.0]),
)
def test_group_norm(
    samples: int,
    positions: int,
    groups: int,
    size: int,
    seed: int,
    dtype: str,
    has_scale: bool,
    has_shift: bool,
    fine: bool,
    end: bool,
    offset: float,
) -> None:
    rng = np.random.default_rng(seed)
    channels = groups * size
    x = (rng.standard_normal((samples, positions, channels)) + offset).astype(dtype)
    scale = rng.standard_normal(channels).astype(dtype) if has_scale else None
    shift = rng.standard_normal(channels).astype(dtype) if has_shift else None
    request = group_norm.GroupNorm(
        num_samples=samples,
        positions=positions,
        channels=channels,
        groups=groups,
        epsilon=0.1,
        has_scale=has_scale,
        has_shift=has_shift,
        dtype=dtype,
    )
    made = group_norm.plan(request, FINE if fine else HOST)
    y = run_on_pages(made, [x, scale, shift], np.empty_like(x), end)
    split = x.reshape(samples, positions, groups, size)
    plain, _, _ = normalised(split, (1, 3), 0.1, None, None)
    assert_near(y, (plain.reshape(x.shape), *normalised(x, 1, 0.1, scale, shift)[1:]), offset)
    run(made, [x, scale, shift], x)
    assert x.tobytes() == y.tobytes()


def test_long_instances() -> None:
    x = (np.random.default_rng(0).standard_normal((1, 70_001, 5)) + 3).astype("f4")
    request = group_norm.GroupNorm(
        num_samples=1,
        positions=70_001,
        channels=5,
        groups=5,
        epsilon=0.0,
        has_scale=False,
        has_shift=False,
        dtype="float32",
    )
    y = np.empty_like(x)
    run(group_norm.plan(request, HOST), [x], y)
    assert_near(y, normalised(x, 1, 0.0, None, None), 3)


def test_groups_must_divide() -> None:
    with pytest.raises(ValueError, match="groups must divide"):
        group_norm.plan(
            group_norm.GroupNorm(
                num_samples=1,
                positions=1,
                channels=5,
                groups=2,
                epsilon=0.0,
                has_scale=False,
                has_shift=False,
                dtype="float32",
            ),
            HOST,
        )


@settings(max_examples=150, deadline=None)
@given(
    *(st.sampled_from([1, 2, 5]), st.sampled_from([*SIZES, 1000]), st.sampled_from([1, 1, *SIZES])),
    *(st.integers(0, 2**32 - 1), DTYPES, st.booleans(), st.booleans(), st.booleans()),
    st.sampled_from([1.0, 30.0]),
)
def test_softmax(
    outer: int, axis: int, inner: int, seed: int, dtype: str, is_log: bool, fine: bool, end: bool, scale: float
) -> None:
    x = (np.random.default_rng(seed).standard_normal((outer, axis, inner)) * scale).astype(dtype)
    request = softmax.Softmax(outer=outer, axis=axis, inner=inner, is_log=is_log, dtype=dtype)
    made = softmax.plan(request, FINE if fine else HOST)
    y = run_on_pages(made, [x], np.empty_like(x), end)
    wide = x.astype(np.longdouble) - x.max(1, keepdims=True)
    total = np.exp(wide).sum(1, keepdims=True)
    eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
    if is_log:
        assert (abs(y - (wide - np.log(total))) <= 6 * eps * (abs(wide) + np.log(total) + axis**0.5 / 4)).all()
    else:
        expected = np.exp(wide) / total
        assert (abs(y - expected) <= eps * expected * (8 + 2 * abs(wide) + axis**0.5) + 4 * tiny).all()
        assert (abs(y.astype(np.longdouble).sum(1) - 1) < 20 * eps).all()
    run(made, [x], x)
    assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("inner", [1, 5])
@pytest.mark.parametrize("is_log", [True, False])
def test_where_numbers_end(is_log: bool, inner: int) -> None:
    lines = np.array([[0, -np.inf, 0], [1e4, -1e4, 1e4], [np.nan, 0, 0], [-np.inf] * 3, [np.inf, 0, 0]], "f4")
    x = np.repeat(lines[:, :, None], inner, axis=2).copy()
    y = np.empty_like(x)
    run(softmax.plan(softmax.Softmax(outer=5, axis=3, inner=inner, is_log=is_log, dtype="float32"), HOST), [x], y)
    half, low = (-np.log(2), -np.inf) if is_log else (0.5, 0)
    far = half - 2e4 if is_log else 0
    expected = np.array([[half, low, half], [half, far, half], *[[np.nan] * 3] * 3], "f4")
    np.testing.assert_allclose(y[:4], np.repeat(expected[:4, :, None], inner, axis=2), rtol=1e-6)
    assert np.isnan(y[4, 0]).all()
