"""ONNX's ops that move numbers: views, slices, joins, padding; and those that do nothing when a network is used."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import onnx

from faltung.models.graphs.covered import NotCovered, reshape_to
from faltung.models.graphs.onnx_islands import TiedToBatch
from faltung.models.graphs.onnx_layers import number
from faltung.models.graphs.onnx_nodes import Reader, Size

END = 2**31 - 1
"""Exporters say the end of an axis with this number or a larger one."""


def reshape(r: Reader, value: str, before: Sequence[Size], after: Sequence[Size], asked: Sequence[Any] = ()) -> str:
    """A reshape, where there is one."""
    return (
        value if tuple(before) == tuple(after) else r.emit("reshape", [value], shape=reshape_to(before, after, asked))
    )


def _same(r: Reader, x: str, *_: str | None) -> str:
    return r.value(x)


def _dropout(r: Reader, x: str, ratio: str | None = None, is_training: str | None = None) -> str:
    if is_training is not None and bool(r.array(is_training).item()):
        raise NotCovered("numbers are dropped at random")
    return r.value(x)


def _cast(r: Reader, x: str, *_: str) -> str:
    wanted = onnx.helper.tensor_dtype_to_np_dtype(r.said["to"]).name
    if r.dtypes[r.names[x]] != wanted:
        raise NotCovered(f"{r.dtypes[r.names[x]]} made {wanted}")
    return r.value(x)


def _reshape(r: Reader, x: str, target: str) -> str:
    """0 keeps a size unless `allowzero`; -1 takes the rest. A leading number would be the size of the batch."""
    if target not in r.known:
        raise NotCovered("a reshape to sizes that are computed")
    shape = r.shape(x)
    worlds = [array.tolist() for array in r.known[target]]
    found = []
    for world, asked in enumerate(worlds):
        before = [size if isinstance(size, int) else size[world] for size in shape]
        sizes = [before[n] if size == 0 and not r.said.get("allowzero", 0) else size for n, size in enumerate(asked)]
        if -1 in sizes:
            rest = int(np.prod([size for size in sizes if size != -1]))
            sizes[sizes.index(-1)] = int(np.prod(before)) // rest if rest else 0
        if np.prod(sizes) != np.prod(before):
            raise TiedToBatch if r.num_worlds > 1 else NotCovered(f"{before} does not fill {asked}")
        found.append(sizes)
    after = [sizes[0] if len(set(sizes)) == 1 else tuple(sizes) for sizes in zip(*found, strict=True)]
    if not isinstance(shape[0], int) and after and isinstance(after[0], int) and -1 in worlds[0]:
        raise TiedToBatch  # as in Reshape(x, [1, -1]) of a model that was exported for one sample
    return reshape(r, r.value(x), shape, after, worlds[0])


def _flatten(r: Reader, x: str) -> str:
    shape = r.shape(x)
    axis = r.said.get("axis", 1)
    axis = axis % len(shape) if axis < 0 else axis
    after = tuple(_product(shape[part]) for part in (slice(None, axis), slice(axis, None)))
    return reshape(r, r.value(x), shape, after)


def _product(sizes: Sequence[Size]) -> Size:
    """The product, for each batch where one of them hangs on it."""
    worlds = next((len(size) for size in sizes if not isinstance(size, int)), 1)
    products = [int(np.prod([size if isinstance(size, int) else size[n] for size in sizes])) for n in range(worlds)]
    return products[0] if len(products) == 1 else tuple(products)


def _squeeze(r: Reader, x: str, axes: str | None = None) -> str:
    shape, given = r.shape(x), r.numbers(axes, "axes")
    if given is None and r.num_worlds > 1:
        raise TiedToBatch  # it takes the batch away where there is one sample
    gone = [axis % len(shape) for axis in given] if given else [n for n, size in enumerate(shape) if size == 1]
    return reshape(r, r.value(x), shape, [size for n, size in enumerate(shape) if n not in gone])


def _unsqueeze(r: Reader, x: str, axes: str | None = None) -> str:
    shape, given = r.shape(x), r.numbers(axes, "axes") or []
    new = {axis % (len(shape) + len(given)) for axis in given}
    sizes = iter(shape)
    after = [1 if n in new else next(sizes) for n in range(len(shape) + len(given))]
    return reshape(r, r.value(x), shape, after)


def _transpose(r: Reader, x: str) -> str:
    axes = tuple(r.said.get("perm") or reversed(range(r.rank(x))))
    return r.value(x) if axes == tuple(range(len(axes))) else r.emit("transpose", [x], axes=axes)


def _expand(r: Reader, x: str, target: str) -> str:
    """Axes that stay are 1: they broadcast to what they are."""
    if target not in r.known:
        raise NotCovered("a shape that is computed")
    before = r.shape(x)
    worlds = [tuple(array.tolist()) for array in r.known[target]]
    wanted = [sizes[0] if len(set(sizes)) == 1 else sizes for sizes in zip(*worlds, strict=True)]
    before = (1,) * (len(wanted) - len(before)) + tuple(before)
    wanted = [1] * (len(before) - len(wanted)) + wanted
    shape = [1 if new in (1, old) else new for old, new in zip(before, wanted, strict=True)]
    if not all(isinstance(size, int) for size in shape):
        raise NotCovered("one sample for a whole batch")
    return r.value(x) if set(shape) == {1} and len(shape) == r.rank(x) else r.emit("expand", [x], shape=tuple(shape))


def _tile(r: Reader, x: str, repeats: str) -> str:
    value = r.value(x)
    for axis, count in enumerate(r.numbers(repeats) or []):
        value = r.emit("concat", [value] * count, axis=axis) if count != 1 else value
    return value


def cut(r: Reader, value: str, rank: int, bounds: dict[int, tuple[Any, Any, int]]) -> str:
    """A slice along some axes."""
    whole = [bounds.get(axis, (0, None, 1)) for axis in range(rank)]
    starts, stops, steps = zip(*whole, strict=True)
    return r.emit("slice", [value], starts=starts, stops=stops, steps=steps)


def _slice(
    r: Reader,
    x: str,
    starts: str | None = None,
    ends: str | None = None,
    axes: str | None = None,
    steps: str | None = None,
) -> str:
    """Bounds are attributes before opset 10."""
    shape = r.shape(x)
    first, last = r.numbers(starts, "starts") or [], r.numbers(ends, "ends") or []
    along = r.numbers(axes, "axes") or list(range(len(first)))
    bounds = {}
    for axis, start, stop, step in zip(along, first, last, r.numbers(steps) or [1] * len(first), strict=True):
        if step < 1:
            raise NotCovered("a slice backwards")
        size = shape[axis]
        start = 0 if isinstance(size, int) and start < -size else start
        stop = None if stop >= END or (isinstance(size, int) and stop >= size) else stop
        if (start, stop, step) != (0, None, 1):
            bounds[axis % len(shape)] = (start, stop, step)
    return cut(r, r.value(x), len(shape), bounds) if bounds else r.value(x)


def _split(r: Reader, x: str, sizes: str | None = None) -> tuple[str, ...]:
    shape, axis = r.shape(x), r.said.get("axis", 0) % r.rank(x)
    count, whole = len(r.node.output), shape[axis]
    lengths = r.numbers(sizes, "split")
    if lengths is None:
        if not isinstance(whole, int):
            raise NotCovered("a split of the batch")
        each = -(-whole // count)
        lengths = [each] * (count - 1) + [whole - each * (count - 1)]
    ends = list(accumulate(lengths))
    stops = [*ends[:-1], None]
    pieces = zip(ends, lengths, stops, strict=True)
    return tuple(cut(r, r.value(x), len(shape), {axis: (end - n, stop, 1)}) for end, n, stop in pieces)


def _concat(r: Reader, *parts: str) -> str:
    return r.value(parts[0]) if len(parts) == 1 else r.emit("concat", parts, axis=r.said["axis"] % r.rank(parts[0]))


def _pad(r: Reader, x: str, pads: str | None = None, value: str | None = None, axes: str | None = None) -> str:
    """Pads are an attribute before opset 11."""
    rank, ends = r.rank(x), r.numbers(pads, "pads") or []
    along = [axis % rank for axis in r.numbers(axes) or range(rank)]
    given = dict(zip(along, zip(ends[: len(along)], ends[len(along) :], strict=True), strict=True))
    pairs = tuple(given.get(axis, (0, 0)) for axis in range(rank))
    if not any(map(any, pairs)):
        return r.value(x)
    mode = {"edge": "replicate", "wrap": "circular"}.get(name := r.said.get("mode", "constant"), name)
    filled = float(r.array(value).item()) if value is not None else float(r.said.get("value", 0.0))
    return r.emit("pad", [x], padding=pairs, mode=mode, value=filled)


def _gather(r: Reader, x: str, indices: str) -> str:
    """Rows of a table by indices that are computed, or one place of an axis."""
    axis = r.said.get("axis", 0)
    if x in r.known:
        if axis != 0 or r.array(x).ndim != 2:
            raise NotCovered("a lookup that is no embedding")
        return r.emit("embedding", [indices, x])
    index, shape = r.array(indices), r.shape(x)
    if index.size != 1 or index.ndim > 1:
        raise NotCovered("several places of an axis")
    at, axis = int(index.item()), axis % len(shape)
    value = cut(r, r.value(x), len(shape), {axis: (at, at + 1 if at != -1 else None, 1)})
    after = (*shape[:axis], *((1,) * index.ndim), *shape[axis + 1 :])
    return reshape(r, value, (*shape[:axis], 1, *shape[axis + 1 :]), after)


def _depth_to_space(r: Reader, x: str) -> str:
    n, c, h, w = r.shape(x)
    f = r.said["blocksize"]
    depth = number(c) // f**2
    if r.said.get("mode", "DCR") == "DCR":
        apart, axes = (n, f, f, depth, h, w), (0, 3, 4, 1, 5, 2)
    else:
        apart, axes = (n, depth, f, f, h, w), (0, 1, 4, 2, 5, 3)
    value = r.emit("transpose", [reshape(r, r.value(x), (n, c, h, w), apart)], axes=axes)
    return reshape(r, value, (n, depth, h, f, w, f), (n, depth, number(h) * f, number(w) * f))


def _space_to_depth(r: Reader, x: str) -> str:
    n, c, h, w = r.shape(x)
    f = r.said["blocksize"]
    high, wide = number(h) // f, number(w) // f
    apart = (n, c, high, f, wide, f)
    value = r.emit("transpose", [reshape(r, r.value(x), (n, c, h, w), apart)], axes=(0, 3, 5, 1, 2, 4))
    return reshape(r, value, (n, f, f, c, high, wide), (n, number(c) * f * f, high, wide))


TABLE: dict[str, Callable[..., Any]] = {
    "Identity": _same,
    "Dropout": _dropout,
    "Cast": _cast,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Expand": _expand,
    "Tile": _tile,
    "Slice": _slice,
    "Split": _split,
    "Concat": _concat,
    "Pad": _pad,
    "Gather": _gather,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
