"""The convolutions in TensorFlow's own operators, for graphs that are written to files.

What `tf.nn` does not know on a processor is put in words that it knows: channels are moved last, padding other than its
two words is written out, a dilated kernel with a stride gets its zeros, groups are computed one after the other.
"""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from faltung.spec.geometry import resolve_padding, window_size
from faltung.spec.layout import layouts, spatial_axes
from faltung.spec.rules import integer, per_axis
from faltung.tensorflow.open_conv import OpenConv
from faltung.tensorflow.tensors import Tensor

SOURCES: dict[str, Callable[[Tensor, Any], Tensor]] = {
    "reflect": lambda i, size: size - 1 - tf.abs(size - 1 - tf.abs(i)),
    "replicate": lambda i, size: tf.clip_by_value(i, 0, size - 1),
    "circular": lambda i, size: i % size,
}
"""Mode -> the input that each position of a padded axis repeats, as in operators/padding.py."""


class Words:
    """The options of a convolution, an entry for each axis, and its kernel in TensorFlow's order."""

    def __init__(self, open_conv: OpenConv, kernel: Tensor) -> None:
        options, rank = open_conv.options, open_conv.rank
        axes = spatial_axes(rank)
        self.rank, self.is_last = rank, open_conv.is_channels_last
        self.stride = per_axis("stride", options.stride, axes, minimum=1)
        self.dilation = per_axis("dilation", options.dilation, axes, minimum=1)
        self.groups = integer("groups", options.groups, minimum=1)
        self.padding, self.mode = options.padding, options.padding_mode
        is_first = open_conv.is_kernel_outputs_first
        self.kernel = tf.transpose(kernel, (*range(2, rank + 2), 1, 0)) if is_first else kernel
        self.windows = tuple(map(window_size, self.kernel.shape.as_list()[:rank], self.dilation))

    def pairs(self, sizes: Sequence[Any]) -> list[tuple[Any, Any]]:
        """The padding at both ends of each axis, numbers or tensors where the sizes are."""
        word = self.padding.lower() if isinstance(self.padding, str) else ""
        if not word.startswith("same"):
            return list(
                resolve_padding(self.padding, (0,) * self.rank, self.windows, self.stride, layouts(self.rank)[0])
            )
        pairs = []
        for size, window, stride in zip(sizes, self.windows, self.stride, strict=True):
            missing = (-(-size // stride) - 1) * stride + window - size
            total = max(missing, 0) if isinstance(missing, int) else tf.maximum(missing, 0)
            less, more = total // 2, total - total // 2
            pairs.append((more, less) if word == "same_lower" else (less, more))
        return pairs


def convolve(open_conv: OpenConv, x: Tensor, kernel: Tensor) -> Tensor:
    """y, without bias and activation."""
    words = Words(open_conv, kernel)
    x, shape = _channels_last(words, x)
    leading = shape[: -words.rank - 1]
    x = x if len(leading) == 1 else tf.reshape(x, (-1, *shape[len(leading) :]))
    x, padding = _padded(words, x, shape[len(leading) : -1])
    y = _summed(words, x, padding)
    if len(leading) > 1:
        y = tf.reshape(y, (*leading, *_shape(y)[1:]))
    return _as_asked(words, y)


def input_gradient(open_conv: OpenConv, dy: Tensor, kernel: Tensor, sizes: Sequence[Any]) -> Tensor:
    """dx of these sizes, in the layout asked for: all that padding would meet is computed, and cut off."""
    words = Words(open_conv, kernel)
    dy, _ = _channels_last(words, dy)
    spatial = list(sizes[-words.rank - 1 : -1] if words.is_last else sizes[-words.rank :])
    pairs = words.pairs(spatial)
    padded = [low + size + high for size, (low, high) in zip(spatial, pairs, strict=True)]
    taps = _with_zeros_between(words.kernel, words.dilation)
    inputs = taps.shape[-2]
    parts = [
        tf.nn.conv_transpose(part, tap, tf.stack([_shape(dy)[0], *padded, inputs]), words.stride, "VALID")
        for part, tap in zip(tf.split(dy, words.groups, -1), tf.split(taps, words.groups, -1), strict=True)
    ]
    dx = parts[0] if len(parts) == 1 else tf.concat(parts, -1)
    begin, end = [0, *(low for low, _ in pairs), 0], [-1, *spatial, -1]
    return _as_asked(words, tf.slice(dx, begin, tf.stack(end)))


def _channels_last(words: Words, x: Tensor) -> tuple[Tensor, list[Any]]:
    """x with its channels last, and its sizes."""
    if not words.is_last:
        x = tf.transpose(x, (0, *range(2, words.rank + 2), 1))
    return x, _shape(x)


def _as_asked(words: Words, y: Tensor) -> Tensor:
    return y if words.is_last else tf.transpose(y, (0, words.rank + 1, *range(1, words.rank + 1)))


def _shape(x: Tensor) -> list[Any]:
    """The sizes: numbers where they are known, else tensors."""
    given = tf.shape(x)
    return [given[axis] if size is None else size for axis, size in enumerate(x.shape.as_list())]


def _padded(words: Words, x: Tensor, sizes: Sequence[Any]) -> tuple[Tensor, str]:
    """x with its padding written out, unless one of TensorFlow's words says it."""
    word = words.padding.upper() if isinstance(words.padding, str) else ""
    if word == "VALID" or (word == "SAME" and words.mode == "zeros"):
        return x, word
    pairs = words.pairs(sizes)
    if words.mode == "zeros":
        return tf.pad(x, [(0, 0), *pairs, (0, 0)]), "VALID"
    for axis, (size, (low, high)) in enumerate(zip(sizes, pairs, strict=True), 1):
        x = tf.gather(x, SOURCES[words.mode](tf.range(-low, size + high), size), axis=axis)
    return x, "VALID"


def _summed(words: Words, x: Tensor, padding: str) -> Tensor:
    kernel, dilation = words.kernel, words.dilation
    if max(words.stride) > 1 and max(dilation) > 1:
        kernel, dilation = _with_zeros_between(kernel, dilation), (1,) * words.rank
    if words.groups > 1 and kernel.shape[-2] == 1 and words.rank < 3 and len(set(words.stride)) == 1:
        return _by_channel(x, kernel, words.stride[0], dilation, padding)
    parts = [
        tf.nn.convolution(part, tap, words.stride, padding, dilations=dilation)
        for part, tap in zip(tf.split(x, words.groups, -1), tf.split(kernel, words.groups, -1), strict=True)
    ]
    return parts[0] if len(parts) == 1 else tf.concat(parts, -1)


def _by_channel(x: Tensor, kernel: Tensor, stride: int, dilation: tuple[int, ...], padding: str) -> Tensor:
    """Each channel by itself; a sequence is an image of one line."""
    *taps, _, outputs = kernel.shape.as_list()
    channels, is_line = x.shape[-1], len(taps) == 1
    kernel = tf.reshape(kernel, (*(1,) * is_line, *taps, channels, outputs // channels))
    x = tf.expand_dims(x, 1) if is_line else x
    y = tf.nn.depthwise_conv2d(x, kernel, [1, stride, stride, 1], padding, dilations=(*(1,) * is_line, *dilation))
    return tf.squeeze(y, 1) if is_line else y


def _with_zeros_between(kernel: Tensor, dilation: Sequence[int]) -> Tensor:
    """The dense kernel that does what this one does with such spacing."""
    for axis, (taps, space) in enumerate(zip(kernel.shape.as_list(), dilation, strict=False)):
        if space > 1:
            apart = tf.expand_dims(kernel, axis + 1)
            zeros = [(0, 0)] * len(apart.shape)
            zeros[axis + 1] = (0, space - 1)
            shape = kernel.shape.as_list()
            shape[axis] = taps * space
            kernel = tf.reshape(tf.pad(apart, zeros), shape)
            kernel = tf.gather(kernel, range(window_size(taps, space)), axis=axis)
    return kernel
