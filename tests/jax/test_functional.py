"""The functions: those of faltung on JAX arrays, and lax's signature with what it covers and what goes to lax."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import faltung as ft
import faltung.jax as fj
from faltung import DtypeError, ShapeError
from faltung.jax import lowering
from faltung.operators import handlers
from faltung.runtime.launch import Launch

RNG = np.random.default_rng(0)
SPATIAL = {1: (12,), 2: (9, 10), 3: (5, 6, 7)}


def randn(*shape):
    return RNG.standard_normal(shape).astype("f4")


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"padding": "same", "stride": 2, "dilation": 2},
        {"padding": 1, "padding_mode": "reflect", "activation": "gelu"},
        {"groups": 2, "kernel_layout": "OIW", "precision": "exact"},
    ],
)
def test_functions_are_those_of_faltung(rank, options):
    groups = options.get("groups", 1)
    taps = [3] * rank
    x, bias = randn(2, *SPATIAL[rank], 4), randn(6)
    kernel = randn(6, 4 // groups, *taps) if "kernel_layout" in options else randn(*taps, 4, 6)
    expected = getattr(ft, f"conv{rank}d")(x, kernel, bias, **options)
    ours = jax.jit(lambda *given: getattr(fj, f"conv{rank}d")(*given, **options))(x, kernel, bias)
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_array_equal(fj.conv(x, kernel, bias, **options), expected)


def test_more_leading_axes_and_no_samples():
    x, kernel = randn(4, 5, 12, 3), randn(3, 3, 8)
    assert_same(fj.conv1d(x, kernel), ft.conv1d(x, kernel))
    slopes = jax.grad(lambda x, kernel: fj.conv1d(x, kernel).sum(), (0, 1))
    assert [slope.shape for slope in slopes(x, kernel)] == [x.shape, kernel.shape]
    dx, dkernel = slopes(x[:0], kernel)
    assert dx.shape == (0, 5, 12, 3) and dkernel.shape == kernel.shape and not dkernel.any()
    assert fj.conv1d(x[:0], kernel, randn(8), activation="relu").shape == (0, 5, 10, 8)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "padding": "same", "activation": "relu"},
        {"stride": 3, "output_padding": 1, "dilation": 2},
        {"stride": 3, "padding": 1, "output_padding": 2},
        {"groups": 2},
    ],
)
def test_transposed_functions_are_those_of_faltung(rank, options):
    x, kernel = randn(2, *SPATIAL[rank], 4), randn(*[2] * rank, 3, 4)
    bias = randn(3 * options.get("groups", 1))
    name = f"conv{rank}d_transpose"
    ours = jax.jit(lambda *given: getattr(fj, name)(*given, **options))(x, kernel, bias)
    assert_same(ours, getattr(ft, name)(x, kernel, bias, **options))
    y, pull = jax.vjp(lambda x, kernel: getattr(fj, name)(x, kernel, **options | {"activation": None}), x, kernel)
    dx, dkernel = pull(jnp.ones_like(y))
    # linear in x and in the kernel: the adjoint identity
    np.testing.assert_allclose((dx * x).sum(), y.sum(), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose((dkernel * kernel).sum(), y.sum(), rtol=1e-3, atol=1e-2)


CASES = [  # dimension numbers, padding, stride, dilation, groups
    (("NCW", "OIW", "NCW"), "SAME", 2, 1, 1),
    (("NWC", "WIO", "NWC"), "SAME_LOWER", 2, 2, 1),
    (("NWC", "OIW", "NWC"), "VALID", 1, 2, 2),
    (None, "SAME", 2, 2, 2),
    (("NHWC", "HWIO", "NHWC"), [(1, 2), (0, 1)], 2, 1, 1),
    (("NCHW", "HWIO", "NCHW"), "VALID", 1, 1, 1),
    (("NDHWC", "DHWIO", "NDHWC"), "SAME", 1, 2, 1),
    (("NCDHW", "OIDHW", "NCDHW"), [(1, 0)] * 3, 1, 1, 2),
]


@pytest.mark.parametrize("numbers, padding, stride, dilation, groups", CASES)
def test_lax_signature(numbers, padding, stride, dilation, groups):
    layouts = numbers or ("NCHW", "OIHW", "NCHW")
    rank = len(layouts[0]) - 2
    sizes = dict(zip("DHW"[-rank:], SPATIAL[rank], strict=True)) | {"N": 2, "C": 4}
    x = randn(*(sizes[axis] for axis in layouts[0]))
    kernel = randn(*({"I": 4 // groups, "O": 6}.get(axis, 2) for axis in layouts[1]))
    arguments = ([stride] * rank, padding, None, [dilation] * rank, numbers, groups)
    assert fj.why(x, kernel, *arguments) == "faltung."

    def with_gradients(convolve):
        return jax.jit(jax.value_and_grad(lambda *given: (convolve(*given, *arguments) ** 2).sum(), (0, 1)))

    ours, theirs = (with_gradients(by)(x, kernel) for by in (fj.conv_general_dilated, lax.conv_general_dilated))
    for mine, peer in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        np.testing.assert_allclose(mine, peer, rtol=1e-3, atol=1e-3)


LEFT = {
    "lhs is bfloat16, and faltung computes in float32 and float64": {"dtype": "bfloat16"},
    "lhs_dilation is asked for, which in faltung is a transposed convolution": {"lhs_dilation": (2,)},
    "batch_group_count or out_sharding is asked for": {"batch_group_count": 2},
    "dimension_numbers name an order of axes that no kernel of faltung reads": {
        "dimension_numbers": ("NCW", "OIW", "NWC")
    },
    "padding is negative, which cuts the input": {"padding": [(-1, 2)]},
    "the kernel is longer than the padded input": {"rhs_dilation": (9,)},
    "more than one element type is asked for": {"preferred_element_type": "float64"},
}


@pytest.mark.parametrize("reason", LEFT)
def test_what_goes_to_lax(reason):
    options = {"padding": [(0, 0)], **LEFT[reason]}
    dtype = options.pop("dtype", "float32")
    x, kernel = randn(2, 4, 12).astype(dtype), randn(6, 4, 3).astype(dtype)
    assert fj.why(x, kernel, (1,), **options) == f"lax: {reason}."
    with jax.enable_x64(True):
        ours, theirs = (by(x, kernel, (1,), **options) for by in (fj.conv_general_dilated, lax.conv_general_dilated))
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)


def test_what_has_no_kernel_goes_to_lax():
    x, kernel = randn(2, 4, 3, 3, 3, 3), randn(6, 4, 2, 2, 2, 2)
    assert fj.why(x, kernel, (1,) * 4, "VALID").startswith("lax: lhs has 6 axes and rhs 6")
    theirs = lax.conv_general_dilated(x, kernel, (1,) * 4, "VALID")
    np.testing.assert_array_equal(fj.conv_general_dilated(x, kernel, (1,) * 4, "VALID"), theirs)


@pytest.mark.parametrize(
    "through", [lambda function: function, jax.jit, jax.vmap, lambda f: jax.grad(lambda x: f(x).sum())]
)
def test_errors_come_while_tracing(through):
    x = jnp.zeros((2, 2, 12, 3))
    with pytest.raises(ShapeError, match=r"^conv1d: x and kernel must agree on in_channels; got 3 on axis 3 of x"):
        jax.jit(lambda x: fj.conv1d(x, jnp.zeros((3, 4, 8))))(x)
    with pytest.raises(ShapeError, match=r"^conv1d: the kernel must not be longer .* Use padding=\"same\""):
        through(lambda x: fj.conv1d(x, jnp.zeros((13, 3, 8))))(x)


def test_errors_of_types_and_of_transposed():
    x = jnp.zeros((2, 12, 3))
    with pytest.raises(DtypeError, match=r"^conv1d: x must be float32 or float64; got int32"):
        fj.conv1d(x.astype(int), jnp.zeros((3, 3, 8)))
    with pytest.raises(ShapeError, match=r"^conv1d_transpose: x and kernel must agree on in_channels"):
        fj.conv1d_transpose(x, jnp.zeros((3, 3, 8)))
    with pytest.raises(ShapeError, match=r"^conv_general_dilated: groups must divide in_channels and out_channels"):
        fj.conv_general_dilated(jnp.zeros((1, 4, 9)), jnp.zeros((5, 2, 3)), (1,), "SAME", feature_group_count=2)


@pytest.mark.parametrize("precision", ["high", "exact"])
def test_precision_reaches_every_kernel(precision, monkeypatch):
    planned = []
    monkeypatch.setattr(handlers, "Launch", lambda plan: planned.append(plan) or Launch(plan))
    monkeypatch.setattr(lowering, "_registered", set())
    options = {"padding": "same", "precision": precision}
    x, kernel, dy = randn(2, 18, 19, 16), randn(3, 3, 16, 16), randn(2, 18, 19, 16)
    y, pull = jax.vjp(lambda *arrays: fj.conv2d(*arrays, **options), x, kernel)
    dx, dkernel = pull(dy)
    np.testing.assert_array_equal(y, ft.conv2d(x, kernel, **options))
    np.testing.assert_array_equal(dx, ft.input_gradient(dy, kernel, x.shape, **options))
    np.testing.assert_array_equal(dkernel, ft.kernel_gradient(x, dy, (3, 3), **options))
    turned = fj.conv2d_transpose(dy, kernel, stride=2, precision=precision)
    np.testing.assert_array_equal(turned, ft.conv2d_transpose(dy, kernel, stride=2, precision=precision))
    assert len(planned) > 3 and {plan.problem.precision for plan in planned} == {precision}
    is_fast = any("winograd" in plan.algorithm for plan in planned)
    assert is_fast == (precision == "high")
