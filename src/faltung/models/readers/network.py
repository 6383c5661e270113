"""Compiled networks as programs: through the model they were read from; those from a file through their graph."""

from collections.abc import Callable
from typing import Any

from faltung.errors import ShapeError
from faltung.graph.graph import Constant, Graph, Node, Value
from faltung.graph.shapes import infer, kernel_sizes, spatial_axes
from faltung.models.layer import Layer, Shape, show_shape, with_names
from faltung.models.program import Chain

SAMPLE = 2
"""A batch that shapes are worked out with where nobody knows it."""


def reads(model: Any) -> bool:
    """Whether it is a Network, without loading what runs one."""
    return type(model).__module__ == "faltung.graph.network"


def source_of(model: Any) -> Any:
    """What a network was read from; everything else, and a network from a file, as it is."""
    source = model.source if reads(model) else None
    return model if source is None else source


def as_program(net: Any) -> Chain:
    """Return the chain of a graph's nodes, whose shapes the graph works out; of several inputs only the first runs."""
    graph: Graph = net.graph
    first = next(iter(graph.inputs))
    sizes = (None, *graph.inputs[first].shape[1:])
    layers = [Layer(first, "faltung", "input", "input", options={"sizes": sizes, "names": ()})]
    wires: list[tuple[int, ...]] = [(-1,)]
    made = {first: 0}
    for node in graph.nodes:
        read = dict.fromkeys(name for name in node.inputs if name in made)
        if not read:
            continue
        wires.append(tuple(made[name] for name in read))
        made |= dict.fromkeys(node.outputs, len(layers))
        layers.append(_layer(graph, node, list(read)))
    return Chain("net", "faltung", tuple(with_names(layers)), graph.inputs[first].dtype, wires=tuple(wires))


def _layer(graph: Graph, node: Node, read: list[str]) -> Layer:
    """A convolution by its numbers; any other node runs as the graph does."""
    path, run, name = node.outputs[0], _run(graph, node, read), node.name or node.op
    if len(read) > 1:
        return Layer(path, "faltung", name, "merge", options={"run": run}, source=node)
    if node.op != "conv":
        return Layer(path, "faltung", name, "other", options={"run": lambda shape: run([shape])}, source=node)
    taps, inputs, outputs = kernel_sizes(node, graph.shape(node.inputs[1]))
    options = {name: node[name] for name in ("stride", "dilation", "padding", "groups", "padding_mode")}
    options |= {"in_channels": inputs * node["groups"], "out_channels": outputs, "kernel_size": taps}
    is_first = node["layout"].index("C") == 1
    rank = len(spatial_axes(node["layout"]))
    return Layer(path, "faltung", name, "conv", rank, is_first, options, node)


def _run(graph: Graph, node: Node, read: list[str]) -> Callable[[list[Shape]], Shape]:
    """Shapes of what it reads → the shape of its first output."""

    def run(shapes: list[Shape]) -> Shape:
        given: dict[str, Value | Constant] = {name: graph.value(name) for name in node.inputs}
        for name, shape in zip(read, shapes, strict=True):
            known = tuple(SAMPLE if size is None else size for size in shape)
            given[name] = Value(known, given[name].dtype)
        values = {name: Value(value.shape, value.dtype) for name, value in given.items()}
        try:
            out = infer(Graph(values, {}, (node,), node.outputs[:1])).shape(node.outputs[0])
        except (IndexError, ValueError) as error:  # a rank that the node does not take
            raise ShapeError(f"{node.name or node.op} takes no {' and '.join(map(show_shape, shapes))}") from error
        is_open = any(shape and shape[0] is None for shape in shapes)
        return (None, *out[1:]) if is_open and out and out[0] == SAMPLE else out

    return run
