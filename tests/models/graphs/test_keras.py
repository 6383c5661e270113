"""Keras's layers and operations read as graphs: every row of the tables and its traps, in float64; all backends."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import activations, layers, ops
from keras_backends import on_backend
from models.graphs.keras_checking import check, functional, numbers

import faltung.keras as ours
from faltung.errors import ModelError, ShapeError
from faltung.models.graphs.keras import read_keras

CHECKS = Path(__file__).parent / "check_keras.py"


@pytest.fixture(autouse=True, scope="module")
def _float64() -> Iterator[None]:
    usual = keras.config.dtype_policy()  # which outlives set_floatx once it was asked for
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy(usual)


FIRST = {"data_format": "channels_first"}
LAYERS: dict[str, tuple[Any, Any]] = {
    # convolutions
    "conv_same_strided_even": (lambda: layers.Conv1D(5, 4, strides=2, padding="same"), (11, 4)),
    "conv_causal_dilated": (lambda: layers.Conv1D(5, 3, dilation_rate=2, padding="causal"), (11, 4)),
    "conv_causal_strided": (lambda: layers.Conv1D(5, 3, strides=2, padding="causal"), (11, 4)),
    "conv_same_dilated": (lambda: layers.Conv2D(5, (3, 2), dilation_rate=(2, 1), padding="same"), (9, 8, 4)),
    "conv_same_strided_images": (lambda: layers.Conv2D(5, 3, strides=(2, 3), padding="same"), (8, 9, 4)),
    "conv_groups": (lambda: layers.Conv2D(6, 3, groups=2, use_bias=False), (9, 8, 4)),
    "conv_volumes": (lambda: layers.Conv3D(6, 2, padding="same", strides=2), (5, 4, 5, 2)),
    "conv_first": (lambda: layers.Conv1D(5, 3, padding="same", strides=2, **FIRST), (4, 11)),
    "conv_images_first": (lambda: layers.Conv2D(5, 3, activation="relu", **FIRST), (4, 8, 9)),
    "depthwise": (lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, padding="same"), (8, 3)),
    "depthwise_strided": (lambda: layers.DepthwiseConv2D(3, strides=2, depth_multiplier=3, padding="same"), (8, 9, 3)),
    "depthwise_first": (lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, **FIRST), (3, 8, 9)),
    "separable": (lambda: layers.SeparableConv1D(5, 3, depth_multiplier=2, activation="relu"), (8, 3)),
    "separable_strided": (lambda: layers.SeparableConv2D(5, 3, strides=2, padding="same"), (8, 9, 3)),
    "separable_first": (lambda: layers.SeparableConv2D(5, 3, **FIRST), (3, 8, 9)),
    # transposed convolutions
    **{
        f"up_{padding}_{taps}_{stride}_{more}": (
            lambda taps=taps, stride=stride, padding=padding, more=more: layers.Conv1DTranspose(
                5, taps, strides=stride, padding=padding, output_padding=more, activation="elu"
            ),
            (7, 3),
        )
        for padding in ("valid", "same")
        for taps, stride, more in ((3, 2, None), (4, 2, None), (2, 3, None), (5, 1, None), (3, 3, 1), (4, 3, 2))
        if (padding, taps, stride, more) not in {("same", 3, 3, 1), ("same", 4, 3, 2)}  # see test_output_padding
    },
    "up_dilated": (lambda: layers.Conv1DTranspose(5, 3, dilation_rate=2, padding="same"), (7, 3)),
    "up_images": (lambda: layers.Conv2DTranspose(5, (3, 4), strides=(2, 3), padding="same"), (5, 6, 3)),
    "up_images_first": (lambda: layers.Conv2DTranspose(5, 3, strides=2, **FIRST), (3, 5, 6)),
    "up_volumes": (lambda: layers.Conv3DTranspose(2, 3, strides=2, padding="same"), (3, 4, 2, 2)),
    # dense
    "dense": (lambda: layers.Dense(5, activation="softmax"), (6,)),
    "dense_on_the_last_axis": (lambda: layers.Dense(5, use_bias=False), (3, 2, 6)),
    "embedding": (lambda: layers.Embedding(5, 3), (7,)),
    # norms
    "batch_norm": (lambda: layers.BatchNormalization(), (8, 3)),
    "batch_norm_axis": (lambda: layers.BatchNormalization(axis=1, epsilon=0.1), (3, 8, 4)),
    "batch_norm_unscaled": (lambda: layers.BatchNormalization(scale=False), (8, 3)),
    "batch_norm_uncentred": (lambda: layers.BatchNormalization(center=False), (8, 3)),
    "layer_norm": (lambda: layers.LayerNormalization(), (8, 3)),
    "layer_norm_axes": (lambda: layers.LayerNormalization(axis=[2, 1]), (8, 3)),
    "layer_norm_uncentred": (lambda: layers.LayerNormalization(center=False), (8, 3)),
    "group_norm": (lambda: layers.GroupNormalization(2), (8, 4)),
    "group_norm_first": (lambda: layers.GroupNormalization(2, axis=1, scale=False), (4, 8, 3)),
    "instance_norm": (lambda: layers.GroupNormalization(-1), (8, 4)),
    "unit_norm": (lambda: layers.UnitNormalization(), (8, 3)),
    "unit_norm_axes": (lambda: layers.UnitNormalization(axis=[1, 2]), (8, 3)),
    "rms_norm": (lambda: layers.RMSNormalization(), (8, 3)),
    "normalization": (lambda: layers.Normalization(), (8, 3)),
    "normalization_given": (lambda: layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 0.0, 4.0]), (8, 3)),
    "normalization_back": (lambda: layers.Normalization(invert=True, axis=None, mean=2.0, variance=4.0), (8, 3)),
    "rescaling": (lambda: layers.Rescaling(1 / 127.5, -1.0), (8, 3)),
    "rescaling_by_channel": (lambda: layers.Rescaling([1.0, 2.0, 3.0], [0.5, 0.0, -1.0]), (8, 3)),
    # pools
    **{
        f"{kind}_{padding}": (
            lambda kind=kind, padding=padding: getattr(layers, f"{kind}Pooling2D")(3, strides=2, padding=padding),
            (8, 7, 2),
        )
        for kind in ("Max", "Average")
        for padding in ("valid", "same")
    },
    "average_same_symmetric": (lambda: layers.AveragePooling1D(3, 1, padding="same"), (9, 2)),
    "max_first": (lambda: layers.MaxPooling1D(3, padding="same", **FIRST), (2, 8)),
    "average_first": (lambda: layers.AveragePooling2D((2, 3), padding="same", **FIRST), (2, 7, 8)),
    "average_volumes": (lambda: layers.AveragePooling3D(2), (4, 5, 6, 2)),
    "global_average": (lambda: layers.GlobalAveragePooling1D(), (8, 3)),
    "global_max_kept": (lambda: layers.GlobalMaxPooling2D(keepdims=True), (8, 7, 3)),
    "global_average_first": (lambda: layers.GlobalAveragePooling2D(**FIRST), (3, 8, 7)),
    "adaptive": (lambda: layers.AdaptiveAveragePooling1D(3), (8, 2)),
    "adaptive_max": (lambda: layers.AdaptiveMaxPooling2D((3, 2)), (8, 7, 2)),
    # shapes
    "flatten": (lambda: layers.Flatten(), (4, 3, 2)),
    "flatten_first": (lambda: layers.Flatten(**FIRST), (4, 3, 2)),
    "reshape": (lambda: layers.Reshape((2, -1, 3)), (4, 6)),
    "permute": (lambda: layers.Permute((3, 1, 2)), (4, 3, 2)),
    "repeat_vector": (lambda: layers.RepeatVector(3), (4,)),
    "zero_padding": (lambda: layers.ZeroPadding1D((2, 0)), (8, 3)),
    "zero_padding_images": (lambda: layers.ZeroPadding2D(((1, 2), (0, 3))), (8, 7, 3)),
    "zero_padding_first": (lambda: layers.ZeroPadding2D((1, 2), **FIRST), (3, 8, 7)),
    "zero_padding_volumes": (lambda: layers.ZeroPadding3D(((1, 0), (0, 2), (1, 1))), (2, 3, 4, 2)),
    "cropping": (lambda: layers.Cropping1D((0, 3)), (8, 3)),
    "cropping_images": (lambda: layers.Cropping2D(((1, 2), (0, 3))), (8, 7, 3)),
    "cropping_volumes_first": (lambda: layers.Cropping3D(((1, 0), (0, 1), (1, 1)), **FIRST), (2, 3, 4, 5)),
    "up_sampling": (lambda: layers.UpSampling1D(3), (5, 2)),
    "up_sampling_nearest": (lambda: layers.UpSampling2D((2, 3)), (5, 4, 2)),
    "up_sampling_bilinear": (lambda: layers.UpSampling2D((2, 3), interpolation="bilinear"), (5, 4, 2)),
    "up_sampling_first": (lambda: layers.UpSampling2D(2, interpolation="bilinear", **FIRST), (2, 5, 4)),
    "up_sampling_volumes": (lambda: layers.UpSampling3D((1, 2, 3)), (2, 3, 4, 2)),
    # activations with options
    "leaky_relu": (lambda: layers.LeakyReLU(), (8, 3)),
    "leaky_relu_slope": (lambda: layers.LeakyReLU(0.01), (8, 3)),
    "elu": (lambda: layers.ELU(0.5), (8, 3)),
    "softmax_axis": (lambda: layers.Softmax(axis=1), (8, 3)),
    "prelu": (lambda: layers.PReLU(), (8, 3)),
    "prelu_shared": (lambda: layers.PReLU(shared_axes=[1]), (8, 3)),
    "relu_six": (lambda: layers.ReLU(6.0), (8, 3)),
    "relu_capped": (lambda: layers.ReLU(0.5), (8, 3)),
    "relu_sloped": (lambda: layers.ReLU(negative_slope=0.3), (8, 3)),
    "relu_threshold": (lambda: layers.ReLU(threshold=0.4), (8, 3)),
    "relu_all": (lambda: layers.ReLU(max_value=0.9, negative_slope=0.3, threshold=0.4), (8, 3)),
    "relu_capped_and_sloped": (lambda: layers.ReLU(max_value=0.9, negative_slope=0.3), (8, 3)),
    # identities, wrappers
    "dropout": (lambda: layers.Dropout(0.5), (8, 3)),
    "spatial_dropout": (lambda: layers.SpatialDropout2D(0.5), (8, 3, 2)),
    "noise": (lambda: layers.GaussianNoise(1.0), (8, 3)),
    "identity": (lambda: layers.Identity(), (8, 3)),
    "time_distributed": (lambda: layers.TimeDistributed(layers.Conv1D(3, 2, activation="relu")), (5, 8, 4)),
    "time_distributed_model": (
        lambda: layers.TimeDistributed(keras.Sequential([keras.Input((8, 4)), layers.Conv1D(3, 2), layers.Flatten()])),
        (5, 8, 4),
    ),
    "time_distributed_dense": (lambda: layers.TimeDistributed(layers.Dense(3)), (5, 4)),
    "spectral_norm": (lambda: layers.SpectralNormalization(layers.Conv1D(3, 2)), (8, 4)),
    # ours
    "ours": (lambda: ours.Conv1D(5, 3, strides=2, dilation_rate=2, padding="causal", activation="relu"), (11, 4)),
    "ours_circular": (lambda: ours.Conv2D(5, 3, padding="same", padding_mode="circular"), (8, 9, 4)),
    "ours_pairs": (lambda: ours.Conv2D(5, 3, padding=((2, 0), (1, 3))), (8, 9, 4)),
    "ours_batches": (lambda: ours.Conv1D(5, 3, activation="relu"), (2, 11, 4)),
    "ours_depthwise": (lambda: ours.DepthwiseConv2D(3, padding=1, padding_mode="reflect"), (8, 9, 4)),
    "ours_separable": (lambda: ours.SeparableConv1D(5, 3, padding="causal"), (11, 4)),
    "ours_up_causal": (lambda: ours.Conv1DTranspose(5, 4, strides=3, padding="causal"), (7, 3)),
    "ours_up_causal_short": (lambda: ours.Conv1DTranspose(5, 2, strides=3, padding="causal"), (7, 3)),
    "ours_up_pairs": (lambda: ours.Conv2DTranspose(5, 4, strides=2, padding=((1, 2), (0, 3))), (5, 6, 3)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    make, shape = LAYERS[name]
    check(functional(make(), shape))


SUMS = {
    "add": layers.Add,
    "subtract": layers.Subtract,
    "multiply": layers.Multiply,
    "average": layers.Average,
    "maximum": layers.Maximum,
    "minimum": layers.Minimum,
    "concatenate": layers.Concatenate,
}


@pytest.mark.parametrize("name", SUMS)
def test_merge(name: str) -> None:
    count = 2 if name == "subtract" else 5
    check(functional(SUMS[name](), *[(8, 3)] * count))


def test_merges_broadcast() -> None:
    check(functional(layers.Add(), (8, 3), (1, 3)))
    check(functional(layers.Multiply(), (8, 3), (3,)))
    check(functional(layers.Concatenate(axis=1), (8, 3), (2, 3)))
    check(functional(lambda xs: layers.Dense(2)(layers.Dot(axes=-1)(xs)), (8, 3), (4, 3)), islands=1)


ACTIVATIONS = [
    *("relu", "leaky_relu", "relu6", "softmax", "celu", "elu", "selu", "softplus", "softsign", "squareplus"),
    *("soft_shrink", "sparse_plus", "silu", "gelu", "tanh", "tanh_shrink", "sigmoid", "sparse_sigmoid"),
    *("exponential", "hard_sigmoid", "hard_silu", "hard_tanh", "hard_shrink", "linear", "mish", "log_softmax"),
    "log_sigmoid",
]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    x = np.linspace(-8, 8, 3 * 9 * 4).reshape(3, 9, 4)
    check(functional(layers.Activation(name), (9, 4)), given=x)
    check(functional(layers.Conv1D(4, 3, activation=name), (9, 4)), given=x)


def test_activations_with_options() -> None:
    for activation in (
        lambda x: activations.gelu(x, approximate=True),
        lambda x: activations.threshold(x, 0.3, -2.0),
        lambda x: activations.celu(x, 0.5),
        lambda x: activations.softmax(x, axis=1),
        layers.LeakyReLU(0.1),
        layers.PReLU(shared_axes=[1]),
    ):
        check(functional(layers.Dense(4, activation=activation), (9, 5)))
    check(functional(layers.Dense(4, activation=activations.sparsemax), (9, 5)), islands=1)


def test_numbers_at_a_threshold() -> None:
    x = np.array([0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0), -0.5, 0.0, np.inf, -np.inf]).reshape(1, 7)
    for layer in (layers.ReLU(threshold=0.5), layers.Activation("hard_shrink"), layers.Activation("soft_shrink")):
        check(functional(layer, (7,)), given=x)


@pytest.mark.parametrize("more", [0, 1, 2])
@pytest.mark.parametrize("taps", [2, 3, 4, 5])
def test_output_padding(taps: int, more: int) -> None:
    """Keras warns where PyTorch cannot give what TensorFlow and JAX do."""
    layer = layers.Conv1DTranspose(5, taps, strides=3, padding="same", output_padding=more)
    read = read_keras(functional(layer, (7, 3)))
    (output,) = read.graph.outputs
    assert list(read.graph.shape(output)[1:]) == list(layer.compute_output_shape((None, 7, 3))[1:])


OPERATIONS: dict[str, Any] = {
    "arithmetic": lambda x: (2 * x + 1) / (3 - ops.square(x) * 0 - x / 4) - x**2,
    "unary": lambda x: ops.sin(ops.exp(-ops.abs(x))) + ops.sqrt(ops.abs(x)) + ops.log(1 + ops.square(x)),
    "erf": lambda x: ops.erf(x) + ops.rsqrt(1 + x * x) + ops.reciprocal(2 + ops.tanh(x)),
    "clip": lambda x: ops.clip(x, -0.5, 0.25),
    "array": lambda x: x * np.arange(4.0) + np.ones((6, 1)),
    "statistics": lambda x: ops.concatenate([ops.mean(x, 1), ops.std(x, 1), ops.var(x, 1), ops.sum(x, 1)], -1),
    "extremes": lambda x: ops.maximum(ops.max(x, (1, 2), keepdims=True), ops.min(x, -1, keepdims=True)),
    "slice": lambda x: x[:, 1:-1, ::2],
    "slice_steps": lambda x: x[:, ::2] + x[:, 1::2],
    "chomp": lambda x: ops.pad(x, [[0, 0], [3, 3], [0, 0]])[:, :-3],
    "index": lambda x: x[:, -1] + x[:, 0, :],
    "new_axis": lambda x: x[:, :, None] * x[..., None, :],
    "ellipsis": lambda x: x[..., 1],
    "split": lambda x: ops.concatenate(ops.split(x, [1, 3], axis=-1)[::-1], axis=-1),
    "stack": lambda x: ops.stack([x, 2 * x], axis=1),
    "swap": lambda x: ops.moveaxis(ops.swapaxes(x, 1, 2)[:, None], 1, -1),
    "reshape": lambda x: ops.reshape(x, (-1, 2, 12)),
    "reshape_batch": lambda x: ops.reshape(ops.relu(ops.reshape(x, (-1, 4))), (-1, 6, 4)),
    "squeeze": lambda x: ops.squeeze(ops.expand_dims(x, (1, 3)), 1),
    "repeat": lambda x: ops.repeat(x, 3, axis=2),
    "pad": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 0]], constant_values=3.0),
    "pad_reflect": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 0]], mode="reflect"),
    "matmul": lambda x: ops.matmul(x, np.arange(8.0).reshape(4, 2)),
    "pools": lambda x: ops.max_pool(x, 2, 2) + ops.average_pool(x, 2, 2),
    "conv": lambda x: ops.conv(x, np.arange(24.0).reshape(3, 4, 2), padding="same"),
    "softmax": lambda x: ops.softmax(x, 1) + ops.log_softmax(x, -1),
    "normalize": lambda x: ops.normalize(x, axis=-1),
    "cast": lambda x: ops.cast(x, "float64") + 1,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation(name: str) -> None:
    check(functional(OPERATIONS[name], (6, 4)))


def test_what_crosses_the_batch_is_left_to_keras() -> None:
    for call in (
        lambda x: x - ops.mean(x),
        lambda x: x - ops.mean(x, axis=0),
        lambda x: ops.flip(x, 0),
        lambda x: ops.cumsum(x, 1),
    ):
        check(functional(lambda x, call=call: layers.Dense(2)(call(x)), (6, 4)), islands=1)


def test_islands_that_follow_each_other_are_one() -> None:
    read = check(functional(lambda x: ops.cumsum(ops.sort(ops.relu(x), 1), 1) + 1, (6, 4)), islands=1)
    (island,) = (node for node in read.graph.nodes if node.op == "island")
    assert island["description"] == "Sort, Cumsum"


def test_inputs_of_integers() -> None:
    check(
        functional(lambda x: layers.Dense(2)(layers.Rescaling(1 / 255)(x)), (6, 4), dtype="uint8"),
        given=numbers((3, 6, 4), "uint8"),
    )
    check(
        functional(lambda x: layers.Dense(2)(layers.Embedding(5, 3)(x)), (6,), dtype="int32"),
        given=numbers((3, 6), "int32"),
    )
    read = check(functional(lambda x: layers.Dense(2)(layers.Embedding(5, 3)(x)), (6,)), given=np.ones((3, 6)))
    assert [value.dtype for value in read.graph.inputs.values()] == ["int32"]


def test_inputs_as_keras_takes_them() -> None:
    model = functional(layers.Dense(3), (1,))
    check(model, given=numbers((5,), "float64"))
    inputs = [keras.Input((8, 3), name=name) for name in ("b", "a")]
    two = keras.Model(inputs, layers.Subtract()(inputs))
    check(two, given={name: numbers((2, 8, 3), "float64", n) for n, name in enumerate("ab")})
    flatten = read_keras(two).flatten
    with pytest.raises(ShapeError, match=r"has 2 inputs; got 1"):
        flatten((np.ones((2, 8, 3)),), {})
    with pytest.raises(ModelError, match=r"takes its inputs only; got training"):
        flatten(([1, 2],), {"training": True})


def test_training_that_is_asked_for_is_kept() -> None:
    model = functional(lambda x: layers.Dense(2)(layers.GaussianNoise(1e-14)(x, training=True)), (6, 4))
    read = read_keras(model)
    assert [node["reason"] for node in read.graph.nodes if node.op == "island"] == ["it is called with training=True"]


def test_open_sizes_need_an_example() -> None:
    model = functional(lambda x: layers.Conv1D(3, 3, strides=2, padding="same")(x), (None, 4))
    with pytest.raises(ModelError, match=r"has shape \(None, None, 4\); got no example"):
        read_keras(model)
    with pytest.raises(ModelError, match=r"has shape \(None, None, 4\); got an example of \(1, 9, 5\)"):
        read_keras(model, (1, 9, 5))
    for length in (9, 10):
        check(model, (1, length, 4))


def test_models_that_have_not_been_called() -> None:
    model = keras.Sequential([layers.Conv1D(3, 3), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(ModelError, match="does not tell the shapes of its inputs"):
        read_keras(model)
    check(model, (1, 8, 4))


def test_half_precision_is_refused() -> None:
    model = functional(layers.Dense(3, dtype="mixed_float16", name="half"), (8, 4))
    with pytest.raises(ModelError, match=r"layer half computes in float16, and faltung in float32 and float64"):
        read_keras(model)
    with pytest.raises(ModelError, match=r"must compute in the same type; got float32 and float64"):
        read_keras(functional(lambda x: layers.Dense(3)(layers.Dense(3, dtype="float32")(x)), (8, 4)))


def test_nothing_but_islands_is_refused() -> None:
    with pytest.raises(ModelError, match=r"nothing is left for faltung to compute: .*, it is left to Keras"):
        read_keras(functional(layers.LSTM(3), (8, 4)))


def test_a_call_that_cannot_be_followed_is_refused() -> None:
    class Foreign(keras.Model):
        def call(self, x: Any) -> Any:
            return np.asarray(x).sum()

    with pytest.raises(ModelError, match=r"Foreign: its call takes no symbolic tensors: "):
        read_keras(Foreign(), (2, 4))


def test_several_arguments_and_structures() -> None:
    class Two(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = layers.Dense(3), layers.Dense(3)

        def call(self, x: Any, y: Any) -> Any:
            return self.a(x) + self.b(y), self.a(y)

    model, x, y = Two(), numbers((2, 8, 4), "float64"), numbers((2, 8, 4), "float64", 1)
    read = read_keras(model, [(2, 8, 4), (2, 8, 4)])
    assert read.flatten((x, y), {}) == [x, y]
    assert isinstance(read.assemble([x, y]), tuple)
    with pytest.raises(ShapeError, match="it was compiled for"):
        read.flatten((x,), {})


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_on(backend: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", str(CHECKS)]
    done = subprocess.run(command, capture_output=True, text=True, env=on_backend(backend), cwd=CHECKS.parents[3])
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    assert " passed" in done.stdout.splitlines()[-1] and "skipped" not in done.stdout.splitlines()[-1]
