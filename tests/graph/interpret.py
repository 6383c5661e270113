"""What every op of a graph means: plain NumPy in float64, one function for each op of graph/ops.py.

It shares nothing with kernels, passes and plans but the graph itself. Activations are those of reference.py.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.graph.graph import Graph, Node
from faltung.reference import ACTIVATE, activate

Array = NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def interpret(graph: Graph, inputs: Sequence[Any], *, rounds: bool = False) -> list[Array]:
    """Return the graph's outputs; floating-point numbers are widened to float64, all others stay as they are.

    `rounds` rounds what each node gives to float32: nobody who computes in float32 is nearer to the truth than that.
    """
    values = {name: _wide(array) for name, array in zip(graph.inputs, inputs, strict=True)}
    values |= {name: _wide(constant.read()) for name, constant in graph.constants.items()}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            results = MEANING[node.op](node, *(values[name] for name in node.inputs))
            results = results if isinstance(results, tuple) else (results,)
            if rounds:
                results = tuple(_wide(y.astype("f4")) if y.dtype == np.float64 else y for y in results)
            values.update(zip(node.outputs, results, strict=True))
    return [values[name] for name in graph.outputs]


def _wide(array: Any) -> Array:
    array = np.asarray(array)
    return array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array


def _spatial(layout: str) -> list[int]:
    return [axis for axis, letter in enumerate(layout) if letter not in "NC"]


def _channels_last(x: Array, layout: str) -> Array:
    return x.transpose([layout.index("N"), *_spatial(layout), layout.index("C")])


def _as_layout(x: Array, layout: str) -> Array:
    return x.transpose([("N" + "".join(layout[n] for n in _spatial(layout)) + "C").index(axis) for axis in layout])


def _kernel(kernel: Array, layout: str) -> Array:
    """The kernel as (*taps, I, O)."""
    taps = [n for n, letter in enumerate(layout) if letter not in "IO"]
    return kernel.transpose([*taps, layout.index("I"), layout.index("O")])


def _padded(x: Array, padding: Any, mode: str, value: float = 0.0) -> Array:
    """Every axis padded by its pair; negative ones crop."""
    crops = tuple(slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, padding, strict=True))
    pairs = [(max(low, 0), max(high, 0)) for low, high in padding]
    name = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
    return np.pad(x[crops], pairs, name, **({"constant_values": value} if name == "constant" else {}))  # type: ignore[call-overload,no-any-return]


def _epilogue(node: Node, y: Array, axis: int, bias: Array | None, residual: Array | None = None) -> Array:
    """Bias, then what is added, activation last."""
    if bias is not None:
        y = y + bias.reshape([-1 if n == axis else 1 for n in range(y.ndim)])
    if residual is not None:
        y = y + residual
    return activate(y, *(node["activation"] or (None, None)))


def _conv(node: Node, x: Array, kernel: Array, *others: Array) -> Array:
    rest = list(others)
    bias = rest.pop(0) if node["has_bias"] else None
    residual = rest.pop(0) if node["adds"] else None
    x, kernel = _channels_last(x, node["layout"]), _kernel(kernel, node["kernel_layout"])
    x = _padded(x, [(0, 0), *node["padding"], (0, 0)], node["padding_mode"])
    groups, taps = node["groups"], kernel.shape[:-2]
    windows = [
        (size - dilation * (k - 1) - 1) // stride + 1
        for size, k, stride, dilation in zip(x.shape[1:-1], taps, node["stride"], node["dilation"], strict=True)
    ]
    y = np.zeros((len(x), *windows, kernel.shape[-1]))
    inputs, outputs = kernel.shape[-2], kernel.shape[-1] // groups
    for tap in itertools.product(*map(range, taps)):
        met = x[:, *_met(tap, windows, node["stride"], node["dilation"])]
        for g in range(groups):
            part = kernel[*tap, :, g * outputs : (g + 1) * outputs]
            y[..., g * outputs : (g + 1) * outputs] += met[..., g * inputs : (g + 1) * inputs] @ part
    return _epilogue(node, _as_layout(y, node["layout"]), node["layout"].index("C"), bias, residual)


def _met(tap: Any, windows: Any, stride: Any, dilation: Any) -> list[slice]:
    """What a tap meets, one place for each window."""
    return [
        slice(k * d, k * d + (count - 1) * s + 1, s)
        for k, count, s, d in zip(tap, windows, stride, dilation, strict=True)
    ]


def _conv_transpose(node: Node, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    x, kernel = _channels_last(x, node["layout"]), _kernel(kernel, node["kernel_layout"])
    groups, taps, sizes = node["groups"], kernel.shape[:-2], x.shape[1:-1]
    full = [
        (size - 1) * s + d * (k - 1) + 1 + more
        for size, k, s, d, more in zip(
            sizes, taps, node["stride"], node["dilation"], node["output_padding"], strict=True
        )
    ]
    inputs, outputs = x.shape[-1] // groups, kernel.shape[-1]
    y = np.zeros((len(x), *full, outputs * groups))
    for tap in itertools.product(*map(range, taps)):
        met = _met(tap, sizes, node["stride"], node["dilation"])
        for g in range(groups):
            part = x[..., g * inputs : (g + 1) * inputs] @ kernel[*tap, g * inputs : (g + 1) * inputs]
            y[:, *met, g * outputs : (g + 1) * outputs] += part
    y = y[:, *(slice(low, size - high) for size, (low, high) in zip(full, node["padding"], strict=True))]
    return _epilogue(node, _as_layout(y, node["layout"]), node["layout"].index("C"), bias)


def _dense(node: Node, x: Array, kernel: Array, bias: Array | None = None) -> Array:
    y = x @ (kernel if node["kernel_layout"] == "IO" else kernel.T)
    return _epilogue(node, y, y.ndim - 1, bias)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power},
    **{"maximum": np.maximum, "minimum": np.minimum, "neg": np.negative, "abs": np.abs, "exp": np.exp, "log": np.log},
    **{"sqrt": np.sqrt, "square": np.square, "reciprocal": np.reciprocal, "sin": np.sin, "erf": _erf},
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "prelu": lambda x, slope: np.where(x > 0, x, slope * x),
    "linear_sigmoid": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "linear_silu": lambda x, alpha, beta: x * np.clip(alpha * x + beta, 0, 1),
    "snake": lambda x, a: x + np.sin(a * x) ** 2 / a,
    "thresholded_relu": lambda x, limit: np.where(x > limit, x, 0.0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "log_sigmoid": lambda x: -np.logaddexp(0.0, -x),
    "mish": lambda x: x * np.tanh(np.logaddexp(0.0, x)),
}


def evaluate(expression: Any, inputs: Sequence[Array]) -> Any:
    """An expression of a map: ints are inputs, floats numbers, tuples a function's name and what it is given."""
    if isinstance(expression, tuple):
        name, *given = expression
        found = [evaluate(each, inputs) for each in given]
        if name in ACTIVATE:
            return ACTIVATE[name](found[0], *(found[1:] or [0.0]))
        return FUNCTIONS[name](*found)
    return expression if isinstance(expression, float) else inputs[expression]


def _map(node: Node, *inputs: Array) -> Array:
    shape = np.broadcast_shapes(*(x.shape for x in inputs))
    return np.array(np.broadcast_to(evaluate(node["expression"], inputs), shape))


def _batch_norm(node: Node, x: Array, mean: Array, variance: Array, *others: Array) -> Array:
    along = [-1 if n == node["axis"] % x.ndim else 1 for n in range(x.ndim)]
    mean, variance, *rest = (part.reshape(along) for part in (mean, variance, *others))
    return _affine(node, (x - mean) / np.sqrt(variance + node["epsilon"]), rest)


def _affine(node: Node, x: Array, rest: list[Array]) -> Array:
    if node["has_scale"]:
        x = x * rest.pop(0)
    return x + rest.pop(0) if node["has_shift"] else x


def _windows(node: Node, x: Array) -> tuple[Array, Array, list[int]]:
    """Padded x, channels first; a mask of it, 2 inside, 1 in padding, 0 in what overhangs; the number of windows."""
    counts, overhangs = [], []
    for n, (low, high) in enumerate(node["padding"]):
        size, stride = x.shape[n + 2], node["stride"][n]
        window = node["dilation"][n] * (node["kernel_size"][n] - 1) + 1
        count = (size + low + high - window) // stride + 1
        if node["ceil_mode"]:
            count = math.ceil((size + low + high - window) / stride) + 1
            if (count - 1) * stride >= size + low:  # a window begins inside the input or the padding before it
                count -= 1
        counts.append(count)
        overhangs.append((0, max((count - 1) * stride + window - size - low - high, 0)))
    none = [(0, 0)] * 2
    mask = np.pad(np.pad(np.full(x.shape[2:], 2), node["padding"], constant_values=1), overhangs)
    value = -np.inf if node["kind"] == "max" else 0.0
    x = np.pad(np.pad(x, [*none, *node["padding"]], constant_values=value), [*none, *overhangs], constant_values=value)
    return x, mask, counts


def _pool(node: Node, x: Array) -> Array:
    padded, mask, counts = _windows(node, np.moveaxis(x, -1, 1) if node["layout"].endswith("C") else x)
    taps = [
        _met(tap, counts, node["stride"], node["dilation"])
        for tap in itertools.product(*map(range, node["kernel_size"]))
    ]
    parts = np.stack([padded[:, :, *met] for met in taps])
    if node["kind"] == "max":
        y = parts.max(axis=0)
    else:
        counted = sum((mask[*met] >= (1 if node["counts_padding"] else 2)).astype(np.float64) for met in taps)
        y = parts.sum(axis=0) / counted
    return np.moveaxis(y, 1, -1) if node["layout"].endswith("C") else y


def _adaptive_pool(node: Node, x: Array) -> Array:
    reduce = np.max if node["kind"] == "max" else np.mean
    for axis, out in zip(_spatial(node["layout"]), node["out_size"], strict=True):
        size = x.shape[axis]
        edges = [(i * size // out, -(-(i + 1) * size // out)) for i in range(out)]
        x = np.stack([reduce(x.take(range(*edge), axis), axis) for edge in edges], axis)
    return x


def _reduce(node: Node, x: Array) -> Array:
    axes, kind, keeps = tuple(node["axes"]), node["kind"], node["keeps_axes"]
    if kind not in ("variance", "std"):
        return np.asarray(getattr(np, kind)(x, axis=axes, keepdims=keeps))
    count = math.prod(x.shape[axis] for axis in axes)
    variance = np.square(x - x.mean(axis=axes, keepdims=True)).sum(axis=axes, keepdims=keeps) / (
        count - node["correction"]
    )
    return np.sqrt(variance) if kind == "std" else variance


def _layer_norm(node: Node, x: Array, *rest: Array) -> Array:
    return _affine(node, _normal(x, tuple(range(-node["num_axes"], 0)), node["epsilon"]), list(rest))


def _normal(x: Array, axes: Any, epsilon: float) -> Array:
    centred = x - x.mean(axis=axes, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=axes, keepdims=True) + epsilon)


def _group_norm(node: Node, x: Array, *rest: Array) -> Array:
    axis, groups = node["axis"] % x.ndim, node["groups"]
    split = x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])
    axes = tuple(n for n in range(1, split.ndim) if n != axis)
    y = _normal(split, axes, node["epsilon"]).reshape(x.shape)
    return _affine(node, y, [part.reshape([-1 if n == axis else 1 for n in range(x.ndim)]) for part in rest])


def _softmax(node: Node, x: Array) -> Array:
    shifted = x - x.max(axis=node["axis"], keepdims=True)
    total = np.exp(shifted).sum(axis=node["axis"], keepdims=True)
    return shifted - np.log(total) if node["is_log"] else np.exp(shifted) / total


def _slice(node: Node, x: Array) -> Array:
    return x[tuple(map(slice, node["starts"], node["stops"], node["steps"]))]


def _resize(node: Node, x: Array) -> Array:
    layout, mode, coordinates = node["layout"], node["mode"], node["coordinates"]
    scales = node["scale"] or (None,) * len(_spatial(layout))
    axes = _spatial(layout)
    outs = node["out_size"] or [int(x.shape[axis] * scale) for axis, scale in zip(axes, scales, strict=True)]
    for axis, out, scale in zip(axes, outs, scales, strict=True):
        size, y = x.shape[axis], np.arange(out)
        step = 1 / scale if scale else size / out
        if mode == "nearest":  # places are computed in float32, as PyTorch does for all types
            half = np.float32(0.5 if coordinates == "nearest_exact" else 0)
            at = np.floor((y.astype(np.float32) + half) * np.float32(step)).astype(int)
            x = x.take(np.minimum(at, size - 1), axis)
            continue
        at = {
            "half_pixel": (y + 0.5) * step - 0.5,
            "align_corners": y * ((size - 1) / (out - 1) if out > 1 else 0.0),
            "asymmetric": y * step,
        }[coordinates]
        if mode == "linear":
            at = np.clip(at, 0, size - 1)
        below = np.floor(at).astype(int)
        weights = _linear(at - below) if mode == "linear" else _cubic(at - below)
        along = [-1 if n == axis else 1 for n in range(x.ndim)]
        x = sum(w.reshape(along) * x.take(np.clip(below + n, 0, size - 1), axis) for n, w in weights.items())
    return x


def _linear(t: Array) -> dict[int, Array]:
    return {0: 1 - t, 1: t}


def _cubic(t: Array, a: float = -0.75) -> dict[int, Array]:
    """Keys 1981, with PyTorch's and ONNX's coefficient; inputs beyond the ends are those at the ends."""

    def near(d: Array) -> Array:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Array) -> Array:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return {-1: far(t + 1), 0: near(t), 1: near(1 - t), 2: far(2 - t)}


def _reshape(node: Node, x: Array) -> Array:
    return x.reshape([x.shape[n] if size == 0 else size for n, size in enumerate(node["shape"])])


MEANING: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "dense": _dense,
    "map": _map,
    "batch_norm": _batch_norm,
    "pool": _pool,
    "adaptive_pool": _adaptive_pool,
    "reduce": _reduce,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "softmax": _softmax,
    "concat": lambda node, *parts: np.concatenate(parts, node["axis"]),
    "slice": _slice,
    "pad": lambda node, x: _padded(x, node["padding"], node["mode"], node["value"]),
    "resize": _resize,
    "reshape": _reshape,
    "transpose": lambda node, x: x.transpose(node["axes"]),
    "expand": lambda node, x: np.broadcast_to(x, np.broadcast_shapes(x.shape, node["shape"])),
    "embedding": lambda _, indices, table: table[indices],
    "island": lambda node, *arrays: tuple(node["run"](*arrays)),
}
