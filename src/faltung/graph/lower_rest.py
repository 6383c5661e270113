"""Everything between convolutions as steps."""

from collections.abc import Iterator

from faltung.graph.graph import Graph, Node
from faltung.graph.lowering import Lowering, output_of, rule
from faltung.graph.shapes import slice_ranges
from faltung.graph.stored import Shape, Stored, channels_last
from faltung.graph.weights import Weight


@rule("map")
def elementwise(lowering: Lowering, node: Node) -> None:
    """One step, in the order in which the largest operand lies, over it where nobody else reads it."""
    shape = lowering.graph.shape(node.output)
    operands = [lowering.read(name) for name in node.inputs]
    same = [operand for operand in operands if operand.shape == shape]
    dense = [operand for operand in same if operand.is_contiguous(operand.order())]
    y = lowering.destinations.get(node.output)
    if y is None:
        y = next((o for o in dense if lowering.is_last_reader(o) and _reads_once(o, operands)), None)
    if y is None:
        computed = next((operand for operand in same if not isinstance(operand.place, Weight)), None)
        y = lowering.result(node.output, computed.order() if computed else None)
    lowering.map(node["expression"], operands, y, node)
    lowering.bind(node.output, y)


def _reads_once(operand: Stored, operands: list[Stored]) -> bool:
    """Does no other operand look at the same memory in another way?"""
    return all(other.place is not operand.place or other == operand for other in operands)


@rule("reshape")
def reshape(lowering: Lowering, node: Node) -> None:
    """The same numbers where they lie; what only dense layers read stays in its order, which their kernels follow."""
    x, shape = lowering.read(node.inputs[0]), lowering.graph.shape(node.output)
    found = x.reshaped(shape)
    if found is None and _is_flattening(lowering, node, x):
        lowering.flattened[node.output] = (x, x.order())
        found = x
    if found is None:
        found = lowering.moved(x, tuple(range(len(x.shape))), node).reshaped(shape)
        assert found is not None  # what is contiguous takes any shape
    lowering.deliver(node.output, found)


def _is_flattening(lowering: Lowering, node: Node, x: Stored) -> bool:
    """Does it flatten all but the batch, for dense layers alone?"""
    shape, graph, order = lowering.graph.shape(node.output), lowering.graph, x.order()
    readers = list(graph.consumers(node.output))
    is_for_dense = all(reader.op == "dense" and reader.inputs[0] == node.output for reader in readers)
    keeps_batch = len(shape) == 2 and shape[0] == x.shape[0] and order[0] == 0
    return keeps_batch and is_for_dense and x.is_contiguous(order) and node.output not in graph.outputs


@rule("transpose")
def transpose(lowering: Lowering, node: Node) -> None:
    """The same numbers under other names of their axes."""
    lowering.deliver(node.output, lowering.read(node.inputs[0]).transposed(tuple(node["axes"])))


@rule("slice")
def slice_(lowering: Lowering, node: Node) -> None:
    """The part of the same numbers."""
    x = lowering.read(node.inputs[0])
    lowering.deliver(node.output, x.sliced(slice_ranges(node, x.shape)))


@rule("expand")
def expand(lowering: Lowering, node: Node) -> None:
    """The same numbers, read again and again."""
    lowering.deliver(node.output, lowering.read(node.inputs[0]).broadcast(lowering.graph.shape(node.output)))


@rule("concat")
def concat(lowering: Lowering, node: Node) -> None:
    """Nothing to do for what was computed into its place; the rest is moved there."""
    whole = lowering.destinations[node.output]
    for name, part in parts_of(lowering.graph, node, whole):
        if lowering.destinations.get(name) != part or name not in lowering.at:
            lowering.copy(lowering.read(name), part, node)
    lowering.bind(node.output, whole)


def parts_of(graph: Graph, node: Node, whole: Stored) -> Iterator[tuple[str, Stored]]:
    """Each input of a concat, and its part of the whole."""
    axis, first = node["axis"] % len(whole.shape), 0
    for name in node.inputs:
        size = graph.shape(name)[axis]
        ranges = [range(n) for n in whole.shape]
        ranges[axis] = range(first, first + size)
        first += size
        yield name, whole.sliced(ranges)


@rule("island")
def island(lowering: Lowering, node: Node) -> None:
    """The host reads and writes arrays of its own; what it is handed is contiguous."""
    inputs = tuple(lowering.moved(lowering.read(name), None, node) for name in node.inputs)
    lowering.host_step(node, inputs, node["run"])


def order_hints(graph: Graph) -> dict[str, Shape]:
    """In which order the axes of each value will probably lie."""
    hints: dict[str, Shape] = {}
    for name, value in graph.inputs.items():
        hints[name] = tuple(range(len(value.shape)))
    for node in graph.nodes:
        for name in node.outputs:
            rank = len(graph.shape(name))
            before = next((hints[i] for i in node.inputs if len(hints.get(i, ())) == rank), tuple(range(rank)))
            if "layout" in node.attributes:
                before = channels_last(node["layout"])
            elif node.op == "transpose":
                place = {axis: n for n, axis in enumerate(node["axes"])}
                before = tuple(place[axis] for axis in before)
            elif node.op in ("reshape", "dense", "island"):
                before = tuple(range(rank))
            hints[name] = before
    return hints


def plan_destinations(lowering: Lowering) -> None:
    """Outputs are computed into the arrays of the call, and what a concat joins into its place, where they can be."""
    graph, hints = lowering.graph, order_hints(lowering.graph)
    for name in graph.outputs:
        if name in graph.values and output_of(graph, name).is_contiguous(hints[name]):
            lowering.destinations[name] = output_of(graph, name)
    for node in reversed(graph.nodes):
        if node.op != "concat":
            continue
        value = graph.values[node.output]
        whole = lowering.destinations.get(node.output)
        if whole is None:
            order = hints[node.output]
            whole = Stored.contiguous(lowering.buffer_later(node.output), value.shape, value.dtype, order)
            lowering.destinations[node.output] = whole
        for name, part in parts_of(graph, node, whole):
            is_computed = name in graph.values and node.inputs.count(name) == 1
            if is_computed and name not in lowering.destinations and _computes(graph, name):
                lowering.destinations[name] = part


def _computes(graph: Graph, name: str) -> bool:
    """Is a value computed by a kernel that can put it anywhere, rather than looked at where it lies?"""
    producer = graph.producer(name)
    return producer is not None and producer.op not in ("reshape", "transpose", "slice", "expand", "island", "dense")
