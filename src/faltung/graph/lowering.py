"""From a graph with known shapes to steps: each a kernel with its parameters, told where its operands lie.

Activations lie channels last, whatever the host's order; transpositions relabel axes, slices and reshapes look at the
same numbers, and what is joined is computed into its place. Only where a kernel cannot read what lies there, or the
host wants another order at the end, are numbers moved.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from faltung.algorithms.map.plan import Map
from faltung.algorithms.map.plan import plan as plan_map
from faltung.graph.graph import Constant, Graph, Node
from faltung.graph.stored import Buffer, Outside, Place, Shape, Stored, channels_last
from faltung.graph.weights import Weight, Weights
from faltung.machine.target import Target
from faltung.plan.plan import Plan

MOVED_AS = {4: "float32", 8: "float64"}
"""In which lanes kernels move numbers of so many bytes."""
NEVER = 1 << 60
"""A step that does not come."""


@dataclass(frozen=True)
class Operand:
    """What a step's pointer points to."""

    place: Place
    offset_bytes: int = 0


@dataclass(frozen=True)
class Step:
    """One kernel's work: its plan, and where x, kernel, bias, extra, y and the workspace lie."""

    plan: Plan
    operands: dict[str, Operand]
    node: Node
    is_packed: bool = False  # the first stage was run when the weights were made


@dataclass(frozen=True)
class HostStep:
    """An island: what the host computes, from and to arrays of its own."""

    node: Node
    inputs: tuple[Stored, ...]
    outputs: tuple[Stored, ...]
    run: Callable[..., tuple[Any, ...]]


@dataclass
class Lowering:
    """The walk over a graph's nodes."""

    graph: Graph
    target: Target
    weights: Weights
    precision: str = "high"
    steps: list[Step | HostStep] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    at: dict[str, Stored] = field(default_factory=dict)
    destinations: dict[str, Stored] = field(default_factory=dict)
    flattened: dict[str, tuple[Stored, Shape]] = field(default_factory=dict)
    """Values that only dense layers read, which was flattened and in which order its axes lie."""
    lookups: list[tuple[str, int]] = field(default_factory=list)
    """Arrays of the call whose numbers choose among so many rows."""

    def run(self) -> list[Step | HostStep]:
        """The steps of the whole graph."""
        for name, value in self.graph.inputs.items():
            self.bind(name, Stored.contiguous(Outside(name), value.shape, value.dtype))
        for node in self.graph.nodes:
            RULES[node.op](self, node)
            for name in {*node.inputs} & {*self.at}:
                self._done_with(name)
        for name in self.graph.outputs:
            self._deliver(name)
        return self.steps

    def _done_with(self, name: str) -> None:
        place = self.at[name].place
        if isinstance(place, Buffer):
            place.pending -= 1

    def bind(self, name: str, stored: Stored) -> None:
        """Say where a value lies."""
        self.at[name] = stored
        if isinstance(stored.place, Buffer):
            readers = sum(name in node.inputs for node in self.graph.nodes)
            stored.place.pending += readers + (name in self.graph.outputs)

    def is_last_reader(self, stored: Stored) -> bool:
        """Does nobody but the present node still want what lies here, so that it may be overwritten?"""
        return isinstance(stored.place, Buffer) and stored.place.pending == 1

    def constant(self, name: str) -> Constant | None:
        """The constant of that name, if it is one."""
        return self.graph.constants.get(name)

    def read(self, name: str) -> Stored:
        """Where a value lies; a constant becomes a weight."""
        constant = self.constant(name)
        if constant is None:
            return self.at[name]
        return Stored.contiguous(self.weights.of(constant, constant.dtype), constant.shape, constant.dtype)

    def buffer(self, num_bytes: int) -> Buffer:
        """A new part of the arena, first touched by the next step."""
        step = len(self.steps)
        self.buffers.append(Buffer(max(num_bytes, 1), step, step))
        return self.buffers[-1]

    def buffer_for(self, count: int, dtype: str) -> Buffer:
        """A new part of the arena for so many numbers."""
        return self.buffer(count * np.dtype(dtype).itemsize)

    def _buffer_of(self, name: str) -> Buffer:
        value = self.graph.values[name]
        return self.buffer_for(prod(value.shape), value.dtype)

    def host_step(self, node: Node, inputs: tuple[Stored, ...], run: Callable[..., tuple[Any, ...]]) -> None:
        """What the host computes from contiguous arrays, into arrays of its own."""
        for x in inputs:
            self.touch(x)
        outputs = []
        for name in node.outputs:
            value = self.graph.values[name]
            outputs.append(Stored.contiguous(Outside(f"island {name}"), value.shape, value.dtype))
        self.steps.append(HostStep(node, inputs, tuple(outputs), run))
        for name, y in zip(node.outputs, outputs, strict=True):
            self.deliver(name, y)

    def buffer_later(self, name: str) -> Buffer:
        """A part of the arena for a value, which some later step is the first to touch."""
        buffer = self._buffer_of(name)
        buffer.first, buffer.last = NEVER, -1
        return buffer

    def touch(self, stored: Stored) -> None:
        """The next step reads or writes it."""
        if isinstance(stored.place, Buffer):
            stored.place.touch(len(self.steps))

    def result(self, name: str, order: Shape | None = None, *, inner: int | None = None) -> Stored:
        """Where a node may put its result: in its destination if that has `inner` as its dense axis, else a new buffer.

        Args:
            name: the value.
            order: of its axes in memory, where nothing else is said.
            inner: the axis whose numbers must lie side by side; all axes must lie in `order` if None.
        """
        value = self.graph.values[name]
        wanted = self.destinations.get(name)
        if wanted is not None and (wanted.is_contiguous(order) if inner is None else wanted.strides[inner] == 1):
            return wanted
        return Stored.contiguous(self._buffer_of(name), value.shape, value.dtype, order)

    def deliver(self, name: str, stored: Stored) -> None:
        """Bind a result, moved to its destination where it is not there yet."""
        wanted = self.destinations.get(name)
        if wanted is not None and wanted != stored:
            self.copy(stored, wanted, self.graph.producer(name))
            stored = wanted
        self.bind(name, stored)

    def _deliver(self, name: str) -> None:
        """Bring an output of the graph into the array of the call."""
        stored = self.read(name)
        output = output_of(self.graph, name)
        if stored.place != output.place:
            self.copy(stored, output, self.graph.producer(name))
            if name in self.at:
                self._done_with(name)

    def step(
        self,
        plan: Plan,
        node: Node | None,
        y: Stored,
        operands: Mapping[str, Stored | Operand | None],
        packed: Weight | None = None,
    ) -> None:
        """Append a step that computes y; operands by the names of a call's pointers."""
        told = {"y": y, **operands}
        pointers = {name: self.operand(what) for name, what in told.items() if what is not None}
        if packed is not None:
            pointers["workspace"] = Operand(packed)
        elif plan.shared_bytes:
            pointers["workspace"] = Operand(self.buffer(plan.shared_bytes))
        for pointer in pointers.values():
            if isinstance(pointer.place, Buffer):
                pointer.place.touch(len(self.steps))
        self.steps.append(Step(plan, pointers, node or Node("map", (), ()), is_packed=packed is not None))

    def operand(self, what: Stored | Operand) -> Operand:
        """The pointer to a stored value."""
        if isinstance(what, Operand):
            return what
        return Operand(what.place, what.offset * np.dtype(what.dtype).itemsize)

    def map(self, expression: Any, operands: list[Stored], result: Stored, node: Node | None) -> None:
        """Compute an expression elementwise; operands are broadcast to the result's shape."""
        if result.size == 0:
            return
        request = Map(
            sizes=result.shape,
            operand_strides=tuple(operand.broadcast(result.shape).strides for operand in operands),
            result_strides=result.strides,
            expression=expression,
            dtype=result.dtype,
        )
        names = ("x", "kernel", "bias", "extra")
        self.step(plan_map(request, self.target), node, result, dict(zip(names, operands, strict=False)))

    def copy(self, source: Stored, result: Stored, node: Node | None) -> None:
        """Move numbers, those of other types bit by bit, as floating-point ones of their size; else the host does."""
        lanes = MOVED_AS.get(np.dtype(result.dtype).itemsize)
        if lanes is not None:
            self.map(0, [replace(source, dtype=lanes)], replace(result, dtype=lanes), node)
            return
        self.touch(source)
        copies = Node("island", (), ("copy",), {"description": "copy", "reason": f"numbers of type {result.dtype}"})
        self.steps.append(HostStep(copies, (source,), (result,), lambda array: (array,)))

    def moved(self, stored: Stored, order: Shape | None, node: Node) -> Stored:
        """The value contiguous in that order: where it lies, or moved to a new buffer."""
        if stored.is_contiguous(order):
            return stored
        result = Stored.contiguous(self.buffer(stored.num_bytes), stored.shape, stored.dtype, order)
        self.copy(stored, result, node)
        return result

    def channels_last(self, name: str, layout: str, node: Node) -> Stored:
        """An input of a node with its channels innermost and no gaps."""
        return self.moved(self.read(name), channels_last(layout), node)


def output_of(graph: Graph, name: str) -> Stored:
    """Where the call wants an output."""
    value = graph.value(name)
    return Stored.contiguous(Outside(f"output {graph.outputs.index(name)}"), value.shape, value.dtype)


Rule = Callable[[Lowering, Node], None]
RULES: dict[str, Rule] = {}
"""One rule for each op, from the files beside this one."""


def rule(op: str) -> Callable[[Rule], Rule]:
    """Register the rule of an op."""

    def keep(function: Rule) -> Rule:
        RULES[op] = function
        return function

    return keep
