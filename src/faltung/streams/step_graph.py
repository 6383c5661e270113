"""The part of a network that one chunk makes possible, as a graph: carried inputs in, outputs and carried inputs out.

Each value keeps the inputs that nodes behind it still need. New ones are put behind them, and each node runs over the
outputs that have become complete, by the same op with the padding that its first and last windows still meet.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from faltung.graph.graph import Constant, Graph, Node, Value
from faltung.graph.shapes import infer, spatial_axes
from faltung.streams.flow import Flow, Flows
from faltung.streams.reach import Reach, Repeat, Spread


@dataclass(frozen=True)
class Moment:
    """After some inputs: what is complete of each value, and from which index on it is kept."""

    complete: Mapping[str, int]
    kept_from: Mapping[str, int]

    def kept(self, name: str) -> int:
        """How many of a value are kept."""
        return self.complete[name] - self.kept_from[name]


def moment(flows: Flows, given: int) -> Moment:
    """What is complete and kept after so many inputs."""
    complete = flows.counts(given)
    kept = dict(complete)
    for flow in flows.nodes:
        done = complete[flow.node.output]
        for name, reach in flow.inputs():
            kept[name] = min(kept[name], max(0, reach.first(done, complete[name])))
    return Moment(complete, kept)


def is_steady(flows: Flows, given: int) -> bool:
    """Have all beginnings passed, so that from here on everything repeats?"""
    complete = flows.counts(given)
    return all(
        complete[flow.node.output] > 0 and reach.first(complete[flow.node.output], complete[name]) > 0
        for flow in flows.nodes
        for name, reach in flow.inputs()
    )


@dataclass(frozen=True)
class StepGraph:
    """The graph of one chunk: what it takes and returns, in the order of its inputs and outputs."""

    graph: Graph
    given: tuple[str, ...]  # inputs of the network that bring something
    carried_in: tuple[str, ...]  # values whose kept inputs it reads
    returned: tuple[str, ...]  # outputs of the network that it completes some of
    carried_out: tuple[str, ...]  # values that are kept


def step_graph(flows: Flows, before: Moment, after: Moment, *, is_end: bool) -> StepGraph:
    """The graph that takes a stream from one moment to a later one; `after` holds totals where the signal ends."""
    return _Walk(flows, before, after, is_end).graph()


class _Walk:
    """The walk over the nodes."""

    def __init__(self, flows: Flows, before: Moment, after: Moment, is_end: bool) -> None:
        self.flows, self.before, self.after, self.is_end = flows, before, after, is_end
        self.nodes: list[Node] = []
        self.inputs: dict[str, Value] = {}
        self.constants: dict[str, Constant] = dict(flows.graph.constants)
        self.whole: dict[str, str] = {}  # the kept and the new inputs of a value, one behind the other
        self.new: dict[str, str] = {}

    def graph(self) -> StepGraph:
        """The graph, and what its inputs and outputs are."""
        source, before, after = self.flows.graph, self.before, self.after
        given = tuple(name for name in source.inputs if after.complete[name] > before.complete[name])
        for name in given:
            self.inputs[name] = Value(
                self._shape(name, after.complete[name] - before.complete[name]), _dtype(source, name)
            )
            self.new[name] = name
        carried_in = tuple(name for name in self.flows.axes if before.kept(name))
        for name in carried_in:
            self._carry_in(name)
        for name in source.inputs:
            self._join(name)
        for flow in self.flows.nodes:
            if after.complete[flow.node.output] > before.complete[flow.node.output]:
                self._run(flow)
            self._join(flow.node.output)
        returned = tuple(name for name in source.outputs if name in self.new)
        carried_out = () if self.is_end else tuple(name for name in self.flows.axes if after.kept(name))
        outputs = (*(self.new[name] for name in returned), *map(self._carry_out, carried_out))
        graph = Graph(self.inputs, self.constants, tuple(self.nodes), outputs)
        return StepGraph(infer(graph), given, carried_in, returned, carried_out)

    def _shape(self, name: str, count: int) -> tuple[int, ...]:
        """The shape of a value with so many steps of time."""
        shape = list(self.flows.graph.shape(name))
        shape[self.flows.axes[name]] = count
        return tuple(shape)

    def _add(self, op: str, inputs: tuple[str, ...], name: str, **attributes: Any) -> str:
        self.nodes.append(Node(op, inputs, (name,), attributes))
        return name

    def _carry_in(self, name: str) -> None:
        """What is kept lies in the order in which kernels read it."""
        order, shape = self.flows.orders[name], self._shape(name, self.before.kept(name))
        self.inputs[f"carried {name}"] = Value(tuple(shape[axis] for axis in order), _dtype(self.flows.graph, name))
        axes = tuple(order.index(axis) for axis in range(len(order)))
        self._add("transpose", (f"carried {name}",), f"kept {name}", axes=axes)

    def _carry_out(self, name: str) -> str:
        part = self._part(name, self.after.kept_from[name], self.after.complete[name])
        return self._add("transpose", (part,), f"to keep of {name}", axes=self.flows.orders[name])

    def _join(self, name: str) -> None:
        kept, new = f"kept {name}", self.new.get(name)
        if self.before.kept(name) and new is not None:
            self.whole[name] = self._add("concat", (kept, new), f"whole {name}", axis=self.flows.axes[name])
        elif self.before.kept(name):
            self.whole[name] = kept
        elif new is not None:
            self.whole[name] = new

    def _part(self, name: str, start: int, stop: int) -> str:
        """Steps start … stop of a value."""
        first = self.before.kept_from[name]
        if (start, stop) == (first, self.after.complete[name]):
            return self.whole[name]
        rank, time = len(self.flows.graph.shape(name)), self.flows.axes[name]
        starts, stops = [0] * rank, [None] * rank
        starts[time], stops[time] = start - first, stop - first  # type: ignore[call-overload]
        return self._add(
            *("slice", (self.whole[name],), f"part {len(self.nodes)} of {name}"),
            starts=tuple(starts),
            stops=tuple(stops),
            steps=(1,) * rank,
        )

    def _run(self, flow: Flow) -> None:
        """The node over the outputs that have become complete."""
        node = flow.node
        begin, end = self.before.complete[node.output], self.after.complete[node.output]
        inputs, attributes = list(node.inputs), {}
        for place, reach in flow.reaches.items():
            name = node.inputs[place]
            first, last, padding = self._reads(name, reach, begin, end)
            if first < last:
                inputs[place] = self._part(name, first, last)
            else:  # all that it reads is padding
                inputs[place], padding = self._filled(node, name, sum(padding)), (0, 0)
            if place == 0:
                attributes = self._attributes(flow, padding, end - begin)
        self.nodes.append(node.having(inputs=tuple(inputs), **attributes))
        self.new[node.output] = node.output

    def _reads(self, name: str, reach: Reach, begin: int, end: int) -> tuple[int, int, tuple[int, int]]:
        """Which steps of an input outputs begin … end read, and what is padded before and behind them."""
        available = self.after.complete[name]
        if isinstance(reach, Spread):
            first = reach.first(begin, self.before.complete[name])
            low = begin + reach.low - first * reach.stride
            full = (available - first - 1) * reach.stride + reach.window
            return first, available, (low, full - low - (end - begin))
        if isinstance(reach, Repeat):
            return begin // reach.factor, end // reach.factor, (0, 0)
        start, stop = reach.first(begin, available), reach.first(end - 1, available) + reach.window
        behind = stop - available
        if reach.overhangs:  # what lies behind the padding counts nowhere
            behind = min(behind, max(reach.high, 0))
        elif behind < 0 <= reach.high and self._all(reach)(available) == end:  # steps that begin no window do no harm
            stop = available
        return max(start, 0), min(stop, available), (max(-start, 0), max(behind, 0))

    def _all(self, reach: Reach) -> Callable[[int], int]:
        return reach.total if self.is_end else reach.complete

    def _filled(self, node: Node, name: str, count: int) -> str:
        """A constant where a node reads nothing but padding."""
        value = node["value"] if node.op == "pad" else 0.0
        constant = f"padding {len(self.constants)}"
        array = np.full(self._shape(name, count), value, _dtype(self.flows.graph, name))
        self.constants[constant] = Constant.of(array)
        return constant

    def _attributes(self, flow: Flow, padding: tuple[int, int], count: int) -> dict[str, Any]:
        """What of a node's attributes speaks of its length."""
        node, shape = flow.node, self._shape(flow.node.output, count)
        time = self.flows.axes.get(node.inputs[0], -1)
        low, high = padding
        if node.op == "pad":
            return {"padding": with_entry(node["padding"], time, padding)}
        if node.op == "slice":
            return {"starts": with_entry(node["starts"], time, 0), "stops": with_entry(node["stops"], time, None)}
        if node.op in ("reshape", "expand"):
            return {"shape": shape}
        if "layout" not in node.attributes:
            return {}
        axes = spatial_axes(node["layout"])
        if node.op in ("resize", "adaptive_pool"):
            return {"out_size": tuple(shape[axis] for axis in axes)}
        place = axes.index(time)
        if node.op == "conv_transpose":
            more = with_entry(node["output_padding"], place, max(-high, 0))
            return {"padding": with_entry(node["padding"], place, (low, max(high, 0))), "output_padding": more}
        return {"padding": with_entry(node["padding"], place, padding)}


def with_entry(numbers: tuple[Any, ...], place: int, number: Any) -> tuple[Any, ...]:
    """The numbers with another one at a place."""
    return (*numbers[:place], number, *numbers[place + 1 :])


def _dtype(graph: Graph, name: str) -> str:
    return graph.value(name).dtype
