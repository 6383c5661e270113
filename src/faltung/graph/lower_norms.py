"""Reductions, norms, softmax, tables and lookups as steps."""

from math import prod

import numpy as np

from faltung.algorithms.group_norm.plan import GroupNorm
from faltung.algorithms.group_norm.plan import plan as plan_group_norm
from faltung.algorithms.layer_norm.plan import LayerNorm
from faltung.algorithms.layer_norm.plan import plan as plan_layer_norm
from faltung.algorithms.reduce.plan import Reduce
from faltung.algorithms.reduce.plan import plan as plan_reduce
from faltung.algorithms.resample.plan import Resample, rows
from faltung.algorithms.resample.plan import plan as plan_resample
from faltung.algorithms.softmax.plan import Softmax
from faltung.algorithms.softmax.plan import plan as plan_softmax
from faltung.graph.graph import Array, Node
from faltung.graph.lowering import Lowering, Operand, rule
from faltung.graph.shapes import spatial_axes
from faltung.graph.stored import Outside, Shape, Stored
from faltung.graph.weights import aligned


@rule("reduce")
def reduce(lowering: Lowering, node: Node) -> None:
    """One step where the reduced axes lie side by side; else the numbers are moved first."""
    x, shape = lowering.read(node.inputs[0]), lowering.graph.shape(node.output)
    reduced = tuple(sorted({axis % len(x.shape) for axis in node["axes"]}))
    order = _innermost(x, reduced) if lowering.precision == "exact" else _with_axes_together(x, reduced)
    x = lowering.moved(x, order, node)
    y = reduced_by(lowering, node, x, order, reduced)
    kept = tuple(axis for axis in order if axis not in reduced)
    # y holds the kept axes in the order of memory
    strides, step = [0] * len(x.shape), 1
    for axis in reversed(kept):
        strides[axis], step = step, step * x.shape[axis]
    names = range(len(x.shape)) if node["keeps_axes"] else [axis for axis in range(len(x.shape)) if axis not in reduced]
    lowering.deliver(node.output, Stored(y.place, shape, tuple(strides[axis] for axis in names), x.dtype, y.offset))


def _innermost(x: Stored, axes: Shape) -> Shape:
    """The order of x with these axes innermost: the order of a sum then depends on their sizes alone."""
    return (*(axis for axis in x.order() if axis not in axes), *axes)


def _with_axes_together(x: Stored, reduced: tuple[int, ...]) -> Shape:
    """The order of x in memory, the reduced axes moved together where they lie apart."""
    order = x.order()
    places = [n for n, axis in enumerate(order) if axis in reduced and x.shape[axis] > 1]
    if not places or places[-1] - places[0] == len(places) - 1:
        return _gathered(order, reduced, x)
    return (*(axis for axis in order if axis not in reduced), *(axis for axis in order if axis in reduced))


def _gathered(order: Shape, reduced: tuple[int, ...], x: Stored) -> Shape:
    """The order with reduced axes of one number beside the others, which moves nothing."""
    real = [axis for axis in order if axis in reduced and x.shape[axis] > 1]
    ones = [axis for axis in order if axis in reduced and x.shape[axis] == 1]
    rest = [axis for axis in order if axis not in reduced]
    first = order.index(real[0]) if real else 0
    before = [axis for axis in rest if order.index(axis) < first] if real else rest
    return (*before, *ones, *real, *(axis for axis in rest if axis not in before))


def reduced_by(lowering: Lowering, node: Node, x: Stored, order: Shape, reduced: tuple[int, ...]) -> Stored:
    """The step of a reduction of contiguous x, and its contiguous result."""
    places = [n for n, axis in enumerate(order) if axis in reduced]
    outer, inner = (order[: places[0]], order[places[-1] + 1 :]) if places else (order, ())
    sizes = [prod(x.shape[axis] for axis in axes) for axes in (outer, reduced, inner)]
    y = Stored.contiguous(lowering.buffer_for(sizes[0] * sizes[2], x.dtype), (sizes[0], sizes[2]), x.dtype)
    request = Reduce(
        kind=node["kind"],
        outer=sizes[0],
        reduced=sizes[1],
        inner=sizes[2],
        dtype=x.dtype,
        correction=node.attributes.get("correction") or 0,
    )
    if y.size:
        lowering.step(plan_reduce(request, lowering.target), node, y, {"x": x})
    return y


@rule("softmax")
def softmax(lowering: Lowering, node: Node) -> None:
    """One step along whichever axis, in the order in which x lies."""
    x = lowering.read(node.inputs[0])
    axis = node["axis"] % len(x.shape)
    order = _innermost(x, (axis,)) if lowering.precision == "exact" else x.order()
    x = lowering.moved(x, order, node)
    place = order.index(axis)
    y = lowering.result(node.output, order)
    sizes = [prod(x.shape[a] for a in axes) for axes in (order[:place], (axis,), order[place + 1 :])]
    request = Softmax(outer=sizes[0], axis=sizes[1], inner=sizes[2], is_log=node["is_log"], dtype=x.dtype)
    if y.size:
        lowering.step(plan_softmax(request, lowering.target), node, y, {"x": x})
    lowering.deliver(node.output, y)


def _scale_and_shift(lowering: Lowering, node: Node) -> dict[str, Operand | None]:
    """The learned numbers of a norm, flattened, as the operands kernel and bias."""
    names = list(node.inputs[1:])
    scale = lowering.operand(lowering.read(names.pop(0))) if node["has_scale"] else None
    shift = lowering.operand(lowering.read(names.pop(0))) if node["has_shift"] else None
    return {"kernel": scale, "bias": shift}


@rule("layer_norm")
def layer_norm(lowering: Lowering, node: Node) -> None:
    """Over trailing axes, which must lie side by side in the host's order."""
    x, count = lowering.read(node.inputs[0]), node["num_axes"]
    rank = len(x.shape)
    outer = tuple(axis for axis in x.order() if axis < rank - count)
    order = (*outer, *range(rank - count, rank))
    x = lowering.moved(x, order, node)
    y = lowering.result(node.output, order)
    request = LayerNorm(
        num_rows=prod(x.shape[: rank - count]),
        size=prod(x.shape[rank - count :]),
        epsilon=node["epsilon"],
        has_scale=node["has_scale"],
        has_shift=node["has_shift"],
        dtype=x.dtype,
    )
    if y.size:
        lowering.step(plan_layer_norm(request, lowering.target), node, y, {"x": x, **_scale_and_shift(lowering, node)})
    lowering.deliver(node.output, y)


@rule("group_norm")
def group_norm(lowering: Lowering, node: Node) -> None:
    """Statistics of each sample and group of channels, which lie innermost."""
    x = lowering.read(node.inputs[0])
    rank = len(x.shape)
    axis = node["axis"] % rank
    order = (*(a for a in range(rank) if a != axis), axis)
    x = lowering.moved(x, order, node)
    y = lowering.result(node.output, order)
    request = GroupNorm(
        num_samples=x.shape[0],
        positions=prod(x.shape[a] for a in order[1:-1]),
        channels=x.shape[axis],
        groups=node["groups"],
        epsilon=node["epsilon"],
        has_scale=node["has_scale"],
        has_shift=node["has_shift"],
        dtype=x.dtype,
    )
    if y.size:
        lowering.step(plan_group_norm(request, lowering.target), node, y, {"x": x, **_scale_and_shift(lowering, node)})
    lowering.deliver(node.output, y)


@rule("adaptive_pool")
def adaptive_pool(lowering: Lowering, node: Node) -> None:
    """Windows from floor(i in/out) to ceil((i + 1) in/out): averages through tables, maxima window by window."""
    x, shape = lowering.read(node.inputs[0]), lowering.graph.shape(node.output)
    axes = spatial_axes(node["layout"])
    if all(shape[axis] == 1 for axis in axes):
        as_reduction = Node(
            "reduce",
            node.inputs,
            node.outputs,
            {"kind": "mean" if node["kind"] == "average" else "max", "axes": axes, "keeps_axes": True, "correction": 0},
            node.name,
        )
        reduce(lowering, as_reduction)
        return
    for axis in axes:
        size, out_size = x.shape[axis], shape[axis]
        bounds = [(i * size // out_size, -(-(i + 1) * size // out_size)) for i in range(out_size)]
        if node["kind"] == "average":
            x = resample(lowering, node, x, axis, *_means(bounds))
        else:
            x = _maxima(lowering, node, x, axis, bounds)
    lowering.deliver(node.output, x)


def _means(bounds: list[tuple[int, int]]) -> tuple[Array, Array]:
    """Indices and weights of a mean over each window."""
    taps = max(stop - start for start, stop in bounds)
    indices = np.array([[min(start + t, stop - 1) for t in range(taps)] for start, stop in bounds])
    weights = np.array([[(start + t < stop) / (stop - start) for t in range(taps)] for start, stop in bounds])
    return indices, weights


def _maxima(lowering: Lowering, node: Node, x: Stored, axis: int, bounds: list[tuple[int, int]]) -> Stored:
    """The maximum of each window along one axis, one step for each."""
    shape = (*x.shape[:axis], len(bounds), *x.shape[axis + 1 :])
    y = Stored.contiguous(lowering.buffer_for(prod(shape), x.dtype), shape, x.dtype, x.order())
    as_maximum = Node("reduce", node.inputs, node.outputs, {"kind": "max"}, node.name)
    for n, (start, stop) in enumerate(bounds):
        ranges, place = [range(size) for size in x.shape], [range(size) for size in shape]
        ranges[axis], place[axis] = range(start, stop), range(n, n + 1)
        part = x.sliced(ranges)
        order = _with_axes_together(part, (axis,))
        part = lowering.moved(part, order, node)
        found = reduced_by(lowering, as_maximum, part, order, (axis,))
        kept = tuple(a for a in order if a != axis)
        sizes = tuple(1 if a == axis else size for a, size in enumerate(part.shape))
        whole = Stored.contiguous(found.place, sizes, x.dtype, (*kept, axis))
        lowering.copy(whole, y.sliced(place), node)
    return y


def resample(lowering: Lowering, node: Node, x: Stored, axis: int, indices: Array, weights: Array) -> Stored:
    """Each output along an axis as a weighted sum of a few inputs."""
    order = x.order()
    x = lowering.moved(x, order, node)
    out_size, taps = indices.shape
    shape = (*x.shape[:axis], out_size, *x.shape[axis + 1 :])
    y = Stored.contiguous(lowering.buffer_for(prod(shape), x.dtype), shape, x.dtype, order)
    place = order.index(axis)
    outer, inner = (prod(x.shape[a] for a in axes) for axes in (order[:place], order[place + 1 :]))
    has_weights = not (weights == 1).all() or taps > 1
    request = Resample(
        outer=outer,
        out_size=out_size,
        inner=inner,
        taps=taps,
        has_weights=has_weights,
        index_dtype="int64",
        x_strides=(x.shape[axis] * inner, inner),
        y_strides=(out_size * inner, inner),
        dtype=x.dtype,
    )
    operands = {"kernel": _table(lowering, indices.astype(np.int64))}
    if has_weights:
        operands["bias"] = _table(lowering, weights.astype(x.dtype))
    if y.size:
        lowering.step(plan_resample(request, lowering.target), node, y, {"x": x, **operands})
    return y


def _table(lowering: Lowering, numbers: Array) -> Operand:
    """Numbers of ours beside the learned ones."""
    return Operand(lowering.weights.get((numbers.tobytes(), numbers.dtype.name), lambda: aligned(numbers)))


@rule("embedding")
def embedding(lowering: Lowering, node: Node) -> None:
    """Rows of a table."""
    indices, table = lowering.read(node.inputs[0]), lowering.read(node.inputs[1])
    if not isinstance(indices.place, Outside) or not indices.is_contiguous() or indices.dtype not in ("int32", "int64"):
        lowering.host_step(node, (indices, table), lambda rows, numbers: (numbers[rows.astype(np.int64)],))
        return
    lowering.lookups.append((indices.place.name, table.shape[0]))
    y = lowering.result(node.output)
    request = rows(indices.size, prod(table.shape[1:]), indices.dtype, table.dtype)
    if y.size:
        lowering.step(plan_resample(request, lowering.target), node, y, {"x": table, "kernel": indices})
    lowering.deliver(node.output, y)
