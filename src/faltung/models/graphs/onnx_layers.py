"""ONNX's ops with learned numbers: convolutions, dense, norms."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.onnx_nodes import Reader, Size
from faltung.spec.geometry import same_pair, window_size

SPATIAL = ("", "W", "HW", "DHW")


def layout(rank: int) -> str:
    """Channels first."""
    if not 1 <= rank <= 3:
        raise NotCovered(f"{rank} spatial axes")
    return "NC" + SPATIAL[rank]


def number(size: Size) -> int:
    """A size that does not hang on the batch."""
    if not isinstance(size, int):
        raise NotCovered("a size that hangs on the batch")
    return size


def spatial(r: Reader, x: str) -> list[int]:
    """The spatial sizes."""
    return [number(size) for size in r.shape(x)[2:]]


def per_axis(r: Reader, name: str, rank: int) -> tuple[int, ...]:
    """An attribute with a number for each axis, 1 where nothing is said."""
    return tuple(r.said.get(name) or (1,) * rank)


def padding(r: Reader, x: str, taps: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Pairs, from `pads` or from `auto_pad`, which goes by the sizes."""
    rank, word = len(taps), r.said.get("auto_pad", "NOTSET")
    if word in ("NOTSET", "VALID"):
        ends = r.said.get("pads") if word == "NOTSET" else None
        return tuple(zip(ends[:rank], ends[rank:], strict=True)) if ends else ((0, 0),) * rank
    strides, dilations = per_axis(r, "strides", rank), per_axis(r, "dilations", rank)
    return tuple(
        same_pair(size, window_size(k, dilation), stride, odd_at_low=word == "SAME_LOWER")
        for size, k, dilation, stride in zip(spatial(r, x), taps, dilations, strides, strict=True)
    )


def _conv(r: Reader, x: str, kernel: str, bias: str | None = None) -> str:
    taps = r.array(kernel).shape[2:]
    rank = len(taps)
    given = [x, kernel] + ([] if bias is None else [_vector(r, bias)])
    return r.emit(
        "conv",
        given,
        layout=layout(rank),
        kernel_layout="OI" + SPATIAL[rank],
        stride=per_axis(r, "strides", rank),
        dilation=per_axis(r, "dilations", rank),
        groups=r.said.get("group", 1),
        padding=padding(r, x, taps),
        padding_mode="zeros",
        activation=None,
        has_bias=bias is not None,
        adds=False,
    )


def _vector(r: Reader, name: str) -> str:
    if r.array(name).ndim != 1:
        raise NotCovered(f"{name} of {r.array(name).ndim} axes")
    return name


def _conv_transpose(r: Reader, x: str, kernel: str, bias: str | None = None) -> str:
    taps = r.array(kernel).shape[2:]
    rank = len(taps)
    strides, dilations = per_axis(r, "strides", rank), per_axis(r, "dilations", rank)
    more = tuple(r.said.get("output_padding") or (0,) * rank)
    full = [
        (size - 1) * s + window_size(k, d) + extra
        for size, s, k, d, extra in zip(spatial(r, x), strides, taps, dilations, more, strict=True)
    ]
    word, wanted = r.said.get("auto_pad", "NOTSET"), r.said.get("output_shape")
    if wanted is None and word.startswith("SAME"):
        wanted = [size * s for size, s in zip(spatial(r, x), strides, strict=True)]
    if wanted is not None:  # what is too much goes, the odd one at the end where the word is SAME_UPPER
        totals = [size - out for size, out in zip(full, wanted[-rank:], strict=True)]
        if min(totals) < 0:
            raise NotCovered("a transposed convolution longer than its windows reach")
        halves = [(total // 2, total - total // 2) for total in totals]
        pairs = tuple(pair if word == "SAME_UPPER" else pair[::-1] for pair in halves)
    else:
        pairs = padding(r, x, taps)
    return r.emit(
        "conv_transpose",
        [x, kernel] + ([] if bias is None else [_vector(r, bias)]),
        layout=layout(rank),
        kernel_layout="IO" + SPATIAL[rank],
        stride=strides,
        dilation=dilations,
        groups=r.said.get("group", 1),
        padding=pairs,
        output_padding=more,
        activation=None,
        has_bias=bias is not None,
    )


def _gemm(r: Reader, x: str, kernel: str, shift: str | None = None) -> str:
    """alpha and beta are multiplied into kernel and bias."""
    if r.said.get("transA", 0):
        raise NotCovered("a product whose first factor is transposed")
    weights = r.array(kernel)
    alpha, beta = r.said.get("alpha", 1.0), r.said.get("beta", 1.0)
    scaled = kernel if alpha == 1 else r.constant("kernel", (weights * alpha).astype(weights.dtype))
    given = [x, scaled]
    if shift is not None:
        numbers = r.array(shift)
        outputs = weights.shape[0] if r.said.get("transB", 0) else weights.shape[1]
        if numbers.ndim > 1 and numbers.shape[0] > 1:
            raise NotCovered("a product to which a matrix is added")
        row = np.broadcast_to(numbers.reshape(numbers.shape[-1:]), (outputs,))
        given.append(r.constant("bias", (row * beta).astype(numbers.dtype)))
    return r.emit(
        "dense",
        given,
        kernel_layout="OI" if r.said.get("transB", 0) else "IO",
        activation=None,
        has_bias=shift is not None,
    )


def _matmul(r: Reader, x: str, kernel: str) -> str:
    if x in r.known or r.array(kernel).ndim != 2 or r.rank(x) < 2:
        raise NotCovered("a product that is no dense layer")
    return r.emit("dense", [x, kernel], kernel_layout="IO", activation=None, has_bias=False)


def _batch_norm(r: Reader, x: str, scale: str, shift: str, mean: str, variance: str) -> str:
    if r.said.get("training_mode", 0):
        raise NotCovered("statistics of the whole batch")
    given = [x, *(_vector(r, name) for name in (mean, variance, scale, shift))]
    return r.emit("batch_norm", given, axis=1, epsilon=r.said.get("epsilon", 1e-5), has_scale=True, has_shift=True)


def _layer_norm(r: Reader, x: str, scale: str, shift: str | None = None) -> str:
    rank = r.rank(x)
    num_axes = rank - r.said.get("axis", -1) % rank
    sizes = tuple(r.shape(x)[rank - num_axes :])
    given = [x]
    for name in (scale, shift):
        if name is not None:
            given.append(name if r.array(name).shape == sizes else _spread(r, name, sizes))
    epsilon = r.said.get("epsilon", 1e-5)
    return r.emit("layer_norm", given, num_axes=num_axes, epsilon=epsilon, has_scale=True, has_shift=shift is not None)


def _spread(r: Reader, name: str, sizes: tuple[Any, ...]) -> str:
    """Numbers that broadcast, one for each place."""
    numbers = r.array(name)
    if numbers.ndim > len(sizes):
        raise NotCovered("a norm with numbers of its own for each sample")
    return r.constant(name, np.array(np.broadcast_to(numbers, sizes)))


def _group_norm(r: Reader, x: str, scale: str, shift: str) -> str:
    """Before opset 21 there was a number for each group, since then one for each channel."""
    groups, channels = r.said["num_groups"], number(r.shape(x)[1])
    given = [x]
    for name in (scale, shift):
        numbers = r.array(name)
        given.append(name if len(numbers) == channels else r.constant(name, np.repeat(numbers, channels // groups)))
    epsilon = r.said.get("epsilon", 1e-5)
    return r.emit("group_norm", given, axis=1, groups=groups, epsilon=epsilon, has_scale=True, has_shift=True)


def _instance_norm(r: Reader, x: str, scale: str, shift: str) -> str:
    given, epsilon = [x, _vector(r, scale), _vector(r, shift)], r.said.get("epsilon", 1e-5)
    return r.emit("group_norm", given, axis=1, groups=r.shape(x)[1], epsilon=epsilon, has_scale=True, has_shift=True)


TABLE: dict[str, Callable[..., Any]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
}
