"""precision="exact" on every function: direct summation only, the bound n*eps*sum(|x||w|), denormals kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checking import Array

import faltung as ft
from faltung import reference
from faltung.arrays import all_gradients, forward, gradients, separable, transposed
from faltung.operators import convolution, epilogue_gradient
from faltung.operators import gradients as gradient_operators
from faltung.operators import separable as separable_operators

FAST = {"fft", "winograd", "fft_gradient", "winograd_gradient"}
DENORMAL = np.float32(1e-40)
ONE = ft.ConvSpec.from_text("conv1d n1 w20000 ic2 oc2 kw3000")
TWO = ft.ConvSpec.from_text("conv2d n2 h12 w12 ic16 oc16 kh3 kw3 same")


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The plans of what is called from now on; nothing is remembered from before."""
    found: list[Any] = []

    def executor_of(plan: Any) -> Any:
        found.append(plan)
        return original(plan)

    original = convolution.executor_of
    for module in (convolution, gradient_operators):
        monkeypatch.setattr(module, "executor_of", executor_of)
    calls = (forward._calls, transposed._calls, separable._calls, all_gradients._calls)
    for known in (*calls, gradients._input_gradients, gradients._kernel_gradients):
        monkeypatch.setattr(known, "_prepared", {})
    for module, name in (
        (convolution, "_compiled"),
        (gradient_operators, "input_gradient_of"),
        (gradient_operators, "kernel_gradient_of"),
        (separable_operators, "separable_of"),
    ):
        getattr(module, name).cache_clear()
    return found


def numbers(shape: tuple[int, ...], seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype("f4")


def arrays_of(spec: ft.ConvSpec) -> tuple[Array, Array, Array]:
    return numbers(spec.input_shape, 0), numbers(spec.kernel_shape, 1), numbers(spec.output_shape, 2)


CALLS: dict[str, tuple[ft.ConvSpec, Callable[..., Any]]] = {
    "conv": (ONE, lambda x, w, dy, **o: ft.conv(x, w, **o)),
    "conv1d": (ONE, lambda x, w, dy, **o: ft.conv1d(x, w, **o)),
    "conv2d": (TWO, lambda x, w, dy, **o: ft.conv2d(x, w, padding="same", **o)),
    "conv3d": (TWO, lambda x, w, dy, **o: ft.conv3d(x[:, None], w[None], padding=[0, 1, 1], **o)),
    "conv1d_transpose": (ONE, lambda x, w, dy, **o: ft.conv1d_transpose(dy, w, **o)),
    "conv2d_transpose": (TWO, lambda x, w, dy, **o: ft.conv2d_transpose(dy, w, padding=1, **o)),
    "conv3d_transpose": (TWO, lambda x, w, dy, **o: ft.conv3d_transpose(dy[:, None], w[None], padding=[0, 1, 1], **o)),
    "input_gradient": (ONE, lambda x, w, dy, **o: ft.input_gradient(dy, w, x.shape, **o)),
    "input_gradient 2d": (TWO, lambda x, w, dy, **o: ft.input_gradient(dy, w, x.shape, padding="same", **o)),
    "kernel_gradient": (ONE, lambda x, w, dy, **o: ft.kernel_gradient(x, dy, 3000, **o)),
    "kernel_gradient 2d": (TWO, lambda x, w, dy, **o: ft.kernel_gradient(x, dy, (3, 3), padding="same", **o)),
    "conv_gradients": (ONE, lambda x, w, dy, **o: ft.conv_gradients(x, w, dy, activation="gelu", **o)),
    "depthwise_conv1d": (ONE, lambda x, w, dy, **o: ft.depthwise_conv1d(x, w[..., :1], **o)),
    "depthwise_conv2d": (TWO, lambda x, w, dy, **o: ft.depthwise_conv2d(x, w[..., :1], padding="same", **o)),
    "separable_conv1d": (ONE, lambda x, w, dy, **o: ft.separable_conv1d(x, w[..., :1], w[:1], **o)),
    "separable_conv2d": (TWO, lambda x, w, dy, **o: ft.separable_conv2d(x, w[..., :1], w[:1, :1], **o)),
}


@pytest.mark.parametrize("name", CALLS)
def test_exact_is_direct_summation(name: str, plans: list[Any]) -> None:
    spec, call = CALLS[name]
    arrays = arrays_of(spec)
    call(*arrays, precision="exact")
    assert plans and {plan.problem.precision for plan in plans} == {"exact"}
    assert not FAST & {plan.algorithm for plan in plans}
    del plans[:]
    call(*arrays)
    assert {plan.problem.precision for plan in plans} == {"high"}
    if spec is ONE and "2d" not in name:  # or nothing would have been shown
        assert FAST & {plan.algorithm for plan in plans}


@pytest.mark.parametrize("spec", [ONE, TWO], ids=str)
def test_exact_results_lie_within_the_bound_of_direct_summation(spec: ft.ConvSpec) -> None:
    exact = spec.replace(precision="exact")
    x, kernel, dy = arrays_of(spec)
    options: dict[str, Any] = {"padding": spec.padding, "precision": "exact"}
    transpose = getattr(ft, f"{spec.name}_transpose")(dy, kernel, **options)
    dx = ft.input_gradient(dy, kernel, x.shape, **options)
    dw = ft.kernel_gradient(x, dy, spec.kernel_size, **options)
    all_dx, all_dw, _ = ft.conv_gradients(x, kernel, dy, **options)
    np.testing.assert_array_equal(transpose, dx)
    np.testing.assert_array_equal(all_dx, dx)
    np.testing.assert_array_equal(all_dw, dw)
    error = abs(dx - reference.input_gradient(dy, kernel, spec=exact))
    assert np.all(error <= reference.input_gradient_bound(dy, kernel, spec=exact))
    error = abs(dw - reference.kernel_gradient(x, dy, spec=exact))
    assert np.all(error <= reference.kernel_gradient_bound(x, dy, spec=exact))


@pytest.mark.parametrize("name", CALLS)
def test_exact_keeps_denormals(name: str) -> None:
    spec, call = CALLS[name]
    x, kernel, dy = map(np.ones_like, arrays_of(spec))
    x = x if "gradient" in name else x * DENORMAL
    results = call(x, kernel, dy * DENORMAL, precision="exact")
    for result in results if isinstance(results, tuple) else (results,):
        assert result is None or result.any(), name


@pytest.mark.parametrize("precision", ["high", "exact"])
def test_the_gradient_of_the_epilogue_keeps_them_too(precision: str) -> None:
    x, kernel = np.ones((2, 9, 4), "f4"), np.ones((3, 4, 4), "f4")
    dy = np.full((2, 7, 4), DENORMAL)
    *_, dbias = ft.conv_gradients(x, kernel, dy, np.ones(4, "f4"), activation="relu", precision=precision)
    assert dbias is not None and bool(dbias.any()) == (precision == "exact")
    outputs = ft.ConvSpec.from_text("conv1d n2 w9 ic4 oc4 kw3 bias relu").replace(precision=precision)
    plan = epilogue_gradient.epilogue_gradient_of(outputs).plan
    assert plan is not None and plan.keeps_denormals == (precision == "exact")


def test_a_precision_that_is_none_is_refused() -> None:
    x, kernel, dy = arrays_of(TWO)
    for name in ("conv2d_transpose", "input_gradient 2d", "kernel_gradient 2d", "depthwise_conv2d", "separable_conv2d"):
        with pytest.raises(ft.ShapeError, match=r"^\w+: precision must be high or exact; got 'best'"):
            CALLS[name][1](x, kernel, dy, precision="best")
