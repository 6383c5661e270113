"""JAX's own tools on functions that call faltung: export with known and open sizes, disable_jit, cost analysis."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

import faltung.jax as fj

X, KERNEL = jnp.asarray(np.random.default_rng(0).normal(size=(3, 24, 4)), "float32"), jnp.ones((3, 4, 8)) / 3
OPTIONS = [
    {"padding": "same", "activation": "relu"},
    {"stride": 2, "padding": "same"},
    {"stride": 3, "padding": "same_lower"},
    {"padding": "causal", "dilation": 2},
    {"padding": (1, 3), "padding_mode": "reflect"},
    {"padding": "same", "padding_mode": "circular"},
]


def is_by_lax(exported) -> bool:
    """Does the program hold lax's convolution, and no call of ours? Names of source files are ours."""
    text = exported.mlir_module()
    return ("stablehlo.convolution" in text or "stablehlo.dynamic_conv" in text) and 'custom_call @"faltung' not in text


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("text", ["3, 24, 4", "b, 24, 4", "b, w, 4"])
def test_an_exported_function_is_laxs(options, text):
    compute = partial(fj.conv1d, bias=jnp.arange(8.0), **options)
    shape = export.symbolic_shape(text, constraints=["w >= 8"] if "w" in text else ())
    exported = export.export(jax.jit(compute))(jax.ShapeDtypeStruct(shape, "float32"), KERNEL)
    assert is_by_lax(exported)
    read = export.deserialize(exported.serialize())
    for x in (X, X[:1, :17]) if "w" in text else (X,):
        np.testing.assert_allclose(read.call(x, KERNEL), compute(x, KERNEL), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": "same"}, {"stride": 2, "output_padding": 1}], ids=str)
@pytest.mark.parametrize("text", ["3, 24, 8", "b, 24, 8", "b, w, 8"])
def test_an_exported_transposed_function_is_laxs(options, text):
    x = jnp.concatenate([X, -X], 2)
    compute = partial(fj.conv1d_transpose, bias=jnp.arange(4.0), activation="tanh", **options)
    shape = jax.ShapeDtypeStruct(export.symbolic_shape(text), "float32")
    exported = export.export(jax.jit(compute))(shape, KERNEL)
    assert is_by_lax(exported)
    for part in (x, x[:1, :17]) if "w" in text else (x,):
        np.testing.assert_allclose(exported.call(part, KERNEL), compute(part, KERNEL), rtol=1e-5, atol=1e-5)


def test_lax_own_convolution_is_exported_with_open_sizes():
    shape = jax.ShapeDtypeStruct(export.symbolic_shape("b, 4, w"), "float32")
    compute = partial(fj.conv_general_dilated, window_strides=(2,), padding="SAME")
    kernel = jnp.ones((8, 4, 3))
    exported = export.export(jax.jit(compute))(shape, kernel)
    x = jnp.moveaxis(X, 2, 1)
    np.testing.assert_allclose(exported.call(x, kernel), lax.conv_general_dilated(x, kernel, (2,), "SAME"), rtol=1e-5)


def test_an_exported_gradient_is_laxs():
    def loss(kernel, x):
        return fj.conv1d(x, kernel, stride=2, padding="same", activation="gelu").sum()

    shape = jax.ShapeDtypeStruct(export.symbolic_shape("b, 24, 4"), "float32")
    exported = export.export(jax.jit(jax.grad(loss)))(KERNEL, shape)
    assert is_by_lax(exported)
    np.testing.assert_allclose(exported.call(KERNEL, X), jax.grad(loss)(KERNEL, X), rtol=1e-4, atol=1e-4)


def test_what_was_exported_runs_without_faltung(tmp_path: Path):
    exported = export.export(jax.jit(partial(fj.conv1d, padding="same")))(X, KERNEL)
    (tmp_path / "f.bin").write_bytes(exported.serialize())
    np.savez(tmp_path / "data.npz", x=X, kernel=KERNEL, y=fj.conv1d(X, KERNEL, padding="same"))
    program = """
import sys; sys.modules["faltung"] = None
import numpy as np, jax
from jax import export
data = np.load("data.npz")
y = export.deserialize(bytearray(open("f.bin", "rb").read())).call(data["x"], data["kernel"])
np.testing.assert_allclose(y, data["y"], rtol=1e-5, atol=1e-5)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_disable_jit():
    def loss(x, kernel):
        return (fj.conv1d(x, kernel, jnp.ones(8), padding="same", activation="relu") ** 2).sum()

    with jax.disable_jit():
        values = loss(X, KERNEL), *jax.grad(loss, (0, 1))(X, KERNEL)
    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-4), values, (loss(X, KERNEL), *jax.grad(loss, (0, 1))(X, KERNEL))
    )


def test_cost_analysis_counts_what_lax_would():
    def ours(x, kernel):
        return fj.conv1d(x, kernel, stride=2, padding="same")

    def laxs(x, kernel):
        return lax.conv_general_dilated(x, kernel, (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))

    with fj.by_lax(True):
        counted = jax.jit(ours).lower(X, KERNEL).cost_analysis()
    assert counted["flops"] == jax.jit(laxs).lower(X, KERNEL).cost_analysis()["flops"] > 0
    assert "faltung" in jax.jit(ours).lower(X, KERNEL).as_text(), "and afterwards it is ours again"


@pytest.mark.parametrize("channels", [(0, 8), (4, 0), (0, 0)], ids=str)
def test_no_channels(channels):
    inputs, outputs = channels
    x, kernel, bias = jnp.ones((2, 9, inputs)), jnp.ones((3, inputs, outputs)), jnp.arange(float(outputs))
    expected = np.broadcast_to(bias + 3.0 * inputs, (2, 7, outputs))
    np.testing.assert_array_equal(fj.conv1d(x, kernel, bias), expected)
    gradient = jax.grad(lambda x: fj.conv1d(x, kernel, bias).sum())(x)
    assert gradient.shape == x.shape
    names = ("NWC", "WIO", "NWC")
    assert fj.conv_general_dilated(x, kernel, (1,), "VALID", dimension_numbers=names).shape == (2, 7, outputs)


@pytest.mark.parametrize("layout", ["NWC", "NCW"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("channels", [(0, 8), (4, 0), (0, 0)], ids=str)
def test_no_channels_transposed(channels, groups, layout):
    inputs, outputs = channels
    x, kernel, bias = jnp.ones((2, 9, inputs)), jnp.ones((3, outputs // groups, inputs)), jnp.arange(1.0 * outputs)
    y = lax.conv_transpose(x, jnp.ones((3, inputs, outputs)), (2,), "VALID")  # a sum over nothing, or of nothing
    words = {"stride": 2, "groups": groups, "layout": layout}
    ours = fj.conv1d_transpose(x if layout == "NWC" else x.swapaxes(1, 2), kernel, bias, **words)
    np.testing.assert_array_equal(ours if layout == "NWC" else ours.swapaxes(1, 2), y + bias)
    gradient = jax.grad(lambda bias: fj.conv1d_transpose(x, kernel, bias, stride=2, groups=groups).sum())(bias)
    np.testing.assert_array_equal(gradient, jnp.full(outputs, 38.0))
