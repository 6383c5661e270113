"""Shapes of all values of a graph, from those of its inputs: one function for each op."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from faltung.errors import DtypeError, ModelError, ShapeError
from faltung.graph.graph import Constant, Graph, Node, Value
from faltung.graph.ops import REARRANGING
from faltung.spec.dtype import COMPUTED
from faltung.spec.geometry import output_size, window_size

Shape = tuple[int, ...]


def infer(graph: Graph, inputs: Mapping[str, Value] | None = None) -> Graph:
    """The graph with the shape of every value; `inputs` takes the place of the graph's own.

    Raises:
        ShapeError: a node that cannot take such shapes, by name.
    """
    inputs = graph.inputs if inputs is None else inputs
    values: dict[str, Value] = {}
    known: dict[str, Value | Constant] = {**graph.constants, **inputs}
    for node in graph.nodes:
        operands = [known[name] for name in node.inputs]
        shapes = [operand.shape for operand in operands]
        _check_types(node, [operand.dtype for operand in operands])
        try:
            found = SHAPES[node.op](node, *shapes)
        except ShapeError as error:
            raise ShapeError(f"{node.name or node.output}: {error}") from None
        dtype = operands[1].dtype if node.op == "embedding" else next((o.dtype for o in operands), "float32")
        for n, (name, shape) in enumerate(zip(node.outputs, found, strict=True)):
            values[name] = known[name] = Value(shape, node["dtypes"][n] if node.op == "island" else dtype)
    return replace(graph, inputs=inputs, values=values)


def _check_types(node: Node, dtypes: list[str]) -> None:
    """All operands must be of one type: one that kernels compute with, or that they can move."""
    if node.op in ("island", "embedding"):
        return
    found = sorted(set(dtypes))
    moved = [dtype for dtype in found if np.dtype(dtype).itemsize in (4, 8)]
    if len(found) > 1 or found != (moved if node.op in REARRANGING else [d for d in found if d in COMPUTED]):
        raise DtypeError(f"{node.name or node.output}: {node.op} of numbers of type {' and '.join(found)}.")


def broadcast(*shapes: Shape) -> Shape:
    """The shape of NumPy's broadcasting.

    >>> broadcast((8, 1, 4), (3, 1))
    (8, 3, 4)
    """
    rank = max(map(len, shapes))
    sizes = []
    for axis in zip(*((1,) * (rank - len(shape)) + shape for shape in shapes), strict=True):
        wide = {size for size in axis if size != 1} or {1}
        if len(wide) > 1:
            raise ShapeError(f"shapes do not broadcast together; got {' and '.join(map(str, shapes))}.")
        sizes.append(wide.pop())
    return tuple(sizes)


def spatial_axes(layout: str) -> tuple[int, ...]:
    """The numbers of the spatial axes of a layout.

    >>> spatial_axes("NCHW"), spatial_axes("NWC")
    ((2, 3), (1,))
    """
    return tuple(n for n, letter in enumerate(layout) if letter not in "NC")


def _sizes(shape: Shape, layout: str) -> Shape:
    return tuple(shape[axis] for axis in spatial_axes(layout))


def with_spatial(shape: Shape, layout: str, sizes: Shape, channels: int | None = None) -> Shape:
    """The shape with other spatial sizes, and other channels where given."""
    found = list(shape)
    for axis, size in zip(spatial_axes(layout), sizes, strict=True):
        found[axis] = size
    if channels is not None:
        found[layout.index("C")] = channels
    return tuple(found)


def kernel_sizes(node: Node, shape: Shape) -> tuple[Shape, int, int]:
    """Taps, numbers along I and numbers along O of a kernel."""
    layout = node["kernel_layout"]
    by_letter = dict(zip(layout, shape, strict=True))
    return tuple(by_letter[letter] for letter in layout if letter not in "IO"), by_letter["I"], by_letter["O"]


def _conv(node: Node, x: Shape, kernel: Shape, *_: Shape) -> list[Shape]:
    layout = node["layout"]
    taps, inputs, outputs = kernel_sizes(node, kernel)
    channels = x[layout.index("C")]
    if channels != inputs * node["groups"]:
        raise ShapeError(f"expects {inputs * node['groups']} channels, got {channels} in {x}, {layout}.")
    sizes = _windows(node, [x[axis] for axis in spatial_axes(layout)], taps)
    return [with_spatial(x, layout, sizes, outputs)]


def _windows(node: Node, sizes: list[int], taps: Shape, *, is_ceil: bool = False) -> Shape:
    """The number of windows along each axis."""
    found = []
    for size, k, stride, dilation, pair in zip(
        sizes, taps, node["stride"], node["dilation"], node["padding"], strict=True
    ):
        window = window_size(k, dilation)
        count = output_size(size, window, stride, pair)
        if is_ceil and (count - 1) * stride + window < size + sum(pair) and count * stride < size + pair[0]:
            count += 1  # a last window that overhangs, if it begins inside the input or the padding before it
        if count < 1:
            raise ShapeError(f"the window of {window} is longer than the padded input of {size + sum(pair)}.")
        found.append(count)
    return tuple(found)


def _conv_transpose(node: Node, x: Shape, kernel: Shape, *_: Shape) -> list[Shape]:
    layout = node["layout"]
    taps, _inputs, outputs = kernel_sizes(node, kernel)
    full = transposed(_sizes(x, layout), taps, node["stride"], node["dilation"])
    cut = zip(full, node["padding"], node["output_padding"], strict=True)
    sizes = tuple(size - low - high + more for size, (low, high), more in cut)
    return [with_spatial(x, layout, sizes, outputs * node["groups"])]


def transposed(sizes: Shape, taps: Shape, stride: Shape, dilation: Shape) -> Shape:
    """How many positions the copies of a window cover on each axis."""
    return tuple(
        (size - 1) * step + window_size(k, space)
        for size, k, step, space in zip(sizes, taps, stride, dilation, strict=True)
    )


def _dense(node: Node, x: Shape, kernel: Shape, *_: Shape) -> list[Shape]:
    inputs, outputs = kernel if node["kernel_layout"] == "IO" else kernel[::-1]
    if x[-1] != inputs:
        raise ShapeError(f"expects {inputs} numbers along the last axis, got {x[-1]} in {x}.")
    return [(*x[:-1], outputs)]


def _pool(node: Node, x: Shape) -> list[Shape]:
    sizes = [x[axis] for axis in spatial_axes(node["layout"])]
    return [with_spatial(x, node["layout"], _windows(node, sizes, node["kernel_size"], is_ceil=node["ceil_mode"]))]


def _reduce(node: Node, x: Shape) -> list[Shape]:
    axes = {axis % len(x) for axis in node["axes"]}
    if node["keeps_axes"]:
        return [tuple(1 if n in axes else size for n, size in enumerate(x))]
    return [tuple(size for n, size in enumerate(x) if n not in axes)]


def _concat(node: Node, *shapes: Shape) -> list[Shape]:
    axis = node["axis"] % len(shapes[0])
    rest = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(rest) > 1:
        raise ShapeError(f"joined values must agree but for axis {axis}; got {' and '.join(map(str, shapes))}.")
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])]


def slice_ranges(node: Node, shape: Shape) -> list[range]:
    """The indices that a slice takes of each axis."""
    bounds = zip(node["starts"], node["stops"], node["steps"], strict=True)
    return [range(*slice(*bound).indices(size)) for size, bound in zip(shape, bounds, strict=True)]


def _slice(node: Node, x: Shape) -> list[Shape]:
    return [tuple(map(len, slice_ranges(node, x)))]


def _pad(node: Node, x: Shape) -> list[Shape]:
    sizes = tuple(size + sum(pair) for size, pair in zip(x, node["padding"], strict=True))
    if min(sizes, default=0) < 0:
        raise ShapeError(f"cropping {node['padding']} leaves nothing of {x}.")
    return [sizes]


def resized(node: Node, x: Shape) -> Shape:
    """The spatial sizes that a resize gives."""
    if node["out_size"] is not None:
        return tuple(node["out_size"])
    factors = zip(spatial_axes(node["layout"]), node["scale"], strict=True)
    return tuple(int(x[axis] * factor) for axis, factor in factors)


def _reshape(node: Node, x: Shape) -> list[Shape]:
    asked = node["shape"]
    sizes = [x[n] if size == 0 else size for n, size in enumerate(asked)]
    known = prod(size for size in sizes if size != -1)
    if -1 in sizes and known:
        sizes[sizes.index(-1)] = prod(x) // known
    if prod(sizes) != prod(x):
        raise ShapeError(f"{x} does not fill the shape {tuple(sizes)}.")
    return [tuple(sizes)]


def _same(_: Node, x: Shape, *__: Shape) -> list[Shape]:
    return [x]


def _island(node: Node, *given: Shape) -> list[Shape]:
    shapes = node["shapes"]
    if shapes is None:
        raise ModelError(f"{node['description']}: the shapes of what an island computes must be known.")
    return list(shapes(*given) if callable(shapes) else shapes)


SHAPES: dict[str, Callable[..., Any]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "dense": _dense,
    "map": lambda _, *shapes: [broadcast(*shapes)],
    "batch_norm": _same,
    "pool": _pool,
    "adaptive_pool": lambda node, x: [with_spatial(x, node["layout"], node["out_size"])],
    "reduce": _reduce,
    "layer_norm": _same,
    "group_norm": _same,
    "softmax": _same,
    "concat": _concat,
    "slice": _slice,
    "pad": _pad,
    "resize": lambda node, x: [with_spatial(x, node["layout"], resized(node, x))],
    "reshape": _reshape,
    "transpose": lambda node, x: [tuple(x[axis] for axis in node["axes"])],
    "expand": lambda node, x: [broadcast(x, node["shape"])],
    "embedding": lambda _, indices, table: [(*indices, *table[1:])],
    "island": _island,
}
