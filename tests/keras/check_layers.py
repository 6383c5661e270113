"""The layers are Keras's in outputs, gradients, config and names; what Keras refuses agrees with the reference."""

import pickle

import keras
import numpy as np
import pytest
from keras import layers as stock
from keras_layers import compare, convolved, gradients, numbers, values

import faltung as ft
import faltung.keras as ours
from faltung.keras.backend import ACTIVATIONS

BACKEND = keras.backend.backend()

# name, input shape, arguments, options
CASES = {
    "plain": ("Conv1D", (2, 20, 3), (4, 5), {}),
    "same_strided": ("Conv1D", (2, 21, 3), (4, 4), {"padding": "same", "strides": 2}),
    "causal_dilated": ("Conv1D", (2, 20, 3), (4, 5), {"padding": "causal", "dilation_rate": 2, "activation": "relu"}),
    "no_bias": ("Conv1D", (2, 20, 3), (4, 5), {"use_bias": False}),
    "images": ("Conv2D", (2, 9, 10, 3), (4, (3, 2)), {"padding": "same", "strides": (2, 1), "activation": "gelu"}),
    "images_dilated": ("Conv2D", (2, 9, 10, 3), (4, 3), {"dilation_rate": (2, 1)}),
    "volumes": ("Conv3D", (1, 5, 6, 7, 2), (3, 2), {"padding": "same", "strides": 2}),
    "up": ("Conv1DTranspose", (2, 9, 3), (4, 5), {"strides": 2, "padding": "same"}),
    "up_valid": ("Conv1DTranspose", (2, 9, 3), (4, 2), {"strides": 3, "activation": "relu"}),
    "up_images": ("Conv2DTranspose", (2, 5, 6, 3), (4, 3), {"strides": (3, 2), "padding": "same"}),
    "up_same_output_padding": (
        "Conv1DTranspose",
        (2, 5, 3),
        (4, 4),
        {"strides": 4, "padding": "same", "output_padding": 1},
    ),
    "up_output_padding": ("Conv2DTranspose", (2, 5, 6, 3), (4, 3), {"strides": 3, "output_padding": 1}),
    "up_volumes": ("Conv3DTranspose", (1, 3, 4, 5, 2), (3, 2), {"strides": 2, "padding": "same"}),
    "depthwise": ("DepthwiseConv1D", (2, 20, 3), (4,), {"depth_multiplier": 2, "padding": "same"}),
    "depthwise_images": ("DepthwiseConv2D", (2, 9, 10, 3), (3,), {"strides": 2, "activation": "relu"}),
    "separable": ("SeparableConv1D", (2, 20, 3), (6, 4), {"depth_multiplier": 2, "padding": "same"}),
    "separable_images": ("SeparableConv2D", (2, 9, 10, 3), (6, 3), {"use_bias": False}),
}
BEYOND_TENSORFLOW = {
    "up_dilated": ("Conv2DTranspose", (2, 5, 6, 3), (4, 3), {"dilation_rate": 2, "use_bias": False}),
    "groups": ("Conv1D", (2, 20, 4), (6, 3), {"groups": 2}),
    "channels_first": ("Conv1D", (2, 3, 20), (4, 5), {"data_format": "channels_first", "padding": "same"}),
    "images_first": ("Conv2D", (2, 3, 9, 10), (4, 3), {"data_format": "channels_first", "strides": 2}),
    "up_first": ("Conv2DTranspose", (2, 3, 5, 6), (4, 3), {"data_format": "channels_first", "strides": 2}),
    "depthwise_first": ("DepthwiseConv2D", (2, 3, 9, 10), (3,), {"data_format": "channels_first"}),
    "separable_first": ("SeparableConv1D", (2, 3, 20), (6, 4), {"data_format": "channels_first"}),
}


def pair(name, shape, arguments, options):
    """Keras's layer and ours with the same weights, and an input."""
    theirs, mine = (getattr(module, name)(*arguments, **options) for module in (stock, ours))
    theirs.build(shape), mine.build(shape)
    weights = [numbers(weight.shape, seed) for seed, weight in enumerate(theirs.get_weights(), 7)]
    theirs.set_weights(weights), mine.set_weights(weights)
    return theirs, mine, numbers(shape)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_outputs_and_gradients_are_those_of_keras(case):
    theirs, mine, x = pair(*case)
    assert tuple(mine.compute_output_shape(case[1])) == tuple(mine(x).shape) == tuple(theirs(x).shape)
    compare(values(mine(x)), values(theirs(x)))
    for got, wanted in zip(gradients(mine, x), gradients(theirs, x), strict=True):
        compare(got, wanted)


@pytest.mark.parametrize("activation", [*ACTIVATIONS.values(), "leaky_relu", "mish", "softmax"])
@pytest.mark.parametrize("name", ["Conv1D", "Conv1DTranspose"])
def test_activations_are_those_of_keras(name, activation):
    theirs, mine, x = pair(name, (2, 20, 3), (4, 5), {"activation": activation})
    compare(values(mine(x)), values(theirs(x)))
    for got, wanted in zip(gradients(mine, x), gradients(theirs, x), strict=True):
        compare(got, wanted)


def test_who_computes_an_activation(monkeypatch):
    called = []
    monkeypatch.setattr(keras.src.backend.nn, "relu", lambda x: called.append(x) or x)
    ours.Conv1D(4, 5, activation="relu")(numbers((2, 20, 3)))
    assert bool(called) == (BACKEND == "torch")  # elsewhere it is part of the convolution


@pytest.mark.parametrize("case", BEYOND_TENSORFLOW.values(), ids=BEYOND_TENSORFLOW)
def test_what_tensorflow_refuses_on_processors(case):
    theirs, mine, x = pair(*case)
    if BACKEND != "tensorflow":
        compare(values(mine(x)), values(theirs(x)))
        for got, wanted in zip(gradients(mine, x), gradients(theirs, x), strict=True):
            compare(got, wanted)
        return
    name, shape, arguments, options = case
    if "data_format" in options:
        last = {**options, "data_format": "channels_last"}
        peer, _, _ = pair(name, (shape[0], *shape[2:], shape[1]), arguments, last)
        peer.set_weights(mine.get_weights())
        compare(values(mine(x)), np.moveaxis(values(peer(np.moveaxis(x, 1, -1))), -1, 1))
    elif "groups" in options:
        compare(values(mine(x)), convolved(x, *mine.get_weights(), groups=options["groups"]))
    else:
        compare(values(mine(x)), ft.conv2d_transpose(x, *mine.get_weights(), dilation=options["dilation_rate"]))
    assert all(np.isfinite(gradient).all() and gradient.any() for gradient in gradients(mine, x))


@pytest.mark.parametrize("name, shape, arguments, options, words", [
    ("Conv1D", (2, 20, 3), (4, 3), {"strides": 2, "dilation_rate": 3}, {"stride": 2, "dilation": 3}),
    ("Conv2D", (2, 12, 13, 3), (4, 3), {"strides": 2, "dilation_rate": (1, 2), "padding": "same"},
     {"stride": 2, "dilation": (1, 2), "padding": "same"}),
    ("Conv1D", (2, 20, 3), (4, 5), {"padding": "same", "padding_mode": "circular"},
     {"padding": "same", "padding_mode": "circular"}),
    ("Conv2D", (2, 9, 9, 3), (4, 3), {"padding": ((2, 0), (1, 1)), "padding_mode": "reflect"},
     {"padding": ((2, 0), (1, 1)), "padding_mode": "reflect"}),
    ("Conv3D", (1, 5, 5, 5, 2), (2, 3), {"padding": 1}, {"padding": 1}),
    ("Conv1D", (3, 4, 20, 3), (4, 5), {"padding": "causal"}, {"padding": "causal"}),
    ("Conv2D", (2, 3, 2, 9, 9, 3), (4, 3), {}, {}),
])  # fmt: skip
def test_what_keras_refuses(name, shape, arguments, options, words):
    layer = getattr(ours, name)(*arguments, bias_initializer="ones", **options)
    x = numbers(shape)
    y = layer(x)
    kernel, bias = layer.get_weights()
    compare(values(y), convolved(x, kernel, bias, **words))
    assert tuple(layer.compute_output_shape(shape)) == tuple(y.shape)
    open_shape = (None, *(None,) * (len(shape) - 2), shape[-1])
    assert layer.compute_output_shape(open_shape) == (*open_shape[:-1], 4 if name != "Conv3D" else 2)
    by_x, by_kernel, by_bias = gradients(layer, x)
    dy = np.ones(y.shape, "f4")
    compare(by_x, ft.input_gradient(dy, kernel, shape, **words))
    compare(by_kernel, ft.kernel_gradient(x, dy, kernel.shape[:-2], **words))
    compare(by_bias, dy.sum(tuple(range(dy.ndim - 1))))


@pytest.mark.parametrize("name, arguments", [
    ("Conv1D", (4, 5)), ("DepthwiseConv1D", (5,)), ("SeparableConv1D", (4, 5)), ("Conv1DTranspose", (4, 5))
])  # fmt: skip
@pytest.mark.parametrize("strides", [1, 2])
def test_causal_layers_do_not_look_ahead(name, arguments, strides):
    layer, x = getattr(ours, name)(*arguments, padding="causal", strides=strides), numbers((1, 20, 3))
    is_transposed = name == "Conv1DTranspose"
    y = values(layer(x))
    assert y.shape[1] == (20 * strides if is_transposed else 20 // strides)
    changed = x.copy()
    changed[:, 10:] += 1
    first = 10 * strides if is_transposed else 10 // strides
    z = values(layer(changed))
    np.testing.assert_array_equal(z[:, :first], y[:, :first])
    assert (z[:, first] != y[:, first]).any()


def test_a_transposed_layer_with_all_that_keras_refuses():
    layer = ours.Conv1DTranspose(4, 3, strides=2, dilation_rate=2, padding="same")
    x = numbers((2, 3, 9, 5))
    y = values(layer(x))
    kernel, bias = layer.get_weights()
    wanted = ft.conv1d_transpose(x.reshape(6, 9, 5), kernel, bias, stride=2, dilation=2, padding="same")
    compare(y, wanted.reshape(2, 3, 18, 4))
    assert layer.compute_output_shape((None, 3, None, 5)) == (None, 3, None, 4)


@pytest.mark.parametrize("case", (CASES | BEYOND_TENSORFLOW).values(), ids=CASES | BEYOND_TENSORFLOW)
def test_configs_are_those_of_keras(case):
    name, _, arguments, options = case
    theirs, mine = (getattr(module, name)(*arguments, **options, name="same") for module in (stock, ours))
    assert mine.get_config() == theirs.get_config()
    again = type(mine).from_config(mine.get_config())
    assert (
        pickle.loads(pickle.dumps(type(mine))) is type(again) is type(mine) and again.get_config() == mine.get_config()
    )


def test_names_are_counted_as_those_of_keras():
    keras.backend.clear_session()
    layers = [ours.Conv1D(1, 1), stock.Conv1D(1, 1), ours.Conv1D(1, 1), ours.DepthwiseConv2D(1)]
    layers += [ours.Conv3DTranspose(1, 1), ours.Conv1D(1, 1, name="mine")]
    names = ["conv1d", "conv1d_1", "conv1d_2", "depthwise_conv2d", "conv3d_transpose", "mine"]
    assert [layer.name for layer in layers] == names


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16", *["float64"] * (BACKEND != "jax")])
def test_policies(policy):
    theirs, mine, x = pair("Conv1D", (2, 20, 3), (4, 5), {"dtype": policy})
    y = mine(x)
    assert keras.backend.standardize_dtype(y.dtype) == theirs.compute_dtype
    assert keras.backend.standardize_dtype(mine.kernel.dtype) == theirs.variable_dtype
    compare(values(y), values(theirs(x)), 1e-6 if policy == "float64" else 0)
    lifted = ours.Conv1D(4, 5, strides=2, dilation_rate=2, dtype=policy)
    assert keras.backend.standardize_dtype(lifted(x).dtype) == theirs.compute_dtype
    narrow = [values(keras.ops.cast(operand, lifted.compute_dtype)).astype("f8") for operand in (x, lifted.kernel)]
    compare(values(lifted(x)), convolved(*narrow, stride=2, dilation=2), 1e-2 if policy != "float64" else 1e-6)


def test_what_keras_does_with_weights():
    options = {"kernel_regularizer": "l2", "bias_constraint": "max_norm", "kernel_initializer": "he_normal"}
    theirs, mine, x = pair("Conv1D", (2, 20, 3), (4, 5), options)
    compare(values(mine.losses[0]), values(theirs.losses[0]))
    assert type(mine.bias.constraint) is type(theirs.bias.constraint)
    mine.enable_lora(2), theirs.enable_lora(2)
    for layer in (mine, theirs):
        layer.lora_kernel_a.assign(numbers(layer.lora_kernel_a.shape, 3))
        layer.lora_kernel_b.assign(numbers(layer.lora_kernel_b.shape, 4))
    compare(values(mine(x)), values(theirs(x)))


def test_a_kernel_changed_by_a_derived_layer():
    class Centred(ours.Conv2D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, kernel - keras.ops.mean(kernel))

    layer, x = Centred(4, 3, bias_initializer="ones"), numbers((1, 9, 9, 3))
    y = values(layer(x))
    kernel, bias = layer.get_weights()
    compare(y, convolved(x, kernel - kernel.mean(), bias))
    assert layer.name == "centred"


def test_symbolic_shapes():
    x = keras.Input((None, 50, 3, 2))
    assert ours.Conv1D(32, 5, padding="same")(x).shape == (None, None, 50, 3, 32)
    assert ours.SeparableConv1D(32, 5, padding="causal")(keras.Input((None, 4))).shape == (None, None, 32)
    assert ours.Conv1DTranspose(8, 4, strides=2, padding="causal")(keras.Input((10, 4))).shape == (None, 20, 8)
    images = ours.Conv2D(8, 3, padding=1, data_format="channels_first")(keras.Input((4, None, 10)))
    assert images.shape == (None, 8, None, 10)


@pytest.mark.parametrize("make, message", [
    (lambda: ours.Conv2D(4, 3, padding="causal"), r"Conv2D: padding 'causal' is for conv1d; got 2 s"),
    (lambda: ours.Conv1D(4, 3, padding_mode="mirror"), r"Conv1D: padding_mode must be zeros, refl"),
    (lambda: ours.Conv1DTranspose(4, 3, padding_mode="reflect"), r"Conv1DTranspose: padding_mode must be zeros;"),
    (lambda: ours.Conv2D(4, 3, precision="exakt"), r"Conv2D: precision must be high or exact; got 'exakt'"),
    (lambda: ours.Conv2D(4, 3, padding=(1, 2, 3)), r"Conv2D: padding must be"),
    (lambda: ours.Conv1DTranspose(4, 3, strides=2, padding="causal", output_padding=1), r"causal' decides the size"),
    (lambda: ours.Conv1D(4, 3, padding="some"), "The `padding` argument must be a list/tuple or one of"),
    (lambda: ours.Conv1D(0, 3), "Expected a strictly positive value"),
    (lambda: ours.Conv2D(5, 2, groups=0), "number of groups must be a positive integer. Received: groups=0"),
    (lambda: ours.Conv2D(5, 2, groups=2), "evenly divisible by the number of groups. Received: groups=2, filters=5"),
    (lambda: ours.Conv1DTranspose(2, 2, strides=2, output_padding=2), "strictly less than `strides`"),
    (lambda: ours.Conv2DTranspose(16, 3, strides=[1, 1], output_padding=1), "strictly less than `strides`"),
    (lambda: ours.Conv3DTranspose(8, 3, strides=1, output_padding=1), "strictly less than `strides`"),
    (lambda: ours.Conv1D(4, 3, data_format="channels_first")(np.ones((2, 2, 3, 9), "f4")), "x must have 3 axes"),
    (lambda: ours.Conv1D(4, 30, strides=2, dilation_rate=2)(np.ones((2, 9, 3), "f4")), "kernel must not be"),
    (lambda: ours.Conv1D(4, 3)(np.ones((9, 3), "f4")), "expected min_ndim=3, found ndim=2"),
    (lambda: ours.Conv1D(4, 3, padding=1).compute_output_shape((2, 9, None)), "channels of the input"),
])  # fmt: skip
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_keras_error_with_our_remedy():
    with pytest.raises(ValueError, match="Computed output size would be zero or negative") as caught:
        ours.DepthwiseConv1D(11, strides=5).compute_output_shape((4, 10, 3))
    (note,) = caught.value.__notes__
    assert "the kernel must not be longer than the padded input on axis w; got kernel length 11" in note
    assert 'Use padding="same"' in note
