"""PyTorch's ops with learned numbers: convolutions, dense, norms, embedding."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import fx

from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.torch_nodes import Reader

SPATIAL = ("", "W", "HW", "DHW")


def sizes_of(argument: Sequence[int] | int, rank: int) -> tuple[int, ...]:
    """One number for each axis, where one may stand for all."""
    given = (argument,) if isinstance(argument, int) else tuple(argument)
    return given * rank if len(given) == 1 else given


def layout(r: Reader, input: fx.Node, rank: int) -> str:
    """Channels first, if there are a batch and channels."""
    if len(r.shape(input)) != rank + 2:
        raise NotCovered("an input without a batch")
    return "NC" + SPATIAL[rank]


def learned(r: Reader, *nodes: fx.Node | None) -> list[fx.Node]:
    """Those that are there; all must belong to the network."""
    present = [node for node in nodes if node is not None]
    if not all(map(r.is_constant, present)):
        raise NotCovered("a kernel that is computed from the input")
    return present


def _conv(
    r: Reader,
    input: fx.Node,
    weight: fx.Node,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    **_: Any,
) -> str:
    taps = r.shape(weight)[2:]
    rank = len(taps)
    dilation = sizes_of(dilation, rank)
    if padding == "same":  # an odd one goes to the end
        totals = [d * (int(k) - 1) for k, d in zip(taps, dilation, strict=True)]
        pairs = tuple((total // 2, total - total // 2) for total in totals)
    else:
        pairs = tuple((p, p) for p in sizes_of(0 if padding == "valid" else padding, rank))
    return r.emit(
        "conv",
        [input, *learned(r, weight, bias)],
        layout=layout(r, input, rank),
        kernel_layout="OI" + SPATIAL[rank],
        stride=sizes_of(stride, rank),
        dilation=dilation,
        groups=groups,
        padding=pairs,
        padding_mode="zeros",
        activation=None,
        has_bias=bias is not None,
        adds=False,
    )


def _conv_transpose(
    r: Reader,
    input: fx.Node,
    weight: fx.Node,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    **_: Any,
) -> str:
    rank = len(r.shape(weight)) - 2
    return r.emit(
        "conv_transpose",
        [input, *learned(r, weight, bias)],
        layout=layout(r, input, rank),
        kernel_layout="IO" + SPATIAL[rank],
        stride=sizes_of(stride, rank),
        dilation=sizes_of(dilation, rank),
        groups=groups,
        padding=tuple((p, p) for p in sizes_of(padding, rank)),
        output_padding=sizes_of(output_padding, rank),
        activation=None,
        has_bias=bias is not None,
    )


def _convolution(r: Reader, transposed: bool, **arguments: Any) -> str:
    return (_conv_transpose if transposed else _conv)(r, **arguments)


def _dense(r: Reader, input: fx.Node, weight: fx.Node, bias: fx.Node | None, kernel_layout: str) -> str:
    if len(r.shape(weight)) != 2 or len(r.shape(input)) < 2 or (bias is not None and len(r.shape(bias)) != 1):
        raise NotCovered("a product that is no dense layer")
    given = [input, *learned(r, weight, bias)]
    return r.emit("dense", given, kernel_layout=kernel_layout, activation=None, has_bias=bias is not None)


def _linear(r: Reader, input: fx.Node, weight: fx.Node, bias: fx.Node | None) -> str:
    return _dense(r, input, weight, bias, "OI")


def _product(r: Reader, input: fx.Node, **other: fx.Node) -> str:
    (matrix,) = other.values()  # mat2, other: each product has its own name for it
    return _dense(r, input, matrix, None, "IO")


def _addmm(r: Reader, input: fx.Node, mat1: fx.Node, mat2: fx.Node, beta: float, alpha: float) -> str:
    if (beta, alpha) != (1, 1) or not r.is_constant(input):
        raise NotCovered("a sum of matrices with factors")
    return _dense(r, mat1, mat2, input, "IO")


def _normalised(r: Reader, input: fx.Node, training: bool, **arguments: Any) -> str:
    if training:
        raise NotCovered("statistics of the whole batch")
    return str(_batch_norm(r, input, **arguments)[0])


def _batch_norm(
    r: Reader, input: fx.Node, weight: Any, bias: Any, running_mean: Any, running_var: Any, eps: float, **_: Any
) -> tuple[str | None, ...]:
    given = [input, *learned(r, running_mean, running_var, weight, bias)]
    if running_mean is None:
        raise NotCovered("statistics of the whole batch")
    has = {"has_scale": weight is not None, "has_shift": bias is not None}
    return r.emit("batch_norm", given, axis=1, epsilon=eps, **has), None, None


def _instance_norm(
    r: Reader,
    input: fx.Node,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    eps: float,
    **_: Any,
) -> str:
    if not use_input_stats:
        return str(_batch_norm(r, input, weight, bias, running_mean, running_var, eps)[0])
    return _group_norm(r, input, r.shape(input)[1], weight, bias, eps)


def _group_norm(r: Reader, input: fx.Node, num_groups: Any, weight: Any, bias: Any, eps: float, **_: Any) -> str:
    has = {"has_scale": weight is not None, "has_shift": bias is not None}
    given = [input, *learned(r, weight, bias)]
    return r.emit("group_norm", given, axis=1, groups=int(num_groups), epsilon=eps, **has)


def _layer_norm(r: Reader, input: fx.Node, normalized_shape: Any, weight: Any, bias: Any, eps: float, **_: Any) -> str:
    has = {"has_scale": weight is not None, "has_shift": bias is not None}
    return r.emit("layer_norm", [input, *learned(r, weight, bias)], num_axes=len(normalized_shape), epsilon=eps, **has)


def _rms_norm(r: Reader, input: fx.Node, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> str:
    """x / sqrt(mean(x**2) + epsilon), over trailing axes."""
    rank, epsilon = len(r.shape(input)), torch.finfo(input.meta["val"].dtype).eps if eps is None else eps
    axes = tuple(range(rank - len(normalized_shape), rank))
    squares = r.map(lambda x: ("square", x), input)
    mean = r.emit("reduce", [squares], kind="mean", axes=axes, keeps_axes=True, correction=0)

    def formula(x: Any, mean: Any, scale: Any = None) -> Any:
        normal = ("mul", x, ("rsqrt", ("add", mean, float(epsilon))))
        return normal if scale is None else ("mul", normal, scale)

    return r.map(formula, input, mean, *learned(r, weight))


def _embedding(r: Reader, weight: fx.Node, indices: fx.Node, **_: Any) -> str:
    return r.emit("embedding", [indices, *learned(r, weight)])


def _first_of(function: Callable[..., str]) -> Callable[..., tuple[str | None, ...]]:
    """An op that also returns its statistics, which nothing reads."""
    return lambda r, **arguments: (function(r, **arguments), None, None)


def _native_group_norm(r: Reader, input: fx.Node, group: int, weight: Any, bias: Any, eps: float, **_: Any) -> str:
    return _group_norm(r, input, group, weight, bias, eps)


TABLE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys([f"conv{rank}d.{how}" for rank in (1, 2, 3) for how in ("default", "padding")], _conv),
    **dict.fromkeys(("conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input"), _conv_transpose),
    "convolution.default": _convolution,
    "linear.default": _linear,
    "mm.default": _product,
    "matmul.default": _product,
    "addmm.default": _addmm,
    "_native_batch_norm_legit_no_training.default": _batch_norm,
    "batch_norm.default": _normalised,
    "instance_norm.default": _instance_norm,
    "group_norm.default": _group_norm,
    "native_group_norm.default": _first_of(_native_group_norm),
    "layer_norm.default": _layer_norm,
    "native_layer_norm.default": _first_of(_layer_norm),
    "rms_norm.default": _rms_norm,
    "embedding.default": _embedding,
}
