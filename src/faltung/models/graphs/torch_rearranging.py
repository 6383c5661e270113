"""PyTorch's ops that move numbers: views, slices, joins, padding; and those that do nothing when a network is used."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from torch import fx

from faltung.models.graphs.covered import NotCovered, reshape_to
from faltung.models.graphs.torch_nodes import Reader, Size, number
from faltung.models.graphs.torch_weighted import layout

END = 2**31
"""PyTorch says the end of an axis with a huge number."""


def _same(r: Reader, input: fx.Node, **_: Any) -> str:
    """Types and shapes are compared afterwards."""
    return r.name(input)


def _dropout(r: Reader, input: fx.Node, p: float, train: bool) -> str:
    if train and p:
        raise NotCovered("numbers are dropped at random")
    return r.name(input)


def reshape(r: Reader, value: str, before: Sequence[Size], after: Sequence[Size], asked: Sequence[Any] = ()) -> str:
    """A reshape, where there is one."""
    if tuple(before) == tuple(after):
        return value
    return r.emit("reshape", [value], shape=reshape_to(before, after, asked))


def _reshape(r: Reader, input: fx.Node, **asked: Any) -> str:
    size = asked.get("size", asked.get("shape"))
    return reshape(r, r.name(input), r.shape(input), r.shape(r.node), size if isinstance(size, list | tuple) else ())


def _transpose(r: Reader, input: fx.Node, axes: Sequence[int]) -> str:
    if list(axes) == list(range(len(axes))):
        return r.name(input)
    return r.emit("transpose", [input], axes=tuple(axes))


def _permute(r: Reader, input: fx.Node, dims: Sequence[int]) -> str:
    return _transpose(r, input, [axis % len(dims) for axis in dims])


def _swap(r: Reader, input: fx.Node, dim0: int = 0, dim1: int = 1) -> str:
    axes = list(range(len(r.shape(input))))
    if len(axes) > 1:
        axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return _transpose(r, input, axes)


def _move(r: Reader, input: fx.Node, source: Any, destination: Any) -> str:
    rank = len(r.shape(input))
    pairs = zip(*([axes] if isinstance(axes, int) else axes for axes in (destination, source)), strict=True)
    moved = {to % rank: came % rank for to, came in pairs}
    others = iter([axis for axis in range(rank) if axis not in moved.values()])
    return _transpose(r, input, [moved[axis] if axis in moved else next(others) for axis in range(rank)])


def _expand(r: Reader, input: fx.Node, **_: Any) -> str:
    """Axes that stay are 1: they broadcast to what they are, whatever that is."""
    before, after = r.shape(input), r.shape(r.node)
    before = (1,) * (len(after) - len(before)) + before
    shape = tuple(1 if old == new else new for old, new in zip(before, after, strict=True))
    if not all(isinstance(size, int) for size in shape):
        raise NotCovered("one sample for a whole batch")
    return (
        r.name(input)
        if before == after and len(before) == len(r.shape(input))
        else r.emit("expand", [input], shape=shape)
    )


def _repeat(r: Reader, input: fx.Node, repeats: Sequence[int]) -> str:
    shape = r.shape(input)
    wide = (1,) * (len(repeats) - len(shape)) + shape
    value = reshape(r, r.name(input), shape, wide)
    for axis, count in enumerate(map(number, repeats)):
        if count != 1:
            value = r.emit("concat", [value] * count, axis=axis)
    return value


def _repeat_interleave(r: Reader, input: fx.Node, repeats: int, dim: int | None, **_: Any) -> str:
    shape = r.shape(input)
    if dim is None or len(shape) < 3 or dim % len(shape) < 2:
        raise NotCovered("repetition along the batch or channels")
    factors = [1.0] * (len(shape) - 2)
    factors[dim % len(shape) - 2] = float(repeats)
    where = layout(r, input, len(factors))
    return r.emit(
        "resize", [input], layout=where, out_size=None, scale=tuple(factors), mode="nearest", coordinates="asymmetric"
    )


def cut(r: Reader, value: Any, rank: int, axis: int, start: Any, stop: Any, step: int = 1) -> str:
    """A slice along one axis."""
    none: list[Any] = [None] * rank
    bounds = {"starts": [0] * rank, "stops": none, "steps": [1] * rank}
    for name, bound in (("starts", start), ("stops", stop), ("steps", step)):
        bounds[name] = [bound if n == axis % rank else other for n, other in enumerate(bounds[name])]
    return r.emit("slice", [value], **{name: tuple(each) for name, each in bounds.items()})


def _slice(r: Reader, input: fx.Node, dim: int = 0, start: Any = None, end: Any = None, step: Any = 1) -> str:
    shape = r.shape(input)
    size = shape[dim]
    start, stop, step = number(start or 0), None if end is None else number(end), number(step)
    if stop is not None and (stop >= END or (isinstance(size, int) and stop >= size)):
        stop = None
    if isinstance(size, int) and start <= -size:
        start = 0
    if (start, stop, step) == (0, None, 1):
        return r.name(input)
    return cut(r, input, len(shape), dim, start, stop, step)


def _narrow(r: Reader, input: fx.Node, dim: int, start: int, length: int) -> str:
    return _slice(r, input, dim, start, start + length if start >= 0 or start + length < 0 else None)


def _select(r: Reader, input: fx.Node, dim: int, index: int) -> str:
    shape, at = r.shape(input), number(index)
    value = cut(r, input, len(shape), dim, at, at + 1 if at != -1 else None)
    dim %= len(shape)
    return reshape(r, value, (*shape[:dim], 1, *shape[dim + 1 :]), r.shape(r.node))


def _pieces(r: Reader, input: fx.Node, dim: int, lengths: Sequence[int]) -> tuple[str, ...]:
    ends = list(accumulate(lengths))
    rank = len(r.shape(input))
    stops = [*ends[:-1], None]
    return tuple(cut(r, input, rank, dim, end - n, stop) for end, n, stop in zip(ends, lengths, stops, strict=True))


def _split(r: Reader, input: fx.Node, dim: int = 0, **_: Any) -> tuple[str, ...]:
    """Every way to split: the pieces tell their lengths."""
    parts = r.node.meta["val"]
    if len(parts) == 1:
        return (r.name(input),)
    return _pieces(r, input, dim, [number(part.shape[dim]) for part in parts])


def _unbind(r: Reader, input: fx.Node, dim: int = 0) -> tuple[str, ...]:
    shape, axis = r.shape(input), dim % len(r.shape(input))
    parts = _pieces(r, input, axis, [1] * number(shape[axis]))
    rest = (*shape[:axis], *shape[axis + 1 :])
    return tuple(reshape(r, part, (*shape[:axis], 1, *shape[axis + 1 :]), rest) for part in parts)


def _glu(r: Reader, input: fx.Node, dim: int) -> str:
    half = number(r.shape(r.node)[dim])
    a, b = _pieces(r, input, dim, [half, half])
    return r.map(lambda a, b: ("mul", a, ("sigmoid", b)), a, b)


def _concat(r: Reader, tensors: Sequence[fx.Node], dim: int = 0) -> str:
    parts = [tensor for tensor in tensors if r.shape(tensor) != (0,)]  # PyTorch passes over these
    return r.name(parts[0]) if len(parts) == 1 else r.emit("concat", parts, axis=dim % len(r.shape(parts[0])))


def _stack(r: Reader, tensors: Sequence[fx.Node], dim: int = 0) -> str:
    shape = r.shape(tensors[0])
    axis = dim % (len(shape) + 1)
    parts = [reshape(r, r.name(tensor), shape, (*shape[:axis], 1, *shape[axis:])) for tensor in tensors]
    return r.emit("concat", parts, axis=axis)


def _pad(
    r: Reader,
    input: fx.Node,
    pad: Sequence[int] | None = None,
    mode: str = "constant",
    value: Any = None,
    padding: Any = None,
) -> str:
    """Pairs begin with the last axis."""
    ends = [number(end) for end in (padding if pad is None else pad)]
    rank = len(r.shape(input))
    pairs = [(0, 0)] * (rank - len(ends) // 2) + list(zip(ends[::2], ends[1::2], strict=True))[::-1]
    if not any(map(any, pairs)):
        return r.name(input)
    return r.emit("pad", [input], padding=tuple(pairs), mode=mode, value=float(number(value or 0)))


def _pixel_shuffle(r: Reader, input: fx.Node, upscale_factor: int) -> str:
    n, c, h, w = r.shape(input)
    f = upscale_factor
    apart = (n, number(c) // f**2, f, f, h, w)
    value = r.emit("transpose", [reshape(r, r.name(input), (n, c, h, w), apart)], axes=(0, 1, 4, 2, 5, 3))
    return reshape(r, value, (n, apart[1], h, f, w, f), r.shape(r.node))


def _pixel_unshuffle(r: Reader, input: fx.Node, downscale_factor: int) -> str:
    n, c, h, w = r.shape(input)
    f = downscale_factor
    apart = (n, c, number(h) // f, f, number(w) // f, f)
    value = r.emit("transpose", [reshape(r, r.name(input), (n, c, h, w), apart)], axes=(0, 1, 3, 5, 2, 4))
    return reshape(r, value, (n, c, f, f, apart[2], apart[4]), r.shape(r.node))


def _channel_shuffle(r: Reader, input: fx.Node, groups: int) -> str:
    n, c, *rest = r.shape(input)
    apart = reshape(r, r.name(input), (n, c, *rest), (n, groups, number(c) // groups, *rest))
    value = r.emit("transpose", [apart], axes=(0, 2, 1, *range(3, len(rest) + 3)))
    return reshape(r, value, (n, number(c) // groups, groups, *rest), r.shape(r.node))


TABLE: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(
        (
            "clone.default",
            "contiguous.default",
            "detach.default",
            "detach_.default",
            "alias.default",
            "lift_fresh_copy.default",
            "_to_copy.default",
            "to.dtype",
            "to.dtype_layout",
            "to.device",
            "to.other",
            "type_as.default",
            "real.default",
        ),
        _same,
    ),
    **dict.fromkeys(
        ("dropout.default", "alpha_dropout.default", "feature_dropout.default", "feature_alpha_dropout.default"),
        _dropout,
    ),
    **dict.fromkeys(
        (
            "view.default",
            "reshape.default",
            "_unsafe_view.default",
            "flatten.using_ints",
            "unflatten.int",
            "squeeze.default",
            "squeeze.dim",
            "squeeze.dims",
            "unsqueeze.default",
            "view_as.default",
            "reshape_as.default",
        ),
        _reshape,
    ),
    "permute.default": _permute,
    **dict.fromkeys(("transpose.int", "t.default", "numpy_T.default"), _swap),
    "mT.default": lambda r, input: _swap(r, input, -2, -1),
    "swapaxes.default": lambda r, input, axis0, axis1: _swap(r, input, axis0, axis1),
    **dict.fromkeys(("movedim.int", "movedim.intlist"), _move),
    **dict.fromkeys(("expand.default", "expand_as.default", "broadcast_to.default"), _expand),
    "repeat.default": _repeat,
    "repeat_interleave.self_int": _repeat_interleave,
    "slice.Tensor": _slice,
    "narrow.default": _narrow,
    "select.int": _select,
    **dict.fromkeys(
        (
            "split.Tensor",
            "split.sizes",
            "split_with_sizes.default",
            "chunk.default",
            "unsafe_split.Tensor",
            "unsafe_chunk.default",
            "tensor_split.sections",
            "tensor_split.indices",
        ),
        _split,
    ),
    "unbind.int": _unbind,
    "glu.default": _glu,
    **dict.fromkeys(("cat.default", "concat.default"), _concat),
    "stack.default": _stack,
    **dict.fromkeys(("constant_pad_nd.default", "pad.default"), _pad),
    **{f"reflection_pad{rank}d.default": partial(_pad, mode="reflect") for rank in (1, 2, 3)},
    **{f"replication_pad{rank}d.default": partial(_pad, mode="replicate") for rank in (1, 2, 3)},
    "channel_shuffle.default": _channel_shuffle,
    "pixel_shuffle.default": _pixel_shuffle,
    "pixel_unshuffle.default": _pixel_unshuffle,
}
