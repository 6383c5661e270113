"""The oracle against PyTorch, TensorFlow, Keras and numbers worked by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from strategies import conv_specs, random_arrays

from faltung import reference
from faltung.spec import ACTIVATIONS, ConvSpec

TORCH_CONV = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}
TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
F = torch.nn.functional
TORCH_ACTIVATIONS = {
    "relu": lambda x, _: F.relu(x),
    "relu6": lambda x, _: F.relu6(x),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "elu": lambda x, alpha: F.elu(x, alpha),
    "selu": lambda x, _: F.selu(x),
    "gelu": lambda x, _: F.gelu(x),
    "gelu_tanh": lambda x, _: F.gelu(x, approximate="tanh"),
    "silu": lambda x, _: F.silu(x),
    "sigmoid": lambda x, _: torch.sigmoid(x),
    "tanh": lambda x, _: torch.tanh(x),
    "softplus": lambda x, _: F.softplus(x, threshold=40.0),  # its default of 20 is coarse for float64
    "hard_sigmoid": lambda x, _: F.hardsigmoid(x),
    "hard_silu": lambda x, _: F.hardswish(x),
}


def by_torch(x, kernel, bias, spec):
    """The same convolution, in the dtype of the arrays, by PyTorch."""
    first = x.reshape(spec.num_samples, *x.shape[len(spec.batch) :])
    first = np.moveaxis(first, -1, 1) if spec.is_channels_last else first
    oi = kernel if spec.kernel_layout.startswith("O") else np.moveaxis(kernel, (-1, -2), (0, 1))
    pads = [end for pair in reversed(spec.padding) for end in pair]
    # Copies, for their strides: with an axis of length 1, moved axes count as contiguous and channels-last at once, and
    # PyTorch 2.13 then returns uninitialised memory for some shapes: conv2d n2 h2 w7 ic1 oc1 kh1 kw7 sw2 f32.
    padded = torch.from_numpy(first.copy())
    if any(pads):
        padded = F.pad(padded, pads, TORCH_MODES[spec.padding_mode])
    y = TORCH_CONV[spec.rank](
        padded,
        torch.from_numpy(oi.copy()),
        None if bias is None else torch.from_numpy(bias),
        spec.stride,
        0,
        spec.dilation,
        spec.groups,
    )
    if spec.activation:
        y = TORCH_ACTIVATIONS[spec.activation](y, spec.activation_parameter)
    y = y.numpy()
    return (np.moveaxis(y, 1, -1) if spec.is_channels_last else y).reshape(spec.output_shape)


@settings(max_examples=300, deadline=None)
@given(conv_specs(dtypes=["float64"]))
def test_every_spec_agrees_with_pytorch_in_float64(spec):
    x, kernel, bias = random_arrays(spec)
    y = reference.conv(x, kernel, bias, spec=spec)
    assert y.shape == spec.output_shape and y.dtype == np.float64
    if y.size and 0 not in spec.in_size:  # PyTorch refuses an empty axis
        error = abs(y - by_torch(x, kernel, bias, spec))
        assert np.all(error <= reference.bound(x, kernel, bias, spec=spec))


@settings(max_examples=200, deadline=None)
@given(conv_specs(dtypes=["float32"]))
def test_pytorch_in_float32_stays_within_the_bound(spec):
    x, kernel, bias = random_arrays(spec)
    if spec.num_samples and 0 not in spec.in_size:
        error = abs(reference.conv(x, kernel, bias, spec=spec) - by_torch(x, kernel, bias, spec))
        assert np.all(error <= reference.bound(x, kernel, bias, spec=spec))


@settings(max_examples=50, deadline=None)
@given(conv_specs(activations=[None], dtypes=["float32"]))
def test_small_integers_are_exact(spec):
    x, kernel, bias = random_arrays(spec, integers=True)
    if spec.num_samples and 0 not in spec.in_size:
        np.testing.assert_array_equal(reference.conv(x, kernel, bias, spec=spec), by_torch(x, kernel, bias, spec))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride, dilation", [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_tensorflow_gives_the_same_numbers(rank, stride, dilation, padding):
    for length in (9, 10):
        spec = ConvSpec(
            in_size=(length, length + 3, length - 1)[:rank],
            in_channels=3,
            out_channels=4,
            kernel_size=(3, 4, 2)[:rank],
            batch=2,
            stride=stride,
            padding=padding,
            dilation=dilation,
            dtype="float64",
        )
        x, kernel, _ = random_arrays(spec)
        theirs = tf.nn.convolution(x, kernel, strides=stride, padding=padding.upper(), dilations=dilation).numpy()
        np.testing.assert_allclose(reference.conv(x, kernel, spec=spec), theirs, rtol=0, atol=1e-12)


def test_tensorflow_explicit_pairs_and_several_batch_axes():
    pairs = [(0, 0), (1, 2), (0, 3), (0, 0)]
    spec = ConvSpec(in_size=(6, 7), in_channels=2, out_channels=3, kernel_size=3, padding=pairs, dtype="float64")
    x, kernel, _ = random_arrays(spec)
    theirs = tf.nn.conv2d(x, kernel, strides=1, padding=pairs).numpy()
    np.testing.assert_allclose(reference.conv(x, kernel, spec=spec), theirs, rtol=0, atol=1e-12)

    spec = ConvSpec(in_size=9, in_channels=2, out_channels=3, kernel_size=3, batch=(2, 4), dtype="float64")
    x, kernel, _ = random_arrays(spec)
    theirs = tf.nn.conv1d(x, kernel, stride=1, padding="VALID").numpy()
    np.testing.assert_allclose(reference.conv(x, kernel, spec=spec), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("stride, dilation", [(1, 1), (3, 1), (1, 4)])
def test_keras_causal_gives_the_same_numbers(stride, dilation):
    layer = keras.layers.Conv1D(4, 3, strides=stride, padding="causal", dilation_rate=dilation, dtype="float64")
    spec = ConvSpec(
        in_size=20,
        in_channels=2,
        out_channels=4,
        kernel_size=3,
        batch=2,
        stride=stride,
        padding="causal",
        dilation=dilation,
        bias=True,
        dtype="float64",
    )
    x, kernel, bias = random_arrays(spec)
    layer.build(x.shape)
    layer.set_weights([kernel, bias])
    theirs = keras.ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(reference.conv(x, kernel, bias, spec=spec), theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_those_of_keras_and_pytorch(name):
    x = np.concatenate([np.linspace(-9, 9, 181), [-40.0, 40.0, 0.0]])
    keras_name, arguments = ("gelu", {"approximate": name == "gelu_tanh"}) if "gelu" in name else (name, {})
    ours = reference.activate(x, name, ACTIVATIONS[name])
    theirs = keras.ops.convert_to_numpy(keras.activations.get(keras_name)(keras.ops.convert_to_tensor(x), **arguments))
    # Keras rounds the constants of gelu to float32.
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12, err_msg="Keras, with its default parameter")
    theirs = TORCH_ACTIVATIONS[name](torch.from_numpy(x), ACTIVATIONS[name]).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12, err_msg="PyTorch")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_bound_knows_the_steepest_slope_of_each_activation(name):
    x = np.linspace(-12, 12, 240_001)
    spec = ConvSpec(in_size=1, in_channels=1, out_channels=1, kernel_size=1, activation=name)
    slopes = np.diff(reference.activate(x, name, ACTIVATIONS[name])) / np.diff(x)
    assert abs(slopes).max() <= reference._lipschitz(spec) * (1 + 1e-4)


def test_the_bound_is_as_stated():
    spec = ConvSpec.from_text("conv1d n1 w3 ic2 oc1 kw2 bias f32 exact")
    x, kernel, bias = np.array([[[1, -2], [3, 4], [-5, 6]]]), np.array([[[1], [2]], [[-3], [4]]]), np.array([-7])
    magnitudes = np.array([1 + 4 + 9 + 16 + 7, 3 + 8 + 15 + 24 + 7])
    np.testing.assert_array_equal(reference.bound(x, kernel, bias, spec=spec)[0, :, 0], 5 * 2.0**-23 * magnitudes)
    high = reference.bound(x, kernel, bias, spec=spec.replace(precision="high"))[0, :, 0]
    np.testing.assert_array_equal(high, 5 * 2.0**-23 * magnitudes + 8 * 2.0**-23 * magnitudes.max())


def test_nan_and_infinity_go_through():
    spec = ConvSpec.from_text("conv1d n1 w5 ic1 oc1 kw2 relu f32")
    x = np.array([1.0, np.nan, 2.0, np.inf, 3.0]).reshape(1, 5, 1)
    y = reference.conv(x, np.ones((2, 1, 1)), spec=spec).ravel()
    np.testing.assert_array_equal(y, [np.nan, np.nan, np.inf, np.inf])


@pytest.mark.parametrize("mode, expected", [
    ("zeros", [0, 0, 1, 2, 3, 0]),
    ("reflect", [3, 2, 1, 2, 3, 2]),
    ("replicate", [1, 1, 1, 2, 3, 3]),
    ("circular", [2, 3, 1, 2, 3, 1]),
])  # fmt: skip
def test_padding_modes_by_hand(mode, expected):
    spec = ConvSpec(in_size=3, in_channels=1, out_channels=1, kernel_size=1, padding=(2, 1), padding_mode=mode)
    y = reference.conv(np.arange(1.0, 4).reshape(1, 3, 1), np.ones((1, 1, 1)), spec=spec)
    np.testing.assert_array_equal(y.ravel(), expected)


@pytest.mark.parametrize("text, shape", [
    ("conv1d n0 w10 ic3 oc4 kw3", (0, 8, 4)),
    ("conv1d n2 w0 ic3 oc4 kw3 same bias relu", (2, 0, 4)),
    ("conv2d n2 h4 w0 ic3 oc4 kh3 kw3 same nchw", (2, 4, 4, 0)),
])  # fmt: skip
def test_empty_inputs_give_empty_results(text, shape):
    spec = ConvSpec.from_text(text)
    assert reference.conv(*random_arrays(spec), spec=spec).shape == spec.output_shape == shape


def test_image_of_cs231n_without_bias():
    # The classroom demo adds bias 1 to its first filter; these numbers are the ones without a bias.
    red = [[0, 0, 1, 0, 2], [1, 0, 2, 0, 1], [1, 0, 2, 2, 0], [2, 0, 0, 2, 0], [2, 1, 2, 2, 0]]
    green = [[2, 1, 2, 1, 1], [2, 1, 2, 0, 1], [0, 2, 1, 0, 1], [1, 2, 2, 2, 2], [0, 1, 2, 0, 1]]
    blue = [[2, 1, 1, 2, 0], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0], [1, 0, 2, 1, 0], [2, 2, 1, 1, 1]]
    kernel = [
        [[0, 1, -1], [0, -1, 0], [0, -1, 1]],
        [[-1, 0, 0], [1, -1, 0], [1, -1, 0]],
        [[-1, 1, -1], [0, -1, -1], [1, 0, 0]],
    ]
    spec = ConvSpec.from_text("conv2d n1 h5 w5 ic3 oc1 kh3 kw3 sh2 sw2 ph1 pw1 nchw oihw")
    y = reference.conv([[red, green, blue]], [kernel], spec=spec)
    np.testing.assert_array_equal(y[0, 0], [[-8, -8, -3], [-3, 1, 0], [-3, -8, -5]])


def test_sentence_of_six_words():
    sentence = np.array([7, 4, 5, 2, -1, 1, -5, 4, 1, 6, 3, 5, 3, -1, 2, -5, 4, 1]).reshape(1, 6, 3) / 10
    kernel = np.array([[0.6, 0.4, 0.5], [0.2, -0.1, 0.2]])[..., None]
    y = reference.conv(sentence, kernel, spec=ConvSpec.from_text("conv1d n1 w6 ic3 oc1 kw2 sw2 f64"))
    np.testing.assert_allclose(y.ravel(), [0.9, 0.1, 0.12], rtol=1e-14)


@pytest.mark.parametrize("x_shape, kernel_shape, message", [
    ((1, 5, 2), (3, 3, 4), r"x must have the spec's shape, \(1, 5, 3\); got \(1, 5, 2\)"),
    ((1, 5, 3), (3, 4, 3), r"kernel must have the spec's shape, \(3, 3, 4\); got \(3, 4, 3\)"),
])  # fmt: skip
def test_arrays_that_do_not_fit_the_spec(x_shape, kernel_shape, message):
    spec = ConvSpec.from_text("conv1d n1 w5 ic3 oc4 kw3")
    with pytest.raises(ValueError, match=message):
        reference.conv(np.zeros(x_shape), np.zeros(kernel_shape), spec=spec)
