"""Keras's operations as nodes: a function for each class of `keras.ops`, given the reader, operation and arguments."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.keras_nodes import Name, Reader
from faltung.models.graphs.keras_windows import WINDOWS

Expression = Any
HUGE = 3e38
"""Times the least difference of two numbers of float32 near one that is not tiny, more than 1."""


def above(x: Expression, bound: float) -> Expression:
    """1 where x is above the bound, 0 elsewhere."""
    return ("clip", ("mul", ("sub", x, bound), HUGE), 0.0, 1.0)


def _relu(x: Expression, slope: float, most: float | None, threshold: float) -> Expression:
    """Keras's relu: x above the threshold, cut at `most`; slope * (x - threshold) below."""
    if threshold == 0.0:
        if slope == 0.0:
            return ("relu", x) if most is None else ("relu6", x) if most == 6.0 else ("clip", x, 0.0, most)
        y: Expression = ("leaky_relu", x, slope)
        return y if most is None else ("minimum", y, most)
    y = ("mul", ("maximum", x, threshold), above(x, threshold))
    y = y if most is None else ("clip", y, 0.0, most)
    return y if slope == 0.0 else ("sub", y, ("mul", slope, ("relu", ("sub", threshold, x))))


def _celu(x: Expression, alpha: float) -> Expression:
    return ("mul", alpha, ("elu", ("div", x, alpha), 1.0))


def _soft_shrink(x: Expression, t: float) -> Expression:
    return ("sub", ("relu", ("sub", x, t)), ("relu", ("sub", ("neg", x), t)))


def _threshold(x: Expression, t: float, otherwise: float) -> Expression:
    step = above(x, t)
    return ("add", ("mul", ("maximum", x, t), step), ("mul", otherwise, ("sub", 1.0, step)))


def _sparse_plus(x: Expression) -> Expression:
    """0 below -1, x above 1, (x + 1)**2/4 between."""
    return ("add", ("mul", 0.25, ("square", ("add", ("clip", x, -1.0, 1.0), 1.0))), ("relu", ("sub", x, 1.0)))


SAME_NAME = {
    **{"Relu": "relu", "Relu6": "relu6", "Sigmoid": "sigmoid", "Softplus": "softplus", "Softsign": "softsign"},
    **{"Silu": "silu", "LogSigmoid": "log_sigmoid", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu"},
    **{"Selu": "selu", "Mish": "mish", "Tanh": "tanh", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Square": "square"},
    **{"Sin": "sin", "Reciprocal": "reciprocal", "Rsqrt": "rsqrt", "Erf": "erf", "Negative": "neg"},
    **{"Absolute": "abs", "Abs": "abs", "Fabs": "abs"},
}
"""Operations of one value that are an expression of ours."""
BINARY = {
    **{"Add": "add", "Subtract": "sub", "Multiply": "mul", "Divide": "div", "TrueDivide": "div"},
    **{"Maximum": "maximum", "Minimum": "minimum", "Power": "pow"},
}
FORMULAS: dict[str, Callable[[Any, Expression], Expression]] = {
    "ReLU": lambda op, x: _relu(x, float(op.negative_slope), _number(op.max_value), float(op.threshold)),
    "LeakyRelu": lambda op, x: ("leaky_relu", x, float(op.negative_slope)),
    "Elu": lambda op, x: ("elu", x, float(op.alpha)),
    "Gelu": lambda op, x: ("gelu_tanh" if op.approximate else "gelu", x),
    "Celu": lambda op, x: _celu(x, float(op.alpha)),
    "HardTanh": lambda op, x: ("clip", x, -1.0, 1.0),
    "TanhShrink": lambda op, x: ("sub", x, ("tanh", x)),
    "SoftShrink": lambda op, x: _soft_shrink(x, float(op.threshold)),
    "HardShrink": lambda op, x: ("mul", x, above(("abs", x), float(op.threshold))),
    "Threshold": lambda op, x: _threshold(x, float(op.threshold), float(op.default_value)),
    "SparsePlus": lambda op, x: _sparse_plus(x),
    "SparseSigmoid": lambda op, x: ("clip", ("mul", 0.5, ("add", x, 1.0)), 0.0, 1.0),
    "Squareplus": lambda op, x: ("mul", 0.5, ("add", x, ("sqrt", ("add", ("square", x), float(op.b))))),
}
"""Activations with options of their own."""


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _unary(name: str) -> Callable[..., Name]:
    return lambda r, op, x: r.map(lambda n: (name, n), x)


def _binary(name: str) -> Callable[..., Name]:
    return lambda r, op, x1, x2: r.map(lambda a, b: (name, a, b), x1, x2)


def _formula(formula: Callable[[Any, Expression], Expression]) -> Callable[..., Name]:
    return lambda r, op, x: r.map(lambda n: formula(op, n), x)


def _clip(r: Reader, op: Any, x: Name) -> Name:
    if np.ndim(op.x_min) or np.ndim(op.x_max):
        raise NotCovered("it clips at arrays")
    return r.map(lambda n: ("clip", n, float(op.x_min), float(op.x_max)), x)


def _cast(r: Reader, op: Any, x: Name) -> Name:
    if op.dtype != r.dtype:
        raise NotCovered(f"numbers of type {op.dtype}")
    return r.floats(x)  # type: ignore[return-value]


def _softmax(is_log: bool) -> Callable[..., Name]:
    def softmax(r: Reader, op: Any, x: Name) -> Name:
        axis = axes_of(op.axis, len(r.shape(x)))
        if len(axis) > 1:
            raise NotCovered("softmax over several axes")
        return r.emit("softmax", r.floats(x), axis=axis[0], is_log=is_log)

    return softmax


def axes_of(axis: Any, rank: int) -> tuple[int, ...]:
    """Axes as Keras takes them, an int, several or None for all, counted from the first."""
    if axis is None:
        return tuple(range(rank))
    return tuple(int(each) % rank for each in (axis if isinstance(axis, list | tuple) else (axis,)))


def _reduce(kind: str) -> Callable[..., Name]:
    def reduce(r: Reader, op: Any, x: Name) -> Name:
        if getattr(op, "initial", None) is not None:
            raise NotCovered("it starts from a number")
        axes = axes_of(op.axis, len(r.shape(x)))
        if 0 in axes:
            raise NotCovered("it reduces over the batch")
        return r.emit("reduce", r.floats(x), kind=kind, axes=axes, keeps_axes=bool(op.keepdims), correction=0)

    return reduce


def _concatenate(r: Reader, op: Any, xs: Sequence[Any]) -> Name:
    if not all(isinstance(x, Name) for x in xs):
        raise NotCovered("it joins a value and a constant")
    (axis,) = axes_of(op.axis, len(r.shape(xs[0])))
    return r.emit("concat", *xs, axis=axis) if len(xs) > 1 else xs[0]


def _stack(r: Reader, op: Any, xs: Sequence[Any]) -> Name:
    shape = r.shape(xs[0])
    axis = op.axis % (len(shape) + 1)
    if axis == 0:
        raise NotCovered("it stacks in front of the batch")
    wide = [r.reshape(x, (*shape[1:axis], 1, *shape[axis:])) for x in xs]
    return r.emit("concat", *wide, axis=axis) if len(wide) > 1 else wide[0]


def _split(r: Reader, op: Any, x: Name) -> list[Name]:
    shape, parts = r.shape(x), op.indices_or_sections
    (axis,) = axes_of(op.axis, len(shape))
    step = shape[axis] // parts if isinstance(parts, int) else 0
    cuts = [step * n for n in range(1, parts)] if isinstance(parts, int) else list(parts)
    ends = zip([0, *cuts], [*cuts, None], strict=True)
    return [r.cut(x, {axis: slice(low, high)}) for low, high in ends]


def _transpose(r: Reader, op: Any, x: Name) -> Name:
    rank = len(r.shape(x))
    return r.emit("transpose", x, axes=axes_of(op.axes, rank) if op.axes is not None else tuple(reversed(range(rank))))


def _swapaxes(r: Reader, op: Any, x: Name) -> Name:
    axes = list(range(len(r.shape(x))))
    axes[op.axis1], axes[op.axis2] = axes[op.axis2], axes[op.axis1]
    return r.emit("transpose", x, axes=tuple(axes))


def _moveaxis(r: Reader, op: Any, x: Name) -> Name:
    rank = len(r.shape(x))
    sources, places = axes_of(op.source, rank), axes_of(op.destination, rank)
    order = [axis for axis in range(rank) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return r.emit("transpose", x, axes=tuple(order))


def _reshape(r: Reader, op: Any, x: Name) -> Name:
    """A shape that begins with the batch, as -1 or None or in what is left for it."""
    shape, wanted = r.shape(x), [-1 if size is None else int(size) for size in op.newshape]
    inner, rest = math.prod(shape[1:]), math.prod(size for size in wanted[1:] if size != -1)
    if wanted[:1] == [-1]:
        if -1 in wanted[1:]:
            place = wanted.index(-1, 1)
            wanted[place] = inner // max(rest, 1)
        elif rest != inner:
            return r.reshape(x, wanted[1:], batch=-1)
        return r.reshape(x, wanted[1:])
    raise NotCovered(f"it fixes the batch at {wanted[:1]}")


def _expand_dims(r: Reader, op: Any, x: Name) -> Name:
    shape = list(r.shape(x))
    axes = op.axis if isinstance(op.axis, list | tuple) else (op.axis,)
    for axis in sorted(each % (len(shape) + len(axes)) for each in axes):
        shape.insert(axis, 1)
    if 0 in [each % len(shape) for each in axes]:
        raise NotCovered("an axis in front of the batch")
    return r.reshape(x, shape[1:])


def _squeeze(r: Reader, op: Any, x: Name) -> Name:
    shape = r.shape(x)
    axes = [n for n, size in enumerate(shape) if n and size == 1] if op.axis is None else axes_of(op.axis, len(shape))
    if 0 in axes:
        raise NotCovered("it drops the batch")
    return r.reshape(x, [size for n, size in enumerate(shape) if n and n not in axes])


def _get_item(r: Reader, op: Any, x: Name, key: Any) -> Name:
    """Slices; a number drops its axis, None adds one."""
    shape = r.shape(x)
    keys = list(key) if isinstance(key, list | tuple) else [key]
    if Ellipsis not in keys:
        keys.append(Ellipsis)
    at = keys.index(Ellipsis)
    keys[at : at + 1] = [slice(None)] * (len(shape) - sum(each is not None for each in keys) + 1)
    cuts: dict[int, slice] = {}
    sizes: list[int] = []
    axis = 0
    for each in keys:
        if each is None:
            sizes.append(1)
            continue
        if isinstance(each, slice):
            if each != slice(None):
                cuts[axis] = each
            sizes.append(len(range(*each.indices(shape[axis]))))
        elif isinstance(each, int | np.integer) and axis:
            cuts[axis] = slice(int(each), int(each) + 1 or None)
        else:
            raise NotCovered(f"an index of {each!r}")
        axis += 1
    if keys[0] is None or 0 in cuts:
        raise NotCovered("it takes parts of the batch")
    y = r.cut(x, cuts) if cuts else x
    return y if tuple(sizes) == r.shape(y) else r.reshape(y, sizes[1:])


def _repeat(r: Reader, op: Any, x: Name) -> Name:
    shape = r.shape(x)
    if op.axis is None or not isinstance(op.repeats, int) or op.axis % len(shape) == 0:
        raise NotCovered("it repeats by an array, or along the batch")
    axis = op.axis % len(shape)
    wide = r.reshape(x, (*shape[1 : axis + 1], 1, *shape[axis + 1 :]))
    more = [1] * (len(shape) + 1)
    more[axis + 1] = op.repeats
    return r.reshape(
        r.emit("expand", wide, shape=tuple(more)), (*shape[1:axis], shape[axis] * op.repeats, *shape[axis + 1 :])
    )


def _broadcast_to(r: Reader, op: Any, x: Name) -> Name:
    if len(op.shape) != len(r.shape(x)) or op.shape[0] is not None:
        raise NotCovered("it fixes the batch")
    return r.emit("expand", x, shape=(1, *map(int, op.shape[1:])))


def _pad(r: Reader, op: Any, x: Name, constant_values: Any = None) -> Name:
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    if op.mode not in modes or np.ndim(constant_values or 0):
        raise NotCovered(f"it pads by {op.mode}")
    pairs = tuple((int(low), int(high)) for low, high in op.pad_width)
    pairs = pairs * len(r.shape(x)) if len(pairs) == 1 else pairs
    if pairs[0] != (0, 0):
        raise NotCovered("it pads the batch")
    return r.emit("pad", r.floats(x), padding=pairs, mode=modes[op.mode], value=float(constant_values or 0.0))


def _matmul(r: Reader, op: Any, x1: Any, x2: Any) -> Name:
    """A value times a matrix of weights; of two values Keras keeps the product."""
    if not isinstance(x1, Name) or isinstance(x2, Name) or len(x2.shape) != 2 or len(r.shape(x1)) < 2:
        raise NotCovered("a product of two values")
    kernel = r.constant(x2)
    return r.emit("dense", r.floats(x1), kernel, kernel_layout="IO", activation=None, has_bias=False)


def _normalize(r: Reader, op: Any, x: Name) -> Name:
    """x / max(|x|, epsilon), of length 1 along the axes."""
    if op.order != 2:
        raise NotCovered(f"a norm of order {op.order}")
    epsilon = 1e-7 if op.epsilon is None else float(op.epsilon)
    squares = r.map(lambda n: ("square", n), x)
    axes = axes_of(op.axis, len(r.shape(x)))
    total = r.emit("reduce", squares, kind="sum", axes=axes, keeps_axes=True, correction=0)
    return r.map(lambda a, b: ("mul", a, ("minimum", ("rsqrt", b), 1.0 / epsilon)), x, total)


def _rms_norm(r: Reader, op: Any, x: Name, scale: Any = None) -> Name:
    """x / sqrt(mean(x**2) + epsilon) along the last axes, times a scale."""
    rank = len(r.shape(x))
    axes = axes_of(op.axis, rank)
    if axes != tuple(range(rank - len(axes), rank)):
        raise NotCovered("it normalises axes before the last")
    squares = r.map(lambda n: ("square", n), x)
    mean = r.emit("reduce", squares, kind="mean", axes=axes, keeps_axes=True, correction=0)
    epsilon = 1e-7 if op.epsilon is None else float(op.epsilon)
    y = r.map(lambda a, b: ("mul", a, ("rsqrt", ("add", b, epsilon))), x, mean)
    return y if scale is None else r.map(lambda a, b: ("mul", a, b), y, scale)


TABLE: dict[str, Callable[..., Any]] = {
    **{kind: _unary(name) for kind, name in SAME_NAME.items()},
    **{kind: _binary(name) for kind, name in BINARY.items()},
    **{kind: _formula(formula) for kind, formula in FORMULAS.items()},
    **{"Clip": _clip, "Cast": _cast, "Softmax": _softmax(False), "LogSoftmax": _softmax(True)},
    **{"Mean": _reduce("mean"), "Sum": _reduce("sum"), "Max": _reduce("max"), "Min": _reduce("min")},
    **{"Amax": _reduce("max"), "Amin": _reduce("min"), "Var": _reduce("variance"), "Std": _reduce("std")},
    **{"Concatenate": _concatenate, "Stack": _stack, "Split": _split},
    **{"Transpose": _transpose, "Swapaxes": _swapaxes, "Moveaxis": _moveaxis, "Reshape": _reshape},
    **{"ExpandDims": _expand_dims, "Squeeze": _squeeze, "GetItem": _get_item, "Repeat": _repeat},
    **{"BroadcastTo": _broadcast_to, "Pad": _pad, "Matmul": _matmul, "Normalize": _normalize, "RMSNorm": _rms_norm},
    **{"Copy": lambda r, op, x: x, "StopGradient": lambda r, op, x: x},
    **WINDOWS,
}
