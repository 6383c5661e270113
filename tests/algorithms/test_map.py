"""Maps against NumPy in float64: functions, strides of all kinds, ends, and nothing outside."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checking import FINE_TASKS, with_costs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from running import Array, run, run_on_pages

import faltung as ft
from faltung.algorithms.map.plan import Map, plan
from faltung.codegen.functions import FUNCTIONS
from faltung.plan.expression import NUM_TERMS, functions_of
from faltung.runtime import processor
from faltung.runtime.launch import Launch
from faltung.spec.activation import ACTIVATIONS

HOST = processor.current()
FINE = with_costs(HOST, **FINE_TASKS, passes={"unit_numbers": 40, "crossed_rows": 32, "crossed_line": 64})


def computed(expression: Any, *operands: Array) -> Array:
    """Return the map of operands of one size."""
    y = np.full_like(operands[0], np.nan)
    run(plan(Map(y.shape, ((1,),) * len(operands), (1,), expression, y.dtype.name), HOST), operands, y)
    return y


# --- functions

T = torch.nn.functional
UNARY: dict[str, tuple[Callable[[Any], Any], float]] = {
    # what float64 gives, and the error in eps of max(|x|, |y|, 1)
    "sqrt": (torch.sqrt, 1),
    "rsqrt": (torch.rsqrt, 2),
    "exp": (torch.exp, 3),
    "log": (torch.log, 2),
    "abs": (torch.abs, 0),
    "neg": (torch.neg, 0),
    "reciprocal": (torch.reciprocal, 1),
    "square": (torch.square, 1),
    "sin": (torch.sin, 2),
    "erf": (torch.erf, 2),
    "softsign": (T.softsign, 2),
    "log_sigmoid": (T.logsigmoid, 2),
    "mish": (T.mish, 3),
    "relu": (T.relu, 0),
    "relu6": (T.relu6, 0),
    "leaky_relu": (lambda x: T.leaky_relu(x, 0.2), 1),
    "elu": (T.elu, 2),
    "selu": (T.selu, 2),
    "gelu": (T.gelu, 3),
    "gelu_tanh": (lambda x: T.gelu(x, approximate="tanh"), 3),
    "silu": (T.silu, 3),
    "sigmoid": (torch.sigmoid, 2),
    "tanh": (torch.tanh, 2),
    "softplus": (T.softplus, 3),
    "hard_sigmoid": (T.hardsigmoid, 2),
    "hard_silu": (T.hardswish, 2),
}
OTHERS: dict[str, tuple[Any, Callable[..., Any]]] = {
    "add": (("add", 0, 1), torch.add),
    "sub": (("sub", 0, 1), torch.sub),
    "mul": (("mul", 0, 1), torch.mul),
    "div": (("div", 0, 1), torch.div),
    "maximum": (("maximum", 0, 1), torch.maximum),
    "minimum": (("minimum", 0, 1), torch.minimum),
    "prelu": (("prelu", 0, 1), lambda x, a: torch.where(x < 0, a * x, x)),
    "snake": (
        ("snake", 0, ("add", ("abs", 1), 0.1)),
        lambda x, a: x + torch.sin((abs(a) + 0.1) * x) ** 2 / (abs(a) + 0.1),
    ),
    "clip": (("clip", 0, -1.5, 2.0), lambda x, _: torch.clip(x, -1.5, 2.0)),
    "linear_sigmoid": (("linear_sigmoid", 0, 0.2, 0.5), lambda x, _: torch.clip(0.2 * x + 0.5, 0, 1)),
    "linear_silu": (("linear_silu", 0, 0.2, 0.5), lambda x, _: x * torch.clip(0.2 * x + 0.5, 0, 1)),
    "thresholded_relu": (("thresholded_relu", 0, 1.0), lambda x, _: T.threshold(x, 1.0, 0.0)),
    "pow": (("pow", ("abs", 0), ("clip", 1, -3.0, 3.0)), lambda x, p: abs(x) ** torch.clip(p, -3, 3)),
}
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 3.0, -3.0, 88.0, -88.0, 1e4, -1e4]


def float64_of(function: Callable[..., Any], *operands: Array) -> Array:
    result: Array = function(*(torch.from_numpy(x.astype("f8")) for x in operands)).numpy()
    return result


def assert_near(y: Array, expected: Array, most_eps: float, scale: Any = 1.0) -> None:
    eps, most = np.finfo(y.dtype).eps, np.finfo(y.dtype).max
    expected = np.where(abs(expected) > most, np.copysign(np.inf, expected), expected)
    is_number = np.isfinite(expected)
    np.testing.assert_array_equal(y[~is_number], expected[~is_number].astype(y.dtype))
    error = abs(y[is_number].astype("f8") - expected[is_number])
    allowed = most_eps * eps * np.maximum(abs(expected[is_number]), np.broadcast_to(scale, y.shape)[is_number])
    worst = (error - allowed).argmax() if error.size else 0
    assert (error <= allowed).all(), f"{y[is_number][worst]!r} for {expected[is_number][worst]!r}"


def test_every_function_is_tested() -> None:
    assert FUNCTIONS.keys() == NUM_TERMS.keys()
    assert UNARY.keys() | OTHERS.keys() == NUM_TERMS.keys() | ACTIVATIONS.keys()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_term(name: str, dtype: str) -> None:
    function, most = UNARY[name]
    parameter = ACTIVATIONS.get(name)
    rng = np.random.default_rng(1)
    x = np.concatenate([np.linspace(-12, 12, 1001), rng.standard_normal(500) * 40, SPECIAL]).astype(dtype)
    if dtype == "float64" and name == "softplus":  # PyTorch's is a straight line from 20 on
        x = x[~(x > 19)]
    y = computed((name, 0) if parameter is None else (name, 0, parameter), x)
    with np.errstate(all="ignore"):
        expected = float64_of(function, x)
    if name in ("log_sigmoid", "mish") or name in ACTIVATIONS:  # infinity times zero, or a limit: test_activation.py
        x, y, expected = x[3:-14], y[3:-14], expected[3:-14]
    assert_near(y, expected, most, np.maximum(abs(np.nan_to_num(x)), 1.0) if name in ACTIVATIONS else 1.0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OTHERS)
def test_functions_of_more_terms(name: str, dtype: str) -> None:
    expression, function = OTHERS[name]
    rng = np.random.default_rng(2)
    x, z = (rng.standard_normal((2, 777)) * 3).astype(dtype)
    assert_near(computed(expression, x, z), float64_of(function, x, z), 16 if name == "pow" else 3, 4.0)


@pytest.mark.parametrize("name", ["log", "exp", "sin", "rsqrt", "erf"])
def test_relative_errors(name: str) -> None:
    """Far from 1, and near a zero of the function."""
    x = np.concatenate([np.geomspace(1e-30, 80, 3000), 1 + np.geomspace(1e-6, 0.4, 500)]).astype("f4")
    expected = float64_of(UNARY[name][0], x)
    error = abs(computed((name, 0), x) - expected) / np.maximum(abs(expected), 1e-30)
    is_near_pi = name == "sin" and abs(expected) < 1e-3
    assert np.where(is_near_pi & (x > 1), 0, error).max() < 4 * np.finfo("f4").eps


def test_the_sine_of_large_numbers() -> None:
    x = np.random.default_rng(0).uniform(-2e4, 2e4, 5000)
    for dtype, most in (("f4", 4e-7), ("f8", 1e-15)):
        assert abs(computed(("sin", 0), x.astype(dtype)) - np.sin(x.astype(dtype).astype("f8"))).max() < most


@pytest.mark.parametrize("exponent", [2.0, 3.0, -1.0, -2.0, 0.0, 0.5, -0.5, 7.0, 1.3, 64.0, -0.7])
def test_known_powers(exponent: float) -> None:
    x = np.random.default_rng(0).uniform(0.4, 3.0, 333).astype("f4")
    expected = x.astype("f8") ** exponent
    np.testing.assert_allclose(
        computed(("pow", 0, exponent), x), expected, rtol=2e-5 if exponent == 64 else 4e-6, atol=1e-37
    )
    if exponent == int(exponent):
        np.testing.assert_allclose(
            computed(("pow", 0, exponent), -x), (-x.astype("f8")) ** exponent, rtol=2e-5, atol=1e-37
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_wins_and_small_integers_are_exact(dtype: str) -> None:
    a, b = (
        grid.ravel().astype(dtype)
        for grid in np.meshgrid([np.nan, -np.inf, np.inf, *range(-6, 7)], [np.nan, *range(-6, 7)])
    )
    for name, function in {"add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}.items():
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(computed((name, 0, 1), a, b), function(a, b))
    for name in ("clip", "linear_sigmoid"):
        assert np.isnan(computed((name, 0, -1.0, 1.0), a)[np.isnan(a)]).all()
    assert np.isnan(computed(("thresholded_relu", 0, 1.0), a)[np.isnan(a)]).all()


@pytest.mark.parametrize("bad", [("add", 0), ("nothing", 0), ("relu", 0, 1.0), ("elu", 0, 1), True, None])
def test_what_is_no_expression_is_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="is no expression"):
        list(functions_of(bad))


# --- strides

EDGES = [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65, 130]


def strided(rng: np.random.Generator, sizes: tuple[int, ...], is_result: bool) -> tuple[tuple[int, ...], int, int]:
    """Strides of a random layout, the offset of the first number, and how many numbers it spans."""
    strides, span, offset = [0] * len(sizes), 1, 0
    for axis in rng.permutation(len(sizes)):
        kind = rng.integers(6)
        if kind == 0 and not is_result:
            continue  # repeated
        step = span + int(rng.integers(0, 4)) * (kind == 1)
        strides[axis], span = step, span + (sizes[axis] - 1) * step
        if kind == 2:
            strides[axis], offset = -step, offset + (sizes[axis] - 1) * step
    return tuple(strides), offset, span


@settings(max_examples=250, deadline=None)
@given(
    st.lists(st.sampled_from(EDGES), min_size=1, max_size=4).filter(lambda sizes: math.prod(sizes) < 20_000),
    st.integers(0, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["float32", "float64"]),
    st.booleans(),
    st.booleans(),
)
def test_all_strides(sizes: list[int], count: int, seed: int, dtype: str, is_fine: bool, is_at_end: bool) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(sizes)
    layouts = [strided(rng, shape, False) for _ in range(count)]
    memories = [rng.integers(-9, 10, span).astype(dtype) for _, _, span in layouts]
    y_strides, y_offset, y_span = strided(rng, shape, True)
    expression: Any = 0 if count else 2.5
    for n in range(1, count):
        expression = ("sub", ("add", expression, 1.0), n)
    made = plan(Map(shape, tuple(s for s, _, _ in layouts), y_strides, expression, dtype), FINE if is_fine else HOST)

    def seen(memory: Array, layout: tuple[tuple[int, ...], int, int]) -> Array:
        steps = [step * memory.itemsize for step in layout[0]]
        return as_strided(memory[layout[1] :], shape, steps)

    views = [seen(memory, layout) for memory, layout in zip(memories, layouts, strict=True)]
    expected = np.full(y_span, -77.0, dtype)
    values = views[0].copy() if count else np.full(shape, 2.5)
    for view in views[1:]:
        values = values + 1 - view
    seen(expected, (y_strides, y_offset, y_span))[...] = values
    offsets = [offset for _, offset, _ in layouts]
    result = run_on_pages(made, memories, np.full(y_span, -77.0, dtype), is_at_end, offsets, y_offset)
    np.testing.assert_array_equal(result, expected, err_msg=repr(made.problem))


@pytest.mark.parametrize(("n", "w", "c"), [(1, 1, 5), (2, 31, 33), (3, 100, 3), (2, 129, 16), (1, 7, 300), (2, 64, 64)])
def test_layouts_change_places(n: int, w: int, c: int) -> None:
    x = np.random.default_rng(0).standard_normal((n, c, w)).astype("f4")
    y, back = np.empty((n, w, c), "f4"), np.empty_like(x)
    to = plan(Map((n, w, c), ((c * w, 1, w),), (c * w, c, 1), 0, "float32"), HOST)
    run(to, [x], y)
    np.testing.assert_array_equal(y, x.transpose(0, 2, 1))
    run(plan(Map((n, c, w), ((c * w, 1, c),), (c * w, w, 1), 0, "float32"), HOST), [y], back)
    np.testing.assert_array_equal(back, x)
    assert to.kernel.is_tiled == (min(w, c) > 8)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 8),
    st.integers(64, 150),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["float32", "float64"]),
    *[st.booleans()] * 4,
)
def test_interleaved_rows(
    c: int, w: int, n: int, seed: int, dtype: str, is_x_last: bool, is_y_last: bool, is_fine: bool, is_at_end: bool
) -> None:
    """Few channels, first or last in x and in y, with a number for each channel."""
    rng = np.random.default_rng(seed)
    x, scale = rng.integers(-9, 10, (n, c, w)).astype(dtype), rng.integers(-9, 10, c).astype(dtype)
    last, first = (c * w, 1, c), (c * w, w, 1)
    strides = (last if is_x_last else first, (0, 1, 0))
    request = Map((n, c, w), strides, last if is_y_last else first, ("mul", 0, 1), dtype)
    made = plan(request, FINE if is_fine else HOST)
    assert made.kernel.rows == (c if is_x_last or is_y_last else 0)
    given_x = np.ascontiguousarray(x.transpose(0, 2, 1)) if is_x_last else x
    y = run_on_pages(made, [given_x, scale], np.empty(x.size, dtype), is_at_end)
    y = y.reshape(n, w, c).transpose(0, 2, 1) if is_y_last else y.reshape(x.shape)
    np.testing.assert_array_equal(y, x * scale[:, None])


def test_in_place_and_four_operands() -> None:
    rng = np.random.default_rng(0)
    x, scale, shift, residual = rng.integers(-9, 9, (4, 50, 33)).astype("f4")
    scale, shift = scale[0].copy(), shift[0].copy()
    expected = np.maximum(x * scale + shift + residual, 0)
    strides = ((33, 1), (0, 1), (0, 1), (33, 1))
    expression = ("relu", ("add", ("add", ("mul", 0, 1), 2), 3))
    made = plan(Map((50, 33), strides, (33, 1), expression, "float32"), HOST)
    run(made, [x, scale, shift, residual], x)
    np.testing.assert_array_equal(x, expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_launcher_runs_it_on_any_number_of_threads(threads: int) -> None:
    x, z, y = np.random.default_rng(0).standard_normal((3, 100_003)).astype("f4")
    launch = Launch(plan(Map((100_003,), ((1,), (1,)), (1,), ("silu", ("add", 0, 1)), "float32"), FINE))
    assert launch.plan.num_tasks > 20
    before = ft.get_num_threads()
    try:
        ft.set_num_threads(threads)
        launch.at(x.ctypes.data, z.ctypes.data, 0, y.ctypes.data)
    finally:
        ft.set_num_threads(before)
    assert y.tobytes() == computed(("silu", ("add", 0, 1)), x, z).tobytes()


def test_axes_that_are_one_become_one() -> None:
    made = plan(Map((4, 5, 6), ((30, 6, 1), (0, 0, 0)), (30, 6, 1), ("add", 0, 1), "float32"), HOST)
    assert (made.parameters.line.size, made.parameters.rows.size, made.kernel.outer_axes) == (120, 1, 0)


@pytest.mark.parametrize(
    "request_",
    [
        Map((2,) * 7, (), (1,) * 7, 1.0, "float32"),
        Map((2,), ((1,),) * 5, (1,), 0, "float32"),
        Map((2,), ((1, 1),), (1,), 0, "float32"),
        Map((2,), ((1,),), (1,), 1, "float32"),
        Map((0,), ((1,),), (1,), 0, "float32"),
    ],
)
def test_wrong_requests_are_refused(request_: Map) -> None:
    with pytest.raises(ValueError, match=r"than a map takes|uses an operand"):
        plan(request_, HOST)
