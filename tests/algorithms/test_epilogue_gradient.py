"""The gradient of bias and activation, alone and with both gradients behind it, against the oracle and PyTorch."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from checking import Array, call, options_of, random_dy, repro
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import conv_specs, random_arrays

import faltung as ft
from faltung import reference
from faltung.algorithms.epilogue_gradient.plan import Outputs
from faltung.operators.epilogue_gradient import EpilogueGradient
from faltung.spec import ACTIVATIONS
from faltung.spec.activation import shows_slope

SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}


def gradients_of(spec: ft.ConvSpec, x: Array, kernel: Array, dy: Array, bias: Any, y: Any = None) -> tuple[Any, ...]:
    return ft.conv_gradients(x, kernel, dy, bias, y=y, **options_of(spec))


def expected_of(spec: ft.ConvSpec, x: Array, kernel: Array, dy: Array, bias: Any) -> list[tuple[Array, Array]]:
    """dx, dkernel and dbias, each with its bound: that of its own sums, and what dz may be off carried through them."""
    dz = reference.output_gradient(x, kernel, bias, dy, spec=spec)
    off = reference.output_gradient_bound(x, kernel, bias, dy, spec=spec)
    most, absolute_x, absolute_kernel = abs(dz) + off, abs(x), abs(kernel)
    of_x, of_kernel, of_bias = reference.input_gradient, reference.kernel_gradient, reference.bias_gradient
    return [
        (
            of_x(dz, kernel, spec=spec),
            reference.input_gradient_bound(most, kernel, spec=spec) + of_x(off, absolute_kernel, spec=spec),
        ),
        (
            of_kernel(x, dz, spec=spec),
            reference.kernel_gradient_bound(x, most, spec=spec) + of_kernel(absolute_x, off, spec=spec),
        ),
        (of_bias(dz, spec=spec), reference.bias_gradient_bound(most, spec=spec) + of_bias(off, spec=spec)),
    ]


@settings(max_examples=60, **SLOW)
@given(conv_specs(), st.integers(0, 2**31), st.booleans())
def test_all_gradients_lie_within_the_bound(spec: ft.ConvSpec, seed: int, has_y: bool) -> None:
    x, kernel, bias = random_arrays(spec, seed)
    dy = random_dy(spec, seed)
    y = call(spec, x, kernel, bias) if has_y else None
    computed = gradients_of(spec, x, kernel, dy, bias, y)
    assert (computed[2] is None) == (bias is None)
    for name, result, (expected, bound) in zip(
        ("dx", "dkernel", "dbias"), computed, expected_of(spec, x, kernel, dy, bias), strict=True
    ):
        if result is None:
            continue
        assert (result.shape, result.dtype) == (expected.shape, np.dtype(spec.dtype))
        wrong = np.flatnonzero(~(abs(result - expected) <= bound))
        assert not wrong.size, f"{repro(spec, seed, has_y=has_y)} {name}: {wrong.size} of {result.size} wrong"


@settings(max_examples=25, **SLOW)
@given(conv_specs(activations=[None, "relu", "relu6", "leaky_relu"], precisions=["exact"]), st.integers(0, 2**31))
def test_small_integers_come_out_exactly(spec: ft.ConvSpec, seed: int) -> None:
    """With slopes of 0, 1 and 2; a sum is exactly 0 or 6 often enough."""
    if spec.activation == "leaky_relu":
        spec = spec.replace(activation="leaky_relu", activation_parameter=2.0)
    x, kernel, bias = random_arrays(spec, seed, integers=True)
    dy = random_dy(spec, seed, integers=True)
    computed = gradients_of(spec, x, kernel, dy, bias)
    for result, (expected, _) in zip(computed, expected_of(spec, x, kernel, dy, bias), strict=True):
        if result is not None:
            np.testing.assert_array_equal(result, expected, err_msg=repro(spec, seed))


@settings(max_examples=12, **SLOW)
@given(conv_specs(max_macs=2_000_000), st.integers(0, 2**31))
def test_bits_depend_neither_on_threads_nor_on_memory_order(spec: ft.ConvSpec, seed: int) -> None:
    x, kernel, bias = random_arrays(spec, seed)
    dy, before = random_dy(spec, seed), ft.get_num_threads()
    foreign = dy.astype(dy.dtype.newbyteorder(">"))
    results = []
    try:
        for threads in (1, 2, 3):
            ft.set_num_threads(threads)
            results.append(gradients_of(spec, x, kernel, dy, bias))
    finally:
        ft.set_num_threads(before)
    results.append(gradients_of(spec, np.asfortranarray(x), np.asfortranarray(kernel), foreign, bias))
    bits = [[None if array is None else array.tobytes() for array in arrays] for arrays in results]
    assert bits[0] == bits[1] == bits[2] == bits[3], repro(spec, seed)


# --- the pass alone

SHAPES = [  # samples, channels, positions: rows, folded and cut rows, a rest of rows; lines, blocks of lines, rests
    *[(1, 1, 1), (1, 1, 31), (3, 2, 1), (3, 15, 77), (2, 64, 1000), (5, 513, 3), (2, 5003, 7), (40, 33, 20)],
    *[(2, 33, 20), (300, 7, 65), (3, 5, 20011), (1, 1, 50021), (17, 300, 5), (600, 3, 7)],
]


def random_outputs(shape: tuple[int, int, int], dtype: str, is_last: bool, activation: str | None) -> tuple[Any, ...]:
    """The gradient of an epilogue, a source for it and dy; both lie between numbers that are NaN."""
    samples, channels, positions = shape
    parameter = ACTIVATIONS[activation] if activation else None
    outputs = Outputs(samples, channels, positions, is_last, True, activation, parameter, dtype)
    order = (samples, positions, channels) if is_last else shape
    rng = np.random.default_rng(prod(shape))
    larger = np.full((2, prod(shape) + 64), np.nan, dtype)
    larger[:, 32:-32] = rng.standard_normal((2, prod(shape)))
    return outputs, *(row[32:-32].reshape(order) for row in larger)


@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [None, "relu", "silu"])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_pass(shape: tuple[int, int, int], activation: str | None, dtype: str, is_last: bool) -> None:
    outputs, dy, source = random_outputs(shape, dtype, is_last, activation)
    slope = reference.activation_gradient(source.astype("f8"), activation)
    expected, eps = dy * slope, np.finfo(dtype).eps
    axes = (0, 1) if is_last else (0, 2)
    gradient = EpilogueGradient(outputs)
    before, bits = ft.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            ft.set_num_threads(threads)
            dz, db = gradient.run(dy, source)
            bits.add((dz.tobytes(), db.tobytes()))
    finally:
        ft.set_num_threads(before)
    assert len(bits) == 1
    assert np.all(abs(dz - expected) <= 4 * eps * abs(dy))
    # far below the bound of summing one after the other
    assert np.all(abs(db - expected.sum(axes)) <= 12 * eps * abs(expected).sum(axes) + 4 * eps)
    in_place = source.copy()
    again, db_again = gradient.run(dy, in_place, dz=in_place)
    assert again is (dy if activation is None else in_place)
    assert (again.tobytes(), db_again.tobytes()) == bits.pop()


@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 64])
def test_a_long_sum_keeps_its_digits(channels: int, is_last: bool) -> None:
    """Numbers added one after the other to a float32 lose their digits: 2**22 times 0.1 would be off by thousands."""
    positions = 2**22 // channels
    outputs = Outputs(1, channels, positions, is_last, True, None, None, "float32")
    shape = (1, positions, channels) if is_last else (1, channels, positions)
    dy = np.full(shape, 0.1, "f4")
    _, db = EpilogueGradient(outputs).run(dy, None)
    np.testing.assert_allclose(db, np.full(channels, positions * float(np.float32(0.1))), rtol=4e-6)


# --- where numbers end

TORCHS: dict[str, Callable[[Any], Any]] = {
    "relu": torch.nn.functional.relu,
    "relu6": torch.nn.functional.relu6,
    "leaky_relu": lambda z: torch.nn.functional.leaky_relu(z, 0.2),
    "elu": torch.nn.functional.elu,
    "selu": torch.nn.functional.selu,
    "gelu": torch.nn.functional.gelu,
    "gelu_tanh": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "softplus": torch.nn.functional.softplus,
    "hard_sigmoid": torch.nn.functional.hardsigmoid,
    "hard_silu": torch.nn.functional.hardswish,
}
ENDS = [0.0, -0.0, 3.0, -3.0, 6.0, -6.0, 1e-39, -1e-39, 1e-30, 40.0, -40.0, 1e4, -1e4, 1e15, -1e15, 3e38, -3e38]


def slopes_at(z: Array, name: str, parameter: float | None = None) -> Array:
    """The derivative of each number of z: x of one tap of 1 and one channel, dy of ones."""
    activation = name if parameter is None else (name, parameter)
    x = z.reshape(1, -1, 1)
    dx, _, _ = ft.conv_gradients(x, np.ones((1, 1, 1), z.dtype), np.ones_like(x), activation=activation)
    return dx.ravel()


def test_pytorch_is_asked_about_every_activation() -> None:
    assert TORCHS.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_where_numbers_end_slopes_are_pytorchs(name: str, dtype: str) -> None:
    z = np.array(ENDS * 5, dtype)
    counted = np.where(abs(z) < np.finfo(dtype).tiny, 0, z)  # denormal numbers count as zeros
    # PyTorch in float64: 1e15 cubed is still a number there
    leaf = torch.tensor(counted.astype("f8"), requires_grad=True)
    (theirs,) = torch.autograd.grad(TORCHS[name](leaf).sum(), leaf)
    is_number = np.isfinite(theirs.numpy())
    assert is_number[abs(z) < 1e30].all()
    slopes = slopes_at(z, name)
    limits = np.where(z > 0, 1.0, 0.0)  # of those functions whose derivative PyTorch gives as NaN
    # PyTorch's softplus is a straight line from 20 on, its sixth a float32
    most = 5 * np.finfo(dtype).eps + 1e-8
    np.testing.assert_allclose(slopes, np.where(is_number, theirs.numpy(), limits), rtol=0, atol=most)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_between_the_ends(name: str, dtype: str) -> None:
    z = np.linspace(-12, 12, 2401).astype(dtype)
    z = z[(abs(abs(z) - 3) > 1e-3) & (abs(z - 6) > 1e-3)]
    expected = reference.activation_gradient(z.astype("f8"), name, ACTIVATIONS[name])
    np.testing.assert_allclose(slopes_at(z, name), expected, rtol=0, atol=6 * np.finfo(dtype).eps)


@pytest.mark.parametrize("parameter", [0.0, 0.01, 0.3, 1.7, -0.5])
@pytest.mark.parametrize("name", ["leaky_relu", "elu"])
def test_parameters(name: str, parameter: float) -> None:
    z = np.linspace(-9, 9, 181)
    expected = reference.activation_gradient(z, name, parameter)
    np.testing.assert_allclose(slopes_at(z, name, parameter), expected, rtol=0, atol=4e-16)


@pytest.mark.parametrize("name", ["relu", "relu6", "hard_sigmoid", "hard_silu"])
def test_a_slope_of_zero_stops_infinity(name: str) -> None:
    x, kernel = np.full((1, 40, 1), -4.0, "f4"), np.ones((1, 1, 1), "f4")
    dx, _, dbias = ft.conv_gradients(x, kernel, np.full_like(x, np.inf), np.zeros(1, "f4"), activation=name)
    assert not dx.any() and not dbias.any()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_y_serves_where_it_determines_the_slope_and_nowhere_else(name: str) -> None:
    """A false y shows whether it was read."""
    x, kernel = np.linspace(-2, 2, 60, dtype="f4").reshape(1, 20, 3), np.ones((2, 3, 4), "f4")
    dy = np.ones((1, 19, 4), "f4")
    honest, *_ = ft.conv_gradients(x, kernel, dy, activation=name)
    given, *_ = ft.conv_gradients(x, kernel, dy, y=ft.conv1d(x, kernel, activation=name), activation=name)
    false, *_ = ft.conv_gradients(x, kernel, dy, y=np.full_like(dy, -0.25), activation=name)
    np.testing.assert_array_equal(given, honest)
    assert np.array_equal(false, honest) != shows_slope(name, ACTIVATIONS[name])


# --- errors

X, KERNEL, DY = np.ones((2, 10, 3), "f4"), np.ones((3, 3, 4), "f4"), np.ones((2, 8, 4), "f4")


@pytest.mark.parametrize(
    ("arrays", "options", "text"),
    [
        ((X, KERNEL, DY[:, 1:]), {}, r"conv_gradients: dy must have the shape .*; got \(2, 7, 4\)"),
        ((X, KERNEL, DY), {"y": DY[:1], "activation": "relu"}, r"conv_gradients: y must have the shape .*; got \(1, 8"),
        ((X, KERNEL, DY.astype("f8")), {}, r"conv_gradients: dy must .* of x, float32; got float64. Use dy.astype\("),
        ((X, KERNEL, DY), {"y": DY.astype("f8"), "activation": "relu"}, "y must have the element type of x, float32"),
        ((X, KERNEL, DY, np.ones(3, "f4")), {}, r"conv_gradients: the bias must have shape \(4,\)"),
        ((X, KERNEL, DY), {"activation": "rely"}, "conv_gradients: activation must be .*relu"),
    ],
)
def test_errors_say_what_to_do(arrays: tuple[Array, ...], options: dict[str, Any], text: str) -> None:
    with pytest.raises(ft.FaltungError, match=text):
        ft.conv_gradients(*arrays, **options)
