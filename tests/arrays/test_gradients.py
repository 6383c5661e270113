"""Both gradients and the transposed convolution against the oracle, on the whole space of specs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checking import Array, options_of, plain_options, python, random_dy, repro
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from strategies import conv_specs, random_arrays

import faltung as ft
from faltung import reference

SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
TRANSPOSED = {1: ft.conv1d_transpose, 2: ft.conv2d_transpose, 3: ft.conv3d_transpose}


def without_epilogue(spec: ft.ConvSpec) -> ft.ConvSpec:
    return spec.replace(bias=False, activation=None)


def assert_within(result: Array, expected: Array, bound: Array, line: str) -> None:
    assert result.shape == expected.shape, f"{line}: {result.shape}"
    wrong = np.flatnonzero(~(abs(result - expected) <= bound))
    assert not wrong.size, f"{line}: {wrong.size} of {result.size} wrong, first at {wrong[:1]}"


@settings(max_examples=150, **SLOW)
@given(conv_specs().map(without_epilogue), st.integers(0, 2**31))
def test_gradients_lie_within_the_bound(spec: ft.ConvSpec, seed: int) -> None:
    x, kernel, _ = random_arrays(spec, seed)
    dy, line = random_dy(spec, seed), repro(spec, seed)
    dx = ft.input_gradient(dy, kernel, spec.input_shape, **plain_options(spec))
    expected, bound = (
        function(dy, kernel, spec=spec) for function in (reference.input_gradient, reference.input_gradient_bound)
    )
    assert_within(dx, expected, bound, f"{line} dx")
    dw = ft.kernel_gradient(x, dy, spec.kernel_size, **plain_options(spec))
    expected, bound = (
        function(x, dy, spec=spec) for function in (reference.kernel_gradient, reference.kernel_gradient_bound)
    )
    assert_within(dw, expected, bound, f"{line} dw")


@settings(max_examples=100, **SLOW)
@given(conv_specs(precisions=["exact"]).map(without_epilogue), st.integers(0, 2**31))
def test_small_integers_come_out_exactly(spec: ft.ConvSpec, seed: int) -> None:
    x, kernel, _ = random_arrays(spec, seed, integers=True)
    dy, line = random_dy(spec, seed, integers=True), repro(spec, seed)
    dx = ft.input_gradient(dy, kernel, spec.input_shape, **plain_options(spec))
    np.testing.assert_array_equal(dx, reference.input_gradient(dy, kernel, spec=spec), err_msg=line)
    dw = ft.kernel_gradient(x, dy, spec.kernel_size, **plain_options(spec))
    np.testing.assert_array_equal(dw, reference.kernel_gradient(x, dy, spec=spec), err_msg=line)


@settings(max_examples=25, **SLOW)
@given(conv_specs(max_macs=2_000_000).map(without_epilogue), st.integers(0, 2**31))
def test_bits_do_not_depend_on_threads(spec: ft.ConvSpec, seed: int) -> None:
    x, kernel, _ = random_arrays(spec, seed)
    dy, options = random_dy(spec, seed), plain_options(spec)
    before = ft.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            ft.set_num_threads(threads)
            dx = ft.input_gradient(dy, kernel, spec.input_shape, **options)
            dw = ft.kernel_gradient(x, dy, spec.kernel_size, **options)
            results.append((dx.tobytes(), dw.tobytes()))
    finally:
        ft.set_num_threads(before)
    assert results[0] == results[1] == results[2], repro(spec, seed)


@settings(max_examples=40, **SLOW)
@given(conv_specs().map(without_epilogue), st.integers(0, 2**31))
def test_any_memory_order_and_out_give_the_same(spec: ft.ConvSpec, seed: int) -> None:
    assume(0 not in spec.output_shape)
    x, kernel, _ = random_arrays(spec, seed)
    dy, options = random_dy(spec, seed), plain_options(spec)
    dx = ft.input_gradient(dy, kernel, spec.input_shape, **options)
    dw = ft.kernel_gradient(x, dy, spec.kernel_size, **options)
    loose_dx = np.zeros((*dx.shape, 2), dx.dtype)[..., 0]
    loose_dw = np.asfortranarray(np.zeros(dw.shape, dw.dtype))
    foreign = dy.astype(dy.dtype.newbyteorder(">"))
    got = ft.input_gradient(foreign, np.asfortranarray(kernel), spec.input_shape, out=loose_dx, **options)
    assert got is loose_dx
    np.testing.assert_array_equal(got, dx, err_msg=repro(spec, seed))
    got = ft.kernel_gradient(np.asfortranarray(x), foreign, spec.kernel_size, out=loose_dw, **options)
    np.testing.assert_array_equal(got, dw, err_msg=repro(spec, seed))


# --- transposed convolution


@settings(max_examples=60, **SLOW)
@given(conv_specs().filter(lambda spec: spec.padding_mode == "zeros"), st.integers(0, 2**31))
def test_a_transposed_convolution_is_the_adjoint_with_bias_and_activation(spec: ft.ConvSpec, seed: int) -> None:
    assume(0 not in spec.output_shape and 0 not in spec.input_shape)
    sizes = zip(spec.in_size, spec.out_size, spec.effective_kernel, spec.stride, spec.padding, strict=True)
    more = [size - ((out - 1) * step + window - sum(pair)) for size, out, window, step, pair in sizes]
    assume(all(extra < max(s, d) for extra, s, d in zip(more, spec.stride, spec.dilation, strict=True)))
    assume(all(extra >= 0 for extra in more))
    _, kernel, _ = random_arrays(spec, seed)
    x = random_dy(spec, seed)
    bias = np.random.default_rng(seed).standard_normal(spec.in_channels).astype(spec.dtype) if spec.bias else None
    options = options_of(spec)
    del options["padding_mode"]
    y = TRANSPOSED[spec.rank](x, kernel, bias, output_padding=tuple(more), **options)
    plain = without_epilogue(spec)
    before = reference.input_gradient(x, kernel, spec=plain)
    if bias is not None:
        before = before + bias.reshape(-1 if spec.is_channels_last else (-1,) + (1,) * spec.rank).astype(np.float64)
    expected = reference.activate(before, spec.activation, spec.activation_parameter)
    eps = np.finfo(spec.dtype).eps
    bound = 2 * reference.input_gradient_bound(x, kernel, spec=plain) + 20 * eps * (1 + abs(before) + abs(expected))
    assert_within(y, expected, bound, repro(spec, seed))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_convolution_is_pytorchs(stride: int, dilation: int, groups: int) -> None:
    rng = np.random.default_rng(stride)
    x, kernel, bias = rng.standard_normal((2, 4, 9)), rng.standard_normal((4, 3, 5)), rng.standard_normal(3 * groups)
    more = max(stride, dilation) - 1
    expected = torch.nn.functional.conv_transpose1d(
        *map(torch.tensor, (x, kernel, bias)),
        stride=stride,
        padding=2,
        output_padding=more,
        dilation=dilation,
        groups=groups,
    )
    y = ft.conv1d_transpose(
        *(x, kernel, bias),
        stride=stride,
        padding=2,
        output_padding=more,
        dilation=dilation,
        groups=groups,
        layout="NCW",
        kernel_layout="OIW",
    )
    np.testing.assert_allclose(y, expected.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("padding", "size", "taps", "stride", "more", "expected"),
    [
        ("same", 10, 3, 2, None, 20),
        ("valid", 10, 3, 2, None, 21),
        ("valid", 10, 2, 3, None, 30),
        ("same", 10, 4, 2, 1, 19),
        ("valid", 9, 4, 3, 1, 29),
        (1, 10, 3, 2, None, 19),
        ([(0, 2)], 10, 3, 1, None, 10),
    ],
)
def test_sizes_of_transposed_convolutions(
    padding: Any, size: int, taps: int, stride: int, more: int | None, expected: int
) -> None:
    x, kernel = np.ones((1, size, 2)), np.ones((taps, 3, 2))
    y = ft.conv1d_transpose(x, kernel, stride=stride, padding=padding, output_padding=more)
    assert y.shape == (1, expected, 3)


def test_what_a_transposed_convolution_remembers_is_told_by_types_too() -> None:
    """Calls that differ in memory order, options, their types or the bias are different calls, warm or not."""
    rng = np.random.default_rng(0)
    x, kernel, bias = rng.standard_normal((2, 9, 4)), rng.standard_normal((5, 3, 4)), rng.standard_normal(3)
    calls: list[dict[str, Any]] = [
        {"stride": 2},
        {"stride": 2, "output_padding": 1},
        {"stride": (2,), "padding": [1]},
        {"bias": bias},
        {"bias": bias, "activation": "relu"},
        {"bias": bias, "activation": ("leaky_relu", 0.3)},
    ]
    for dtype in ("f8", ">f8", "f4"):
        for order in (np.ascontiguousarray, np.asfortranarray):
            a, b = (order(array.astype(dtype)) for array in (x, kernel))
            for told in calls:
                options = told | ({"bias": told["bias"].astype(dtype)} if "bias" in told else {})
                first, again = (ft.conv1d_transpose(a, b, **options) for _ in range(2))
                fresh = ft.conv1d_transpose(a.tolist(), b.tolist(), **told)  # lists are float64, and not remembered
                np.testing.assert_array_equal(first, again)
                np.testing.assert_allclose(first, fresh, rtol=0, atol=1e-4 if dtype == "f4" else 1e-12)
                out = np.zeros((*first.shape, 2), first.dtype)[..., 0]
                assert ft.conv1d_transpose(a, b, out=out, **options) is out
                np.testing.assert_array_equal(out, first)
    with pytest.raises(ft.ShapeError, match=r"stride must be an integer.*; got True"):
        ft.conv1d_transpose(x, kernel, stride=True)


# --- errors


def read_only(shape: tuple[int, ...]) -> Array:
    array = np.ones(shape, "f4")
    array.flags.writeable = False
    return array


X, KERNEL, DY = np.ones((2, 10, 3), "f4"), np.ones((3, 3, 4), "f4"), np.ones((2, 8, 4), "f4")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: ft.input_gradient(DY[:, 1:], KERNEL, X.shape),
            r"input_gradient: dy must have the shape .*; got \(2, 7, 4\)",
        ),
        (lambda: ft.kernel_gradient(X, DY[:1], 3), r"kernel_gradient: dy must have the shape .*; got \(1, 8, 4\)"),
        (lambda: ft.input_gradient(DY, KERNEL.astype("f8"), X.shape), "input_gradient: .* must have one dtype"),
        (
            lambda: ft.kernel_gradient(X[0], DY, 3),
            r"kernel_gradient: x must have 3 axes, \(N, W, C\); got shape \(10, 3\)",
        ),
        (
            lambda: ft.input_gradient(DY, KERNEL, X.shape, out=np.ones((2, 9, 3), "f4")),
            r"input_gradient: out must be an array of the result's shape and type; got float32 \(2, 9, 3\). ",
        ),
        (
            lambda: ft.kernel_gradient(X, DY, 3, out=X[:1, :3, :].repeat(4, 2)[0]),
            r"kernel_gradient: out must be an array of the result's shape and type; got float32 \(3, 12\). ",
        ),
        (
            lambda: ft.conv1d_transpose(X, KERNEL),
            "conv1d_transpose: x and kernel must agree on in_channels; got 3 in x",
        ),
        (lambda: ft.conv1d_transpose(DY, KERNEL, output_padding=1), "conv1d_transpose: output_padding must be smaller"),
        (lambda: ft.conv1d_transpose(DY, KERNEL, padding=9), "conv1d_transpose: padding cuts away the whole result"),
        (
            lambda: ft.conv1d_transpose(DY, KERNEL, np.ones(4, "f4")),
            r"conv1d_transpose: the bias must have shape \(3,\)",
        ),
        (
            lambda: ft.conv1d_transpose(DY, KERNEL, out=np.empty((2, 9, 3), "f4")),
            r"conv1d_transpose: out must be an array .*; got float32 \(2, 9, 3\). Use np.empty\(\(2, 10, 3\), ",
        ),
        (
            lambda: ft.conv1d_transpose(X[:1], np.ones((1, 3, 3), "f4"), out=X[:1]),
            "conv1d_transpose: out must not share memory with x; got arrays that overlap. Use an array of its own",
        ),
        (
            lambda: ft.input_gradient(DY, KERNEL, X.shape, out=read_only(X.shape)),
            "input_gradient: out must be writable; got a read-only array. Use a copy: out.copy()",
        ),
        (
            lambda: ft.kernel_gradient(X, DY, 3, out=DY.reshape(-1)[:36].reshape(3, 3, 4)),
            "kernel_gradient: out must not share memory with dy; got arrays that overlap.",
        ),
        (lambda: ft.conv2d_transpose(DY, KERNEL), "conv2d_transpose: x and the kernel must have 4 axes"),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Array], text: str) -> None:
    with pytest.raises(ft.FaltungError, match=text):
        call()


def test_gradients_work_after_a_fork() -> None:
    program = """
import os, numpy as np, faltung as ft
x, dy = np.ones((8, 200, 16), "f4"), np.ones((8, 198, 32), "f4")
before = ft.kernel_gradient(x, dy, 3)
child = os.fork()
if child == 0:
    os._exit(0 if np.array_equal(ft.kernel_gradient(x, dy, 3), before) else 1)
assert os.waitpid(child, 0)[1] == 0
print("ok")
"""
    assert python(program).stdout == "ok\n"
