"""Sizes and padding against the frameworks, and every spelling of padding."""

import itertools

import keras
import pytest
import tensorflow as tf
import torch

from faltung.spec import ConvSpec

LAYERS = {1: keras.layers.Conv1D, 2: keras.layers.Conv2D, 3: keras.layers.Conv3D}
TORCH_LAYERS = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d, 3: torch.nn.Conv3d}
STEPS = [
    (1, 1),
    (2, 1),
    (3, 1),
    (5, 1),
    (1, 2),
    (1, 3),
]  # stride, dilation: the frameworks allow one of them with "same"


def spec_of(in_size, kernel_size, **options):
    return ConvSpec(in_size=in_size, in_channels=1, out_channels=1, kernel_size=kernel_size, **options)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
@pytest.mark.parametrize("stride, dilation", STEPS)
def test_sizes_of_keras(stride, dilation, padding):
    for size, taps in itertools.product((7, 8, 9, 12, 13), (1, 2, 3, 4)):
        if dilation * (taps - 1) >= size:
            continue
        layer = keras.layers.Conv1D(1, taps, strides=stride, dilation_rate=dilation, padding=padding)
        spec = spec_of(size, taps, stride=stride, dilation=dilation, padding=padding)
        assert layer.compute_output_shape((1, size, 1)) == spec.output_shape


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rank", [2, 3])
def test_sizes_of_keras_on_several_axes(rank, padding):
    size, taps, stride = (7, 8, 12)[:rank], (2, 3, 4)[:rank], (1, 2, 3)[:rank]
    layer = LAYERS[rank](1, taps, strides=stride, padding=padding)
    spec = spec_of(size, taps, stride=stride, padding=padding)
    assert layer.compute_output_shape((1, *size, 1)) == spec.output_shape


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("stride, dilation, padding", [(1, 1, 0), (2, 1, 1), (3, 2, 2), (2, 3, 5), (4, 1, 3)])
def test_sizes_of_pytorch(rank, stride, dilation, padding):
    for size in (9, 10, 11):
        layer = TORCH_LAYERS[rank](1, 1, 3, stride, padding, dilation)
        spec = spec_of((size,) * rank, 3, stride=stride, padding=padding, dilation=dilation)
        assert tuple(layer(torch.zeros(1, 1, *(size,) * rank)).shape[2:]) == spec.out_size


@pytest.mark.parametrize("stride, dilation", STEPS)
def test_same_is_where_tensorflow_puts_it(stride, dilation):
    """An impulse in the kernel shows which input each tap met: "same" equals our pairs, not only in size."""
    for size, taps in itertools.product((5, 6, 7), (1, 2, 3, 4)):
        x = tf.reshape(tf.range(1.0, size + 1), (1, size, 1))
        ((low, high),) = spec_of(size, taps, stride=stride, dilation=dilation, padding="same").padding
        kernel = tf.reshape(tf.one_hot(0, taps), (taps, 1, 1))
        same = tf.nn.conv1d(x, kernel, stride, "SAME", dilations=dilation)
        padded = tf.pad(x, [(0, 0), (low, high), (0, 0)])
        assert (
            same.numpy().tolist() == tf.nn.conv1d(padded, kernel, stride, "VALID", dilations=dilation).numpy().tolist()
        )


def test_same_is_that_of_pytorch_for_stride_one():
    for taps, dilation in itertools.product((1, 2, 3, 4, 5), (1, 2, 3)):
        left, right = torch.nn.Conv1d(1, 1, taps, padding="same", dilation=dilation)._reversed_padding_repeated_twice
        assert spec_of(20, taps, dilation=dilation, padding="same").padding == ((left, right),)


@pytest.mark.parametrize(
    "in_size, layout, padding, pairs",
    [
        (9, None, "valid", [(0, 0)]),
        (9, None, "VALID", [(0, 0)]),
        (9, None, "Same", [(1, 2)]),
        (9, None, "same_lower", [(2, 1)]),
        (9, None, "causal", [(3, 0)]),
        (9, None, 2, [(2, 2)]),
        (9, None, [2], [(2, 2)]),
        (9, None, (1, 2), [(1, 2)]),
        (9, None, ((1, 2),), [(1, 2)]),
        (9, None, [[0, 0], [1, 2], [0, 0]], [(1, 2)]),
        (9, "NCW", [[0, 0], [0, 0], [1, 2]], [(1, 2)]),
        ((9, 9), None, 1, [(1, 1), (1, 1)]),
        ((9, 9), None, (1, 2), [(1, 1), (2, 2)]),
        ((9, 9), None, ((0, 1), (2, 3)), [(0, 1), (2, 3)]),
        ((9, 9), None, (1, (2, 3)), [(1, 1), (2, 3)]),
        ((9, 9), None, ((0, 0), (0, 1), (2, 3), (0, 0)), [(0, 1), (2, 3)]),
        ((9, 9), "NCHW", ((0, 0), (0, 0), (0, 1), (2, 3)), [(0, 1), (2, 3)]),
        ((9, 9), "NCHW", "same", [(1, 2), (1, 2)]),
        ((9, 9, 9), None, (0, 1, 2), [(0, 0), (1, 1), (2, 2)]),
        ((9, 9, 9), None, ((0, 0), (1, 2), (3, 4), (5, 6), (0, 0)), [(1, 2), (3, 4), (5, 6)]),
    ],
)
def test_every_spelling_of_padding(in_size, layout, padding, pairs):
    assert spec_of(in_size, 4, padding=padding, layout=layout).padding == tuple(pairs)


@pytest.mark.parametrize(
    "stride, size, pairs", [(1, 0, (1, 1)), (2, 0, (0, 1)), (3, 0, (0, 0)), (5, 0, (0, 0)), (4, 1, (1, 1))]
)
def test_same_on_short_and_empty_axes(stride, size, pairs):
    spec = spec_of(size, 3, stride=stride, padding="same")
    assert spec.padding == (pairs,)
    assert spec.out_size == (-(-size // stride),)
