"""Passes: functions Graph → Graph, each named for what it does, run in the order of PASSES."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from faltung.graph.graph import Array, Constant, Graph, Node
from faltung.graph.ops import LEARNED, OPS
from faltung.graph.shapes import slice_ranges, spatial_axes
from faltung.spec.activation import ACTIVATIONS

MOST_OPERANDS = 4
"""Of one elementwise step."""


def simplified(graph: Graph) -> Graph:
    """The graph after all passes."""
    for a_pass in PASSES:
        graph = a_pass(graph)
        check(graph)
    return graph


def check(graph: Graph) -> None:
    """Refuse a graph in which a node reads what nobody computed before it: a bug of ours."""
    known = {*graph.inputs, *graph.constants}
    for node in graph.nodes:
        missing = [name for name in node.inputs if name not in known]
        if node.op not in OPS or missing:
            raise AssertionError(f"{node.op} {node.outputs}: unknown op, or reads {missing} before it is computed")
        known.update(node.outputs)


def derived(make: Callable[..., Array], *sources: Constant, shape: tuple[int, ...] | None = None) -> Constant:
    """A constant computed in float64 from others, and again when one of them changes; whoever stores it rounds it."""

    def read() -> Array:
        return make(*(np.asarray(source.read(), np.float64) for source in sources))

    return Constant(sources[0].shape if shape is None else shape, sources[0].dtype, read, sources=sources)


class _Rewriting:
    """A graph whose nodes are being replaced."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: dict[str, Node] = {node.outputs[0]: node for node in graph.nodes}
        self.constants: dict[str, Constant] = {}
        self.producers = {name: node.outputs[0] for node in graph.nodes for name in node.outputs}
        self.readers: dict[str, list[str]] = {}
        for node in graph.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node.outputs[0])

    def sole_producer(self, name: str, ops: tuple[str, ...]) -> Node | None:
        """The node of one of these ops whose result only one node reads."""
        if len(self.readers.get(name, ())) != 1 or name in self.graph.outputs:
            return None
        node = self.nodes.get(self.producers.get(name, ""))
        return node if node is not None and node.op in ops and len(node.outputs) == 1 else None

    def absorb(self, earlier: Node, later: Node, merged: Node) -> None:
        """Put the merged node where the later one stood; the earlier one is gone."""
        del self.nodes[earlier.outputs[0]]
        merged = replace(merged, outputs=later.outputs, name=merged.name or later.name)
        self.nodes[later.outputs[0]] = merged
        for name in {*earlier.inputs, *later.inputs, *merged.inputs}:
            readers = [r for r in self.readers.get(name, ()) if r not in (earlier.outputs[0], later.outputs[0])]
            self.readers[name] = readers + [later.outputs[0]] * merged.inputs.count(name)

    def constant(self, near: str, constant: Constant) -> str:
        """A further constant, named after another thing."""
        name, number = near, 1
        while name in self.constants or name in self.graph.constants:
            name, number = f"{near}'{number}", number + 1
        self.constants[name] = constant
        return name

    def known(self, name: str) -> Constant:
        """An old or new constant."""
        return self.constants.get(name) or self.graph.constants[name]

    def is_constant(self, name: str) -> bool:
        """Is it learned or fixed?"""
        return name in self.constants or name in self.graph.constants

    def done(self) -> Graph:
        """The graph with its new nodes."""
        return self.graph.with_nodes(tuple(self.nodes.values()), self.constants)


def fold_batch_norms(graph: Graph) -> Graph:
    """Into the kernel and bias of what feeds one, if nothing lies between and nobody else reads it; else a scaling."""
    now = _Rewriting(graph)
    for node in graph.nodes:
        if node.op != "batch_norm":
            continue
        scale, shift = _scale_and_shift(node, [graph.constants[name] for name in node.inputs[1:]])
        before = now.sole_producer(node.inputs[0], LEARNED)
        if before is not None and _can_scale(graph, before, node):
            now.absorb(before, node, _scaled(now, before, scale, shift))
            continue
        rank = len(graph.shape(node.output))
        names = [
            now.constant(f"{node.output}.{what}", _along(constant, node["axis"] % rank, rank))
            for what, constant in (("scale", scale), ("shift", shift))
        ]
        expression = ("add", ("mul", 0, 1), 2)
        now.nodes[node.output] = Node(
            "map", (node.inputs[0], *names), node.outputs, {"expression": expression}, node.name
        )
    return now.done()


def _along(constant: Constant, axis: int, rank: int) -> Constant:
    """One number for each channel, as an array that broadcasts along that axis."""
    shape = tuple(constant.shape[0] if n == axis else 1 for n in range(rank))
    return derived(lambda numbers: numbers.reshape(shape), constant, shape=shape)


def _scale_and_shift(node: Node, constants: list[Constant]) -> tuple[Constant, Constant]:
    """What a batch norm multiplies and adds, for each channel."""
    mean, variance, *learned = constants
    gamma = learned.pop(0) if node["has_scale"] else None
    beta = learned.pop(0) if node["has_shift"] else None
    epsilon = node["epsilon"]

    def scale(variance: Array, *gamma: Array) -> Array:
        factor: Array = (gamma[0] if gamma else 1.0) / np.sqrt(variance + epsilon)
        return factor

    factor = derived(scale, variance, *([gamma] if gamma else []))
    if beta is None:
        return factor, derived(lambda m, f: -m * f, mean, factor)
    return factor, derived(lambda m, f, b: b - m * f, mean, factor, beta)


def _can_scale(graph: Graph, before: Node, norm: Node) -> bool:
    """Is the norm along the output channels of a node that ends with its sums, and whose kernel is learned?"""
    channels = len(graph.shape(before.output)) - 1 if before.op == "dense" else before["layout"].index("C")
    rank = len(graph.shape(norm.output))
    is_whole = before.op != "conv_transpose" or before["groups"] == 1
    ends_with_sums = before["activation"] is None and not before.attributes.get("adds", False)
    return norm["axis"] % rank == channels and is_whole and ends_with_sums and before.inputs[1] in graph.constants


def _scaled(now: _Rewriting, node: Node, scale: Constant, shift: Constant) -> Node:
    """The node with its output channels multiplied and shifted."""
    kernel = now.known(node.inputs[1])
    axis = node["kernel_layout"].index("O")
    sizes = [1] * len(kernel.shape)
    sizes[axis] = kernel.shape[axis]
    new_kernel = derived(lambda w, f: w * f.reshape(sizes), kernel, scale)
    bias = shift
    if node["has_bias"]:
        bias = derived(lambda b, f, s: b * f + s, now.known(node.inputs[2]), scale, shift)
    names = [now.constant(node.inputs[1], new_kernel), now.constant(f"{node.inputs[1]}.bias", bias)]
    return node.having(inputs=(node.inputs[0], *names), has_bias=True)


def absorb_pads(graph: Graph) -> Graph:
    """Padding of the spatial axes becomes that of the convolution that reads it."""
    now = _Rewriting(graph)
    for node in graph.nodes:
        if node.op != "conv":
            continue
        pad = now.sole_producer(node.inputs[0], ("pad",))
        if pad is None:
            continue
        layout, pairs = node["layout"], pad["padding"]
        axes = spatial_axes(layout)
        is_spatial = all(pair == (0, 0) for n, pair in enumerate(pairs) if n not in axes)
        grows = all(min(pairs[axis]) >= 0 for axis in axes)
        is_padded = any(map(any, node["padding"]))
        is_zero = pad["mode"] == "constant" and pad["value"] == 0 and node["padding_mode"] == "zeros"
        if not (is_spatial and grows and (is_zero or (pad["mode"] != "constant" and not is_padded))):
            continue
        merged = tuple(
            (low + pairs[axis][0], high + pairs[axis][1])
            for axis, (low, high) in zip(axes, node["padding"], strict=True)
        )
        mode = "zeros" if is_zero else pad["mode"]
        inputs = (pad.inputs[0], *node.inputs[1:])
        now.absorb(pad, node, node.having(inputs=inputs, padding=merged, padding_mode=mode))
    return now.done()


def absorb_crops(graph: Graph) -> Graph:
    """What is cut off the ends of a zero-padded convolution is not computed: a chomp makes it causal."""
    now = _Rewriting(graph)
    for node in graph.nodes:
        conv = now.sole_producer(node.inputs[0], ("conv",)) if node.op == "slice" else None
        if conv is None or conv["padding_mode"] != "zeros" or conv["adds"]:
            continue
        shape = graph.shape(node.inputs[0])
        ranges = slice_ranges(node, shape)
        axes = spatial_axes(conv["layout"])
        is_crop = all(r.step == 1 for r in ranges) and all(
            len(r) == size for n, (r, size) in enumerate(zip(ranges, shape, strict=True)) if n not in axes
        )
        if not is_crop:
            continue
        sizes = zip(axes, conv["padding"], conv["stride"], strict=True)
        padding = tuple(
            (low - ranges[axis].start * stride, high - (shape[axis] - ranges[axis].stop) * stride)
            for axis, (low, high), stride in sizes
        )
        if all(low >= 0 and high >= 0 for low, high in padding):
            now.absorb(conv, node, conv.having(padding=padding))
    return now.done()


def fuse_sums(graph: Graph) -> Graph:
    """A sum of a convolution and another value of its shape: the convolution adds to what stands there."""
    now = _Rewriting(graph)
    for node in graph.nodes:
        if node.op != "map" or node["expression"] not in (("add", 0, 1), ("add", 1, 0)) or len({*node.inputs}) < 2:
            continue
        for name, other in (node.inputs[::-1], node.inputs):
            conv = now.sole_producer(name, ("conv",))
            if conv is None or conv["adds"] or conv["activation"] or conv["groups"] > 1 or now.is_constant(other):
                continue
            shape = graph.shape(node.output)
            if graph.shape(name) == graph.shape(other) == shape and shape[conv["layout"].index("C")] > 1:
                now.absorb(conv, node, conv.having(inputs=(*conv.inputs, other), adds=True))
                break
    return now.done()


def fuse_activations(graph: Graph) -> Graph:
    """An activation becomes the end of the convolution or dense layer that feeds it."""
    now = _Rewriting(graph)
    for node in graph.nodes:
        activation = _activation(node)
        before = now.sole_producer(node.inputs[0], LEARNED) if activation else None
        if before is not None and before["activation"] is None:
            now.absorb(before, node, before.having(activation=activation))
    return now.done()


def _activation(node: Node) -> tuple[str, float | None] | None:
    """The activation that a node is, if it is one that convolutions end with."""
    expression: Any = node.attributes.get("expression") if node.op == "map" else None
    if not isinstance(expression, tuple) or expression[0] not in ACTIVATIONS or expression[1] != 0:
        return None
    name, _, *parameter = expression
    if len(parameter) > 1 or not all(isinstance(number, float) for number in parameter):
        return None
    return name, parameter[0] if parameter else ACTIVATIONS[name]


def fuse_maps(graph: Graph) -> Graph:
    """Elementwise nodes that follow each other become one, as long as it has few operands."""
    now = _Rewriting(graph)
    for output in list(now.nodes):
        node = now.nodes.get(output)
        while node is not None and node.op == "map":
            merged = next(filter(None, (_inlined(now, node, name) for name in node.inputs)), None)
            if merged is None:
                break
            earlier, node = merged
            now.absorb(earlier, now.nodes[output], node)
            node = now.nodes[output]
    return now.done()


def _inlined(now: _Rewriting, node: Node, name: str) -> tuple[Node, Node] | None:
    """The map that computes one input of a map, and both as one."""
    earlier = now.sole_producer(name, ("map",)) if node.inputs.count(name) == 1 else None
    if earlier is None or now.graph.shape(name) != now.graph.shape(node.output):
        return None
    inputs = tuple(dict.fromkeys((*(i for i in node.inputs if i != name), *earlier.inputs)))
    if len(inputs) > MOST_OPERANDS or _count(node["expression"], node.inputs.index(name)) > 1:
        return None
    inner = _renumbered(earlier["expression"], [inputs.index(i) for i in earlier.inputs])
    places: list[Any] = [inner if i == name else inputs.index(i) for i in node.inputs]
    return earlier, node.having(inputs=inputs, expression=_renumbered(node["expression"], places))


def _count(expression: Any, number: int) -> int:
    """How often an expression reads an input: what it computes is computed so often."""
    if isinstance(expression, tuple):
        return sum(_count(part, number) for part in expression[1:])
    return int(type(expression) is int and expression == number)


def _renumbered(expression: Any, places: list[Any]) -> Any:
    """The expression with other things in the places of its inputs."""
    if isinstance(expression, tuple):
        return (expression[0], *(_renumbered(part, places) for part in expression[1:]))
    return places[expression] if type(expression) is int else expression


def drop_dead_nodes(graph: Graph) -> Graph:
    """Nodes that no output needs are gone."""
    wanted, kept = {*graph.outputs}, []
    for node in reversed(graph.nodes):
        if wanted & {*node.outputs}:
            kept.append(node)
            wanted.update(node.inputs)
    constants = {name: constant for name, constant in graph.constants.items() if name in wanted}
    return replace(graph, constants=constants).with_nodes(tuple(reversed(kept)))


PASSES: tuple[Callable[[Graph], Graph], ...] = (
    drop_dead_nodes,
    fold_batch_norms,
    absorb_pads,
    absorb_crops,
    fuse_sums,
    fuse_activations,
    fuse_maps,
    drop_dead_nodes,
)
