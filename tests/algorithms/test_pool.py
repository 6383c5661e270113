"""Pools against a loop over windows in float64: every rank, padding, overhang, ends, and nothing outside."""

from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from checking import FINE_TASKS, with_costs
from hypothesis import given, settings
from hypothesis import strategies as st
from running import Array, run, run_on_pages

from faltung.algorithms.pool.plan import Pool, plan
from faltung.runtime import processor

HOST = processor.current()
FINE = with_costs(HOST, **FINE_TASKS, passes={"unit_numbers": 40})


def expected_of(p: Pool, x: Array) -> Array:
    """Each window, number by number; float64."""
    y = np.empty((p.num_samples, *p.out_size, p.channels))
    for place in product(*map(range, p.out_size)):
        taps, counts = [], []
        for a, o in enumerate(place):
            at = [o * p.stride[a] - p.low[a] + t * p.dilation[a] for t in range(p.kernel_size[a])]
            taps.append([i for i in at if 0 <= i < p.in_size[a]])
            counts.append(sum(i < p.in_size[a] + p.high[a] for i in at) if p.counts_padding else len(taps[-1]))
        window = x[(slice(None), *np.ix_(*taps))].astype("f8").reshape(p.num_samples, -1, p.channels)
        with np.errstate(invalid="ignore"):
            y[(slice(None), *place)] = window.max(1) if p.kind == "max" else window.sum(1) / prod(counts)
    return y


def dense(shape: tuple[int, ...], extra: int = 0) -> tuple[int, ...]:
    """Strides of samples and axes of space; `extra` channels of a larger array behind each position."""
    strides, step = [], shape[-1] + extra
    for size in reversed(shape[1:-1]):
        strides.append(step)
        step *= size
    return (step, *reversed(strides))


def pool(kind: str, x: tuple[int, ...], kernel: Any, stride: Any, **options: Any) -> Pool:
    """A pool of an array of shape (n, *space, c), windows as many as fit unless out_size says otherwise."""
    rank = len(x) - 2

    def each(value: Any) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * rank

    kernel, stride, dilation = each(kernel), each(stride), each(options.get("dilation", 1))
    low, high = each(options.get("low", 0)), each(options.get("high", 0))
    out = options.get("out_size") or tuple(
        (size + lo + hi - (k - 1) * d - 1) // s + 1
        for size, lo, hi, k, d, s in zip(x[1:-1], low, high, kernel, dilation, stride, strict=True)
    )
    y = (x[0], *out, x[-1])
    return Pool(
        kind=kind,
        num_samples=x[0],
        in_size=x[1:-1],
        out_size=out,
        channels=x[-1],
        kernel_size=kernel,
        stride=stride,
        dilation=dilation,
        low=low,
        high=high,
        counts_padding=options.get("counts_padding", False),
        x_strides=dense(x, options.get("x_extra", 0)),
        y_strides=dense(y, options.get("y_extra", 0)),
        dtype=options.get("dtype", "float32"),
    )


@st.composite
def pools(draw: Any) -> Pool:
    rank = draw(st.integers(1, 3))
    few = {1: 40, 2: 12, 3: 6}[rank]
    kernel, stride, dilation, low, size, high, out = [], [], [], [], [], [], []
    for _ in range(rank):
        k, d, s = draw(st.integers(1, 10 if rank == 1 else 4)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
        most = (k - 1) * d // 2  # then no window lies outside
        lo, hi = draw(st.integers(0, most)), draw(st.integers(0, most))
        n = draw(st.integers(max(1, (k - 1) * d + 1 - lo), (k - 1) * d + few))
        outputs = (n + lo + hi - (k - 1) * d - 1) // s + 1
        ceiling = -(-(n + lo + hi - (k - 1) * d - 1) // s) + 1
        if draw(st.booleans()) and (ceiling - 1) * s < n + lo and meets(ceiling - 1, s, lo, d, k, n):
            outputs = ceiling
        if not all(meets(o, s, lo, d, k, n) for o in range(outputs)):
            n = (k - 1) * d + 1 - lo  # one window
            n, outputs, hi = max(n, d), 1, 0
        for target, value in zip(
            (kernel, stride, dilation, low, size, high, out), (k, s, d, lo, n, hi, outputs), strict=True
        ):
            target.append(value)
    channels = draw(st.sampled_from([1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100]))
    return pool(
        draw(st.sampled_from(["max", "mean"])),
        (draw(st.integers(1, 2)), *size, channels),
        tuple(kernel),
        tuple(stride),
        dilation=tuple(dilation),
        low=tuple(low),
        high=tuple(high),
        out_size=tuple(out),
        counts_padding=draw(st.booleans()),
        x_extra=draw(st.sampled_from([0, 0, 5])),
        y_extra=draw(st.sampled_from([0, 0, 3])),
        dtype=draw(st.sampled_from(["float32", "float64"])),
    )


def meets(o: int, stride: int, low: int, dilation: int, kernel: int, size: int) -> bool:
    return any(0 <= o * stride - low + t * dilation < size for t in range(kernel))


def seen(memory: Array, p: Pool, strides: tuple[int, ...], space: tuple[int, ...]) -> Array:
    steps = [step * memory.itemsize for step in (*strides, 1)]
    return np.lib.stride_tricks.as_strided(memory, (p.num_samples, *space, p.channels), steps)


def span(p: Pool, strides: tuple[int, ...], space: tuple[int, ...]) -> int:
    return sum((n - 1) * s for n, s in zip((p.num_samples, *space), strides, strict=True)) + p.channels


@settings(max_examples=200, deadline=None)
@given(
    pools(), st.integers(0, 2**32 - 1), st.booleans(), st.booleans(), st.sampled_from(["numbers", "integers", "ends"])
)
def test_every_pool(p: Pool, seed: int, is_fine: bool, is_at_end: bool, what: str) -> None:
    rng = np.random.default_rng(seed)
    memory = np.empty(span(p, p.x_strides, p.in_size), p.dtype)
    memory[...] = rng.integers(-9, 10, memory.size) if what == "integers" else rng.standard_normal(memory.size)
    if what == "ends":
        memory[...] = rng.choice(
            [np.nan, np.inf, -np.inf, -np.inf, 1.0, -2.0], memory.size, p=[0.05, 0.1, 0.4, 0.25, 0.1, 0.1]
        )
    x = seen(memory, p, p.x_strides, p.in_size)
    expected = expected_of(p, x)
    y = np.full(span(p, p.y_strides, p.out_size), -77.0, p.dtype)
    result = run_on_pages(plan(p, FINE if is_fine else HOST), [memory], y, is_at_end)
    found = seen(result, p, p.y_strides, p.out_size).copy()
    count = prod(p.kernel_size)
    if what == "numbers" and p.kind == "mean":
        np.testing.assert_allclose(found, expected, rtol=0, atol=(count + 2) * np.finfo(p.dtype).eps * abs(x).max())
    else:
        rounded = expected.astype(p.dtype)
        np.testing.assert_array_equal(found, rounded, err_msg=repr(p))
    seen(result, p, p.y_strides, p.out_size)[...] = -77.0
    assert (result == -77.0).all(), "written between the results"


@pytest.mark.parametrize("counts_padding", [True, False])
@pytest.mark.parametrize("ceil_mode", [True, False])
@pytest.mark.parametrize(
    ("size", "k", "s", "pad"), [(15, 3, 2, 1), (16, 3, 2, 1), (14, 4, 3, 2), (9, 2, 2, 0), (5, 5, 3, 2)]
)
def test_pytorchs_divisors(size: int, k: int, s: int, pad: int, ceil_mode: bool, counts_padding: bool) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (2, size, size + 1, 5)).astype("f4")
    theirs = torch.nn.functional.avg_pool2d(
        torch.from_numpy(x).permute(0, 3, 1, 2), k, s, pad, ceil_mode, counts_padding
    ).permute(0, 2, 3, 1)
    out = tuple(theirs.shape[1:3])
    p = pool("mean", x.shape, k, s, low=pad, high=pad, out_size=out, counts_padding=counts_padding)
    y = np.empty(theirs.shape, "f4")
    run(plan(p, HOST), [x], y)
    np.testing.assert_allclose(y, theirs.numpy(), rtol=1e-6, atol=1e-6)


def test_windows_of_padding_only_are_refused() -> None:
    with pytest.raises(ValueError, match="meets padding only"):
        plan(pool("max", (1, 5, 3), 2, 1, low=2, out_size=(4,)), HOST)
    with pytest.raises(ValueError, match="takes the max or the mean"):
        plan(pool("sum", (1, 5, 3), 2, 1), HOST)
