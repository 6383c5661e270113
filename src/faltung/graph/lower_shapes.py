"""Padding and resizing as steps."""

from dataclasses import replace

from faltung.graph.graph import Node
from faltung.graph.lowering import Lowering, rule
from faltung.graph.resizing import resample_axes
from faltung.graph.shapes import spatial_axes
from faltung.graph.stored import Stored


@rule("pad")
def pad(lowering: Lowering, node: Node) -> None:
    """The inside is moved, then each end of each axis is filled from what is there already."""
    x, shape = lowering.read(node.inputs[0]), lowering.graph.shape(node.output)
    y = lowering.destinations.get(node.output) or lowering.result(node.output, x.order())
    pairs = node["padding"]
    source = x.sliced(
        [range(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, pairs, strict=True)]
    )
    is_padded = any(low > 0 or high > 0 for low, high in pairs)
    if is_padded and node["mode"] == "constant":
        lowering.map(float(node["value"]), [], y, node)
    inside = [range(max(low, 0), size - max(high, 0)) for size, (low, high) in zip(shape, pairs, strict=True)]
    lowering.copy(source, y.sliced(inside), node)
    if is_padded and node["mode"] != "constant":
        for axis, (low, high) in enumerate(pairs):
            _fill_ends(lowering, node, y.sliced([*_whole(inside, y, axis)]), axis, max(low, 0), max(high, 0))
    lowering.bind(node.output, y)


def _whole(inside: list[range], y: Stored, axis: int) -> list[range]:
    """Of the axes up to this one all indices, of the later ones those that are not yet padded."""
    return [range(size) if n <= axis else inside[n] for n, size in enumerate(y.shape)]


def _fill_ends(lowering: Lowering, node: Node, y: Stored, axis: int, low: int, high: int) -> None:
    """Fill the first `low` and the last `high` indices of an axis from those between."""
    size = y.shape[axis]
    last = size - high - 1  # of the inside
    sources = {
        "reflect": (range(2 * low, low, -1), range(last - 1, last - 1 - high, -1)),
        "replicate": (range(low, low + 1), range(last, last + 1)),
        "circular": (range(last + 1 - low, last + 1), range(low, low + high)),
    }
    for count, first, indices in ((low, 0, sources[node["mode"]][0]), (high, last + 1, sources[node["mode"]][1])):
        if count:
            ends, source = [range(n) for n in y.shape], [range(n) for n in y.shape]
            ends[axis], source[axis] = range(first, first + count), indices
            lowering.copy(y.sliced(source), y.sliced(ends), node)


@rule("resize")
def resize(lowering: Lowering, node: Node) -> None:
    """Whole factors repeat what lies there; the rest goes axis by axis through a table."""
    x, shape = lowering.read(node.inputs[0]), lowering.graph.shape(node.output)
    axes = spatial_axes(node["layout"])
    is_whole = node["mode"] == "nearest" and all(shape[axis] % x.shape[axis] == 0 for axis in axes)
    if not is_whole:
        lowering.deliver(node.output, resample_axes(lowering, node, x, shape))
        return
    y = lowering.destinations.get(node.output) or lowering.result(node.output, x.order())
    source, split = x, y
    for axis in reversed(axes):
        factor = shape[axis] // x.shape[axis]
        source = _with_axis(source, axis + 1, factor, 0)
        step = split.strides[axis]
        split = replace(
            split,
            shape=(*split.shape[:axis], x.shape[axis], factor, *split.shape[axis + 1 :]),
            strides=(*split.strides[:axis], step * factor, step, *split.strides[axis + 1 :]),
        )
    lowering.copy(source, split, node)
    lowering.bind(node.output, y)


def _with_axis(stored: Stored, axis: int, size: int, stride: int) -> Stored:
    """The value with a further axis."""
    return replace(
        stored,
        shape=(*stored.shape[:axis], size, *stored.shape[axis:]),
        strides=(*stored.strides[:axis], stride, *stored.strides[axis:]),
    )
