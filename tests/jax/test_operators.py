"""The primitives: numbers and gradients of the reference, derivatives of any order, vmap, jit, native calls."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checking import python
from hypothesis import HealthCheck, given, settings
from jax.test_util import check_grads
from strategies import conv_specs, random_arrays

import faltung as ft
from faltung import reference
from faltung.jax import lowering, operators
from faltung.spec import ACTIVATIONS


@pytest.fixture(autouse=True, scope="module")
def both_widths():
    with jax.enable_x64(True):
        yield


def drawn(spec, seed=0):
    return [None if array is None else jnp.array(array) for array in random_arrays(spec, seed)]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conv_specs(max_macs=20_000))
def test_every_spec_gives_the_numbers_of_the_reference(spec):
    arrays = random_arrays(spec)
    y = operators.conv(spec, *(None if array is None else jnp.array(array) for array in arrays))
    assert (y.shape, y.dtype) == (spec.output_shape, spec.dtype)
    error = abs(y - reference.conv(*arrays, spec=spec))
    assert np.all(error <= reference.bound(*arrays, spec=spec)), spec.to_text()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conv_specs(activations=[None], max_macs=20_000))
def test_every_spec_has_the_gradients_of_the_reference(spec):
    arrays = random_arrays(spec)
    given_arrays = [jnp.array(array) for array in arrays if array is not None]
    dy = np.random.default_rng(1).standard_normal(spec.output_shape).astype(spec.dtype)
    _, pull = jax.vjp(lambda *given: operators.conv(spec, *given), *given_arrays)
    x, kernel, _ = arrays
    expected = [
        (reference.input_gradient(dy, kernel, spec=spec), reference.input_gradient_bound(dy, kernel, spec=spec)),
        (reference.kernel_gradient(x, dy, spec=spec), reference.kernel_gradient_bound(x, dy, spec=spec)),
        (reference.bias_gradient(dy, spec=spec), reference.bias_gradient_bound(dy, spec=spec)),
    ]
    for ours, (numbers, bound) in zip(pull(jnp.array(dy)), expected, strict=False):
        assert np.all(abs(ours - numbers) <= bound), spec.to_text()


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conv_specs(activations=[None], max_macs=5_000))
def test_lax_computes_the_same_on_other_devices(spec):
    if spec.num_samples == 0:
        return
    spec = spec.replace(bias=False)
    x, kernel, _ = drawn(spec)
    dy = jnp.array(np.random.default_rng(1).standard_normal(spec.output_shape).astype(spec.dtype))
    zeros = spec if spec.padding_mode == "zeros" else spec.replace(padding="valid")
    pairs = [
        (operators.convolve(spec, x, kernel), lowering.convolve_by_lax(spec, x, kernel)),
        (operators.kernel_gradient(spec, x, dy), lowering.kernel_gradient_by_lax(spec, x, dy)),
    ]
    if zeros is spec:
        pairs.append((operators.input_gradient(spec, dy, kernel), lowering.input_gradient_by_lax(spec, dy, kernel)))
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3, err_msg=spec.to_text())


@pytest.mark.parametrize("differentiated", [False, True])
def test_other_platforms_get_lax(differentiated):
    spec = ft.ConvSpec.from_text("conv1d n2 w30 ic3 oc4 kw3 sw2 dw2 same f32")

    def function(x, kernel):
        return operators.conv(spec, x, kernel).sum()

    shapes = [jax.ShapeDtypeStruct(shape, spec.dtype) for shape in (spec.input_shape, spec.kernel_shape)]
    traced = jax.jit(jax.grad(function, (0, 1)) if differentiated else function).trace(*shapes)
    on_cuda = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.convolution" in on_cuda and "faltung" not in on_cuda
    on_cpu = traced.lower(lowering_platforms=("cpu",)).as_text()
    assert "stablehlo.convolution" not in on_cpu and spec.to_text() in on_cpu and "callback" not in on_cpu


@pytest.mark.parametrize(
    "text",
    [
        "conv1d n2 w9 ic2 oc3 kw3 sw2 dw2 same f64",
        "conv1d n2 w9 ic4 oc6 kw3 g2 pw2:1 ncw oiw reflect f64",
        "conv2d n1 h5 w4 ic2 oc2 kh2 kw3 sh2 pw1 circular f64",
    ],
)
def test_derivatives_of_both_orders_and_directions(text):
    spec = ft.ConvSpec.from_text(text)
    x, kernel, _ = drawn(spec)
    bias = jnp.arange(spec.out_channels, dtype=spec.dtype)
    check_grads(lambda *given: operators.conv(spec, *given) ** 2, (x, kernel, bias), order=2)
    if spec.padding_mode == "zeros":
        dy = jnp.ones(spec.output_shape)
        check_grads(lambda dy, kernel: operators.input_gradient(spec, dy, kernel), (dy, kernel), order=2)
        check_grads(lambda x, dy: operators.kernel_gradient(spec, x, dy), (x, dy), order=2)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, ("leaky_relu", 0.01), ("elu", 0.5)])
def test_activations_and_their_derivatives(activation):
    spec = ft.ConvSpec(
        batch=2,
        in_size=9,
        in_channels=2,
        out_channels=3,
        kernel_size=3,
        bias=True,
        activation=activation,
        dtype="float64",
    )
    arrays = random_arrays(spec)
    x, kernel, bias = drawn(spec)
    y = operators.conv(spec, x, kernel, bias)
    assert np.all(abs(y - reference.conv(*arrays, spec=spec)) <= reference.bound(*arrays, spec=spec))
    transposed = operators.conv_transpose(spec, jnp.ones(spec.output_shape), kernel, bias[:2])
    expected = reference.input_gradient(np.ones(spec.output_shape), arrays[1], spec=spec) + arrays[2][:2]
    np.testing.assert_allclose(transposed, reference.activate(expected, spec.activation, spec.activation_parameter))
    order = 2 if activation in ("relu", "gelu") else 1
    check_grads(jax.jit(lambda *given: operators.conv(spec, *given)), (x, kernel, bias), order=order)


LAYOUTS = ["", "ncw", "ncw oiw", "oiw"]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("activation", [None, "relu"])
def test_vmap_over_every_choice_of_operands(layout, activation):
    spec = ft.ConvSpec.from_text(f"conv1d n2 w9 ic4 oc6 kw3 sw2 g2 same {layout} f64").replace(activation=activation)
    rng = np.random.default_rng(0)
    shapes = (spec.input_shape, spec.kernel_shape, (spec.out_channels,))
    for dims in product((0, None), repeat=3):
        if dims == (None, None, None):
            continue
        arrays = [
            jnp.array(rng.standard_normal((3, *shape) if dim == 0 else shape))
            for shape, dim in zip(shapes, dims, strict=True)
        ]
        each = [
            operators.conv(spec, *(array if dim is None else array[i] for array, dim in zip(arrays, dims, strict=True)))
            for i in range(3)
        ]
        ours = jax.vmap(lambda *given: operators.conv(spec, *given), dims)(*arrays)
        np.testing.assert_allclose(ours, jnp.stack(each), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_vmap_over_other_axes_twice_and_over_gradients(layout):
    spec = ft.ConvSpec.from_text(f"conv1d n2 w9 ic4 oc6 kw3 sw2 g2 same {layout} f64")
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((3, 5, *spec.input_shape)), rng.standard_normal((3, *spec.kernel_shape))

    def loss(x, kernel):
        return (operators.conv(spec, x, kernel) ** 3).sum()

    slopes = jax.jit(jax.grad(loss, (0, 1)))
    ours = jax.jit(jax.vmap(jax.vmap(slopes, (0, None)), (0, 0)))(x, kernel)
    each = [[slopes(x[i, j], kernel[i]) for j in range(5)] for i in range(3)]
    for which in range(2):
        expected = jnp.stack([jnp.stack([pair[which] for pair in row]) for row in each])
        np.testing.assert_allclose(ours[which], expected, rtol=1e-10, atol=1e-10)
    moved = jax.vmap(lambda x: operators.conv(spec, x, kernel[0]), in_axes=2, out_axes=1)(np.moveaxis(x[0], 0, 2))
    expected = jnp.stack([operators.conv(spec, x[0, j], kernel[0]) for j in range(5)], 1)
    np.testing.assert_allclose(moved, expected, rtol=1e-12, atol=1e-12)


def test_bits_do_not_depend_on_threads_nor_on_jit():
    spec = ft.ConvSpec.from_text("conv1d n8 w700 ic8 oc32 kw5 same f32")
    x, kernel, _ = drawn(spec)
    expected = ft.compile(spec)(np.asarray(x), np.asarray(kernel))
    compiled = jax.jit(lambda x, kernel: operators.conv(spec, x, kernel))
    before = ft.get_num_threads()
    try:
        for number in (1, 3, 2):
            ft.set_num_threads(number)
            np.testing.assert_array_equal(compiled(x, kernel), expected)
            np.testing.assert_array_equal(operators.conv(spec, x, kernel), expected)
    finally:
        ft.set_num_threads(before)


def test_no_python_runs_in_a_compiled_call():
    spec = ft.ConvSpec.from_text("conv1d n2 w9 ic1 oc2 kw3 f32")
    x, kernel, _ = drawn(spec)
    compiled = jax.jit(lambda x, kernel: operators.conv(spec, x, kernel)).lower(x, kernel).compile()
    _, text = compiled.as_text().split("ENTRY")
    assert f"faltung.convolve: {spec.to_text()}" in text and "copy" not in text and "callback" not in text


TWO_DEVICES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
import faltung.jax
x, kernel = (np.random.default_rng(0).standard_normal(shape).astype("f4") for shape in ((4, 10, 3), (3, 3, 5)))
def loss(x, kernel):
    return (faltung.jax.conv1d(x, kernel, padding="same", activation="relu") ** 2).sum()
expected = jax.grad(loss, (0, 1))(x, kernel)
mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Auto,))
parts = [jax.device_put(array, NamedSharding(mesh, spec)) for array, spec in ((x, P("batch")), (kernel, P()))]
each = lambda x, kernel: jax.lax.psum(loss(x, kernel), "batch")
mapped = jax.shard_map(each, mesh=mesh, in_specs=(P("batch"), P()), out_specs=P(), check_vma=False)
for function in (loss, mapped):
    for ours, wanted in zip(jax.jit(jax.grad(function, (0, 1)))(*parts), expected):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-4)
print(len(parts[0].sharding.device_set))
"""


def test_data_in_parts_on_two_devices():
    done = python(TWO_DEVICES, XLA_FLAGS="--xla_force_host_platform_device_count=2")
    assert done.stdout == "2\n", done.stderr


def test_threads_that_trace_the_same_at_once():
    spec = ft.ConvSpec.from_text("conv1d n3 w31 ic2 oc7 kw3 f32")
    x, kernel, _ = drawn(spec)
    with ThreadPoolExecutor(4) as executor:
        traced = [executor.submit(jax.jit(lambda x: operators.conv(spec, x, kernel)), x) for _ in range(4)]
        results = [future.result() for future in traced]
    assert all(np.array_equal(result, results[0]) for result in results)
    np.testing.assert_array_equal(results[0], ft.compile(spec)(np.asarray(x), np.asarray(kernel)))


def test_a_program_kept_on_disk_runs_in_the_next_process(tmp_path):
    program = f"""
import jax, numpy as np
jax.config.update("jax_compilation_cache_dir", {str(tmp_path)!r})
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
import faltung.jax
x, kernel = np.arange(60, dtype="f4").reshape(2, 10, 3), np.arange(24, dtype="f4").reshape(4, 3, 2)
if {{first}}:
    faltung.jax.conv1d(x[:, :9], kernel)  # another handler at another address
print(float(jax.jit(faltung.jax.conv1d)(x, kernel).sum()))
"""
    first, second = (python(program.format(first=first)) for first in (True, False))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    x, kernel = np.arange(60.0).reshape(2, 10, 3), np.arange(24.0).reshape(4, 3, 2)
    assert float(first.stdout) == float(second.stdout) == ft.conv1d(x, kernel).sum()
    assert any(tmp_path.iterdir())
