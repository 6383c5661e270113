"""tf.nn's signatures: the numbers and gradients of tf.nn where it has them, of the reference everywhere; the errors."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from checking import random_dy
from hypothesis import HealthCheck, given, settings
from strategies import conv_specs, random_arrays

import faltung as ft
from faltung import DtypeError, ShapeError, reference
from faltung.arrays import gradients
from faltung.runtime import buffers
from faltung.spec import ACTIVATIONS
from faltung.tensorflow import nn, operators
from faltung.tensorflow.tensors import as_tensor

RNG = np.random.default_rng(0)


def randn(*shape, dtype="float32"):
    return tf.constant(RNG.standard_normal(shape), dtype)


def with_gradients(function, *operands):
    """y and the gradients of sum(y * y), by each operand."""
    with tf.GradientTape() as tape:
        tape.watch(operands)
        y = function(*operands)
        loss = tf.reduce_sum(y * y)
    return y, *tape.gradient(loss, operands)


def assert_same(ours, theirs, tolerance=1e-3):
    for mine, peer in zip(ours, theirs, strict=True):
        assert mine.shape == peer.shape and mine.dtype == peer.dtype
        np.testing.assert_allclose(mine, peer, rtol=tolerance, atol=tolerance)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conv_specs(max_macs=10_000))
def test_every_spec_gives_the_numbers_of_the_reference_and_its_gradients(spec):
    arrays = random_arrays(spec)
    dy = random_dy(spec, 1)
    operands = [tf.constant(array) for array in arrays if array is not None]
    with tf.GradientTape() as tape:
        tape.watch(operands)
        y = operators.conv(spec, *operands)
    assert np.all(abs(y - reference.conv(*arrays, spec=spec)) <= reference.bound(*arrays, spec=spec)), spec.to_text()
    if spec.activation is not None:
        return
    x, kernel, _ = arrays
    expected = [
        (reference.input_gradient(dy, kernel, spec=spec), reference.input_gradient_bound(dy, kernel, spec=spec)),
        (reference.kernel_gradient(x, dy, spec=spec), reference.kernel_gradient_bound(x, dy, spec=spec)),
        (reference.bias_gradient(dy, spec=spec), reference.bias_gradient_bound(dy, spec=spec)),
    ]
    for ours, (numbers, bound) in zip(tape.gradient(y, operands, tf.constant(dy)), expected, strict=False):
        assert np.all(abs(ours - numbers) <= bound), spec.to_text()


CASES = [  # function, shape of the input, shape of the filters, arguments
    ("conv1d", (2, 13, 3), (4, 3, 5), {"stride": 2, "padding": "SAME"}),
    ("conv1d", (2, 3, 13, 3), (4, 3, 5), {"stride": [1, 2, 1], "padding": "VALID"}),
    ("conv2d", (2, 9, 8, 4), (3, 2, 4, 6), {"strides": [1, 2, 3, 1], "padding": "SAME"}),
    ("conv2d", (2, 9, 8, 4), (3, 2, 4, 6), {"strides": 2, "padding": [[0, 0], [1, 0], [2, 1], [0, 0]]}),
    ("conv2d", (2, 9, 8, 4), (3, 2, 4, 6), {"strides": [1], "padding": "valid"}),
    ("conv3d", (1, 5, 6, 7, 2), (2, 3, 2, 2, 3), {"strides": [1, 2, 1, 2, 1], "padding": "SAME"}),
    ("convolution", (2, 9, 8, 4), (3, 3, 4, 2), {"strides": [2, 1], "padding": "SAME"}),
    ("convolution", (2, 13, 3), (4, 3, 5), {"dilations": [3]}),
    ("depthwise_conv2d", (2, 9, 8, 4), (3, 2, 4, 3), {"strides": [1, 2, 2, 1], "padding": "SAME"}),
    ("conv1d_transpose", (2, 7, 5), (4, 3, 5), {"output_shape": [2, 14, 3], "strides": 2}),
    (
        "conv2d_transpose",
        (2, 5, 4, 6),
        (3, 2, 4, 6),
        {"output_shape": [2, 11, 9, 4], "strides": [1, 2, 2, 1], "padding": "VALID"},
    ),
    ("conv3d_transpose", (1, 3, 4, 2, 3), (2, 3, 2, 2, 3), {"output_shape": [1, 3, 4, 2, 2], "strides": [1] * 5}),
]


def peer_of(function, arguments):
    arguments = {
        key: value.upper() if isinstance(value, str) else value for key, value in arguments.items()
    }  # tf.nn takes capitals only
    return lambda *operands: getattr(tf.nn, function)(*operands, **arguments)


@pytest.mark.parametrize("function, x, kernel, arguments", CASES)
def test_the_numbers_and_gradients_of_tf_nn(function, x, kernel, arguments):
    operands = randn(*x), randn(*kernel)

    def ours(*operands):
        return getattr(nn, function)(*operands, **arguments)

    theirs = with_gradients(peer_of(function, arguments), *operands)
    assert_same(with_gradients(ours, *operands), theirs)
    assert_same(tf.function(lambda *given: with_gradients(ours, *given))(*operands), theirs)
    open_shapes = [tf.TensorSpec([None] * len(x), tf.float32), tf.TensorSpec(kernel, tf.float32)]
    assert_same(
        tf.function(lambda *given: with_gradients(ours, *given), input_signature=open_shapes)(*operands), theirs
    )


def test_separable():
    operands = randn(2, 9, 8, 4), randn(3, 3, 4, 2), randn(1, 1, 8, 5)
    ours, theirs = (
        with_gradients(lambda *given, by=by: by.separable_conv2d(*given, [1, 2, 2, 1], "SAME"), *operands)
        for by in (nn, tf.nn)
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize("function, x, kernel, arguments", CASES)
def test_every_function_takes_a_precision(function, x, kernel, arguments):
    call, operands = getattr(nn, function), (randn(*x), randn(*kernel))
    assert_same([call(*operands, **arguments, precision="exact")], [call(*operands, **arguments)])
    with pytest.raises(ShapeError, match=rf"{function}: precision must be high or exact; got 'exakt'\. Did you mean"):
        call(*operands, **arguments, precision="exakt")


def test_separable_takes_a_precision():
    operands = randn(2, 9, 8, 4), randn(3, 3, 4, 2), randn(1, 1, 8, 5)
    call = functools.partial(nn.separable_conv2d, *operands, [1, 2, 2, 1], "SAME")
    assert_same([call(precision="exact")], [call()])
    with pytest.raises(ShapeError, match="conv2d: precision must be high or exact; got 'exakt'"):
        call(precision="exakt")


def test_what_tensorflow_refuses_on_a_processor():
    x, kernel = randn(2, 4, 9, 8), randn(3, 3, 2, 6)  # channels first, two groups, a stride together with a dilation
    arguments = {"stride": (2, 1), "dilation": (2, 3), "padding": "same", "groups": 2, "layout": "NCHW"}
    expected = ft.conv2d(x.numpy(), kernel.numpy(), **arguments)
    y = nn.conv2d(x, kernel, [1, 1, 2, 1], "same", data_format="NCHW", dilations=[1, 1, 2, 3])
    np.testing.assert_array_equal(y, expected)
    depthwise = nn.depthwise_conv2d(x, randn(3, 3, 4, 2), [1, 1, 1, 1], "SAME", data_format="NCHW", dilations=[2, 2])
    assert depthwise.shape == (2, 8, 9, 8)
    y, kernel = randn(2, 5, 9), randn(3, 4, 5)
    dx = nn.conv1d_transpose(y, kernel, [2, 4, 17], [1, 1, 2], "SAME", "NCW", dilations=[1, 1, 2])
    arguments = {"stride": 2, "dilation": 2, "padding": "same", "layout": "NCW"}
    np.testing.assert_array_equal(dx, ft.input_gradient(y.numpy(), kernel.numpy(), (2, 4, 17), **arguments))


def test_a_graph_knows_the_shapes_that_follow():
    kernel = randn(4, 3, 5)
    seen = []

    @tf.function(input_signature=[tf.TensorSpec([None, 20, None], tf.float32)])
    def function(x):
        y = nn.conv1d(x, kernel, 2, "SAME")
        back = nn.conv1d_transpose(y, kernel, tf.shape(x), 2)
        seen.extend((y.shape.as_list(), back.shape.as_list()))
        return back

    x = randn(3, 20, 3)
    assert_same([function(x)], [tf.nn.conv1d_transpose(tf.nn.conv1d(x, kernel, 2, "SAME"), kernel, x.shape, 2)])
    assert seen[:2] == [[None, 10, 5], [None, None, None]]


def test_second_derivatives():
    x, kernel = randn(1, 6, 2, dtype="float64"), randn(3, 2, 3, dtype="float64")

    def second(by):
        with tf.GradientTape() as outer:
            outer.watch([x, kernel])
            with tf.GradientTape() as inner:
                inner.watch([x, kernel])
                loss = tf.reduce_sum(by.conv1d(x, kernel, 2, "SAME") ** 3)
            slopes = inner.gradient(loss, [x, kernel])
            total = sum(tf.reduce_sum(slope**2) for slope in slopes)
        return outer.gradient(total, [x, kernel])

    expected = second(tf.nn)
    assert_same(second(nn), expected, 1e-9)
    assert_same(tf.function(lambda: second(nn))(), expected, 1e-9)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, ("leaky_relu", 0.01)])
def test_activations_and_their_gradients(activation):
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
    operands = [randn(*shape, dtype="float64") for shape in (spec.input_shape, spec.kernel_shape, (3,))]
    y, *slopes = with_gradients(lambda *given: operators.conv(spec, *given), *operands)
    expected = reference.conv(*(operand.numpy() for operand in operands), spec=spec)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    step = 1e-6
    for place, slope in enumerate(slopes):
        direction = randn(*slope.shape, dtype="float64")
        losses = []
        for sign in (step, -step):
            moved = [operand + sign * direction if n == place else operand for n, operand in enumerate(operands)]
            losses.append(np.sum(reference.conv(*(operand.numpy() for operand in moved), spec=spec) ** 2))
        np.testing.assert_allclose(tf.reduce_sum(slope * direction), (losses[0] - losses[1]) / (2 * step), rtol=1e-4)


@pytest.mark.parametrize("layout", ["NWC", "NCW"])
def test_transposed_layers(layout):
    spec = ft.ConvSpec(batch=2, in_size=13, in_channels=4, out_channels=3, kernel_size=3, stride=2, layout=layout)
    spec = spec.replace(activation="relu")
    x, kernel, bias = randn(*spec.output_shape), randn(*spec.kernel_shape), randn(4)
    expected = ft.conv1d_transpose(
        x.numpy(), kernel.numpy(), bias.numpy(), stride=2, padding=0, activation="relu", layout=layout
    )
    assert_same([operators.conv_transpose(spec, x, kernel, bias)], [tf.constant(expected)])
    last = layout == "NWC"
    shorter = x[:, :-1] if last else x[..., :-1]
    padded = tf.concat([shorter, tf.zeros_like(x[:, :1] if last else x[..., :1])], 1 if last else 2)
    peers = [operators.conv_transpose(spec, operand, kernel, bias) for operand in (shorter, padded)]
    assert_same(peers[:1], peers[1:])
    any_batch = tf.TensorSpec((None, *spec.output_shape[1:]), tf.float32)
    graph = tf.function(lambda x: operators.conv_transpose(spec, x, kernel, bias), input_signature=[any_batch])
    assert graph(tf.concat([x, x, x], 0)).shape == (6, *spec.input_shape[1:])


def test_specs_hold_for_other_batches_and_lengths():
    spec = ft.ConvSpec.from_text("conv1d n1 w20 ic3 oc5 kw4 sw2 pw1:2")
    kernel = randn(*spec.kernel_shape)
    graph = tf.function(
        lambda x: operators.conv(spec, x, kernel), input_signature=[tf.TensorSpec([None, None, 3], tf.float32)]
    )
    for batch, width in [(1, 20), (4, 33)]:
        x = randn(batch, width, 3)
        np.testing.assert_array_equal(graph(x), ft.conv1d(x.numpy(), kernel.numpy(), stride=2, padding=[(1, 2)]))


def test_variables_and_training():
    kernel = tf.Variable(randn(3, 3, 4))
    x, target = randn(8, 16, 3), randn(8, 16, 4)

    @tf.function
    def step(rate):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((nn.conv1d(x, kernel, 1, "SAME") - target) ** 2)
        kernel.assign_sub(rate * tape.gradient(loss, kernel))
        return loss

    losses = [float(step(0.1)) for _ in range(20)]
    assert losses[-1] < losses[0] and losses == sorted(losses, reverse=True)


def test_a_graph_computes_no_gradient_that_nobody_wants(monkeypatch):
    computed = []
    for name in ("input_gradient", "kernel_gradient"):
        own = getattr(gradients, name)
        monkeypatch.setattr(gradients, name, lambda *a, own=own, name=name, **k: computed.append(name) or own(*a, **k))
    kernel = tf.Variable(randn(3, 3, 4))

    @tf.function
    def slope(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(nn.conv1d(x, kernel, 1, "SAME") ** 2)
        return tape.gradient(loss, kernel)

    slope(randn(2, 9, 3))
    assert computed == ["kernel_gradient"]


def test_half_precision_is_tensorflows():
    x, kernel = randn(2, 9, 8, 4, dtype="bfloat16"), randn(3, 3, 4, 2, dtype="bfloat16")
    ours, theirs = (by.conv2d(x, kernel, 2, "SAME") for by in (nn, tf.nn))
    assert ours.dtype == tf.bfloat16 and np.array_equal(ours, theirs)
    assert nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME").dtype == tf.bfloat16
    assert nn.separable_conv2d(x, kernel, randn(1, 1, 8, 3, dtype="bfloat16"), [1] * 4, "SAME").dtype == tf.bfloat16
    taps = randn(3, 3, 2, 4, dtype="bfloat16")
    ours, theirs = (by.conv2d_transpose(x, taps, [2, 9, 8, 2], 1) for by in (nn, tf.nn))
    assert np.array_equal(ours, theirs)


def test_results_are_not_copied():
    array = buffers.empty((256, 1024), np.dtype("f4"), 1 << 20)
    array[...] = 1
    tensor = as_tensor(array)
    assert tensor.__array__().ctypes.data == array.ctypes.data
    address = array.ctypes.data
    del array
    fresh = buffers.empty((256, 1024), np.dtype("f4"), 1 << 20)
    assert fresh.ctypes.data != address  # the tensor keeps its memory
    for offset in (0, 1):  # one of them lies where TensorFlow cannot read
        assert float(tf.reduce_sum(as_tensor(np.ones(80, "f4")[offset : offset + 64]) + 1)) == 128


@pytest.mark.parametrize("wrapped", [lambda function: function, tf.function], ids=["eager", "graph"])
def test_errors_name_the_cause(wrapped):
    x = tf.zeros((2, 12, 3))
    errors = [
        (lambda: nn.conv1d(x, tf.zeros((3, 4, 8)), 1, "SAME"), "conv1d: x and kernel must agree on in_channels"),
        (lambda: nn.conv1d(x, tf.zeros((13, 3, 8)), 1, "VALID"), "conv1d: the kernel must not be longer"),
        (lambda: nn.conv2d(x[None], tf.zeros((3, 3, 3, 8)), [2, 1, 1, 1], "SAME"), "conv2d: strides of batch and"),
        (lambda: nn.conv2d(x[None], tf.zeros((3, 3, 3, 8)), [1, 1, 1], "SAME"), "conv2d: stride must be one integer"),
        (lambda: nn.conv1d(x, tf.zeros((3, 3, 8)), 1, "SAMe?"), "conv1d: padding must be valid, same"),
        (lambda: nn.conv1d(x, tf.zeros((3, 3, 8)), 1, "SAME", "NWH"), "conv1d: layout of conv1d must be NWC or NCW"),
        (lambda: nn.convolution(x, tf.zeros((3, 8))), "convolution: filters must have three, four or five axes"),
        (
            lambda: nn.depthwise_conv2d(tf.zeros((1, 9, 9, 6)), tf.zeros((3, 3, 3, 2)), [1] * 4, "SAME"),
            "depthwise_conv2d: x and kernel must agree on in_channels",
        ),
        (
            lambda: nn.conv1d_transpose(x, tf.zeros((3, 8, 3)), [2, 99, 8], 2),
            "conv1d_transpose: input must have the shape of .*got .2, 12, 3. where that is .2, 50, 3.",
        ),
    ]
    for function, text in errors:
        with pytest.raises(ShapeError, match=f"^{text}"):
            wrapped(function)()
    with pytest.raises(DtypeError, match=r"^conv1d: x must be float32 or float64; got int32"):
        wrapped(lambda: nn.conv1d(tf.zeros((2, 12, 3), tf.int32), tf.zeros((3, 3, 8)), 1, "SAME"))()


def test_the_number_of_axes_must_be_known():
    function = tf.function(lambda x: nn.conv1d(x, tf.zeros((3, 3, 8)), 1, "SAME"))
    with pytest.raises(ShapeError, match=r"^conv1d: input must have a known number of axes; .*input.set_shape"):
        function.get_concrete_function(tf.TensorSpec(None, tf.float32))
