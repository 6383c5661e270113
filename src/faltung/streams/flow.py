"""Which axis of each value of a graph is time, and how each node's outputs depend on its inputs along it.

What needs the whole signal is refused by name, with the reason and a way out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod

from faltung.errors import ModelError
from faltung.graph.graph import Graph, Node
from faltung.graph.lower_rest import order_hints
from faltung.graph.shapes import kernel_sizes, spatial_axes
from faltung.spec.geometry import window_size
from faltung.streams.reach import SAME, Reach, Repeat, Spread, Window


class NotStreamable(ModelError):
    """A network that needs the whole signal."""

    reached = 0
    """Nodes that run chunk by chunk before the one that does not."""


Axes = dict[str, int]
"""Of each value that flows: the axis that is time. What is missing is constant."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A node along time: the axis of its result, and how that depends on each input that flows, by its place."""

    node: Node
    axis: int
    reaches: Mapping[int, Reach]

    def inputs(self) -> Iterator[tuple[str, Reach]]:
        """The inputs that flow."""
        return ((self.node.inputs[place], reach) for place, reach in self.reaches.items())

    def complete(self, available: Mapping[str, int]) -> int:
        """Outputs that can be computed while the signal goes on."""
        return min(reach.complete(available[name]) for name, reach in self.inputs())

    def total(self, sizes: Mapping[str, int]) -> int:
        """Outputs of a signal that has ended."""
        return min(reach.total(sizes[name]) for name, reach in self.inputs())


@dataclass(frozen=True, slots=True)
class Span:
    """What output o of a value depends on, in inputs of the network from o / rate on."""

    rate: Fraction
    first: Fraction
    last: Fraction
    middle: Fraction


@dataclass(frozen=True)
class Flows:
    """A graph along time."""

    graph: Graph
    axes: Axes
    nodes: tuple[Flow, ...]
    spans: Mapping[str, Span]
    orders: Mapping[str, tuple[int, ...]]
    """Of each value: its axes as they probably lie in memory."""

    @property
    def period(self) -> int:
        """Inputs after which everything repeats."""
        return lcm(*(span.rate.denominator for span in self.spans.values()))

    def counts(self, given: int) -> dict[str, int]:
        """What is complete of each value after so many inputs."""
        counts = dict.fromkeys(self.graph.inputs, given)
        for flow in self.nodes:
            counts[flow.node.output] = flow.complete(counts)
        return counts

    def totals(self, given: int) -> dict[str, int]:
        """What there is of each value if the signal ends after so many inputs."""
        totals = dict.fromkeys(self.graph.inputs, given)
        for flow in self.nodes:
            totals[flow.node.output] = flow.total(totals)
        return totals


def flows(graph: Graph, axes: Axes) -> Flows:
    """The graph along these axes of its inputs.

    Raises:
        ModelError: what cannot be computed chunk by chunk, by name, with the reason and a way out.
    """
    known, found = dict(axes), list[Flow]()
    spans = {name: Span(Fraction(1), Fraction(0), Fraction(0), Fraction(0)) for name in axes}
    for node in graph.nodes:
        if known.keys().isdisjoint(node.inputs):
            raise _refusal(node, "its inputs are all constant", "compute it once, and give it to the network")
        try:
            axis, reaches = RULES.get(node.op, _unknown)(graph, node, known)
            flow = Flow(node, axis, reaches)
            spans[node.output] = _span(flow, spans)
        except NotStreamable as refusal:
            refusal.reached = len(found)
            raise
        found.append(flow)
        known[node.output] = axis
    return Flows(graph, known, tuple(found), spans, order_hints(graph))


def _span(flow: Flow, spans: Mapping[str, Span]) -> Span:
    parts = []
    for name, reach in flow.inputs():
        before, (first, last, middle) = spans[name], reach.span
        rate = before.rate
        parts.append(
            Span(
                rate * reach.rate,
                before.first + first / rate,
                before.last + last / rate,
                before.middle + middle / rate,
            )
        )
    rates = {part.rate for part in parts}
    if len(rates) > 1:
        got = " and ".join(map(str, sorted(rates)))
        raise _refusal(flow.node, f"it joins {got} outputs per input", "bring both to one rate first")
    # where branches meet, the middle is that of the branch that sees farthest
    widest = max(parts, key=lambda part: part.last - part.first)
    return Span(widest.rate, min(p.first for p in parts), max(p.last for p in parts), widest.middle)


def _refusal(node: Node, reason: str, way_out: str) -> NotStreamable:
    return NotStreamable(
        f"stream: {node.name or node.output} ({node.op}) cannot run chunk by chunk: {reason}; {way_out}."
    )


WHOLE = "it needs the whole signal"
_Found = tuple[int, dict[int, Reach]]


def _unknown(graph: Graph, node: Node, axes: Axes) -> _Found:
    if node.op == "island":
        raise _refusal(
            node, f"the host computes {node['description']}", "stream the parts before and behind it, each by itself"
        )
    raise _refusal(node, f"faltung knows no way to run {node.op} along time", "leave it behind the stream")


def _place(node: Node, axes: Axes) -> int:
    """The place of time among the spatial axes of a node with a layout."""
    spatial, time = spatial_axes(node["layout"]), axes[node.inputs[0]]
    if time not in spatial:
        raise _refusal(node, f"it mixes what lies along axis {time}, its channels", f"stream along axis {spatial[0]}")
    return spatial.index(time)


def _windows(graph: Graph, node: Node, axes: Axes) -> _Found:
    place = _place(node, axes)
    if node.op == "conv" and node["padding_mode"] != "zeros" and any(node["padding"][place]):
        raise _refusal(
            node, f'padding "{node["padding_mode"]}" at the end reads the end', 'pad with zeros, "causal" or "valid"'
        )
    taps = node["kernel_size"] if node.op == "pool" else kernel_sizes(node, graph.shape(node.inputs[1]))[0]
    low, high = node["padding"][place]
    reach = Window(
        window_size(taps[place], node["dilation"][place]),
        node["stride"][place],
        low,
        high,
        overhangs=bool(node.attributes.get("ceil_mode")),
    )
    residual = {len(node.inputs) - 1: SAME} if node.attributes.get("adds") else {}
    return axes[node.inputs[0]], {0: reach, **residual}


def _transposed(graph: Graph, node: Node, axes: Axes) -> _Found:
    place = _place(node, axes)
    taps = kernel_sizes(node, graph.shape(node.inputs[1]))[0]
    low, high = node["padding"][place]
    window = window_size(taps[place], node["dilation"][place])
    reach = Spread(window, node["stride"][place], low, high, node["output_padding"][place])
    return axes[node.inputs[0]], {0: reach}


def _resize(graph: Graph, node: Node, axes: Axes) -> _Found:
    _place(node, axes)
    x, time = graph.shape(node.inputs[0]), axes[node.inputs[0]]
    shape = graph.shape(node.output)
    factor, rest = divmod(shape[time], x[time])
    is_whole = node["mode"] == "nearest" and all(shape[axis] % x[axis] == 0 for axis in spatial_axes(node["layout"]))
    if rest or factor < 1 or (factor > 1 and not is_whole):
        reason = f"{node['mode']} resizing from {x[time]} to {shape[time]} depends on the length"
        raise _refusal(node, reason, 'repeat each step a whole number of times, "nearest"')
    return time, {0: Repeat(factor) if factor > 1 else SAME}


def _adaptive(graph: Graph, node: Node, axes: Axes) -> _Found:
    _place(node, axes)
    time = axes[node.inputs[0]]
    if graph.shape(node.output)[time] != graph.shape(node.inputs[0])[time]:
        raise _refusal(node, f"{WHOLE}, whose length sets its windows", "pool with a window and a stride of their own")
    return time, {0: SAME}


def _pad(graph: Graph, node: Node, axes: Axes) -> _Found:
    time = axes[node.inputs[0]]
    low, high = node["padding"][time]
    if node["mode"] != "constant" and (low > 0 or high > 0):
        raise _refusal(
            node, f'padding "{node["mode"]}" at the end reads the end', 'pad with zeros, "causal" or "valid"'
        )
    return time, {0: Window(low=low, high=high)}


def _slice(graph: Graph, node: Node, axes: Axes) -> _Found:
    time = axes[node.inputs[0]]
    start, stop, step = (node[what][time] for what in ("starts", "stops", "steps"))
    size = graph.shape(node.inputs[0])[time]
    start = start or 0
    if stop is not None and stop >= size:
        stop = None
    if start < 0 or step < 1 or (stop is not None and stop >= 0):
        raise _refusal(node, "it takes a part whose place depends on the length", "take it behind the stream")
    return time, {0: Window(stride=step, low=-start, high=stop or 0)}


def _joined(graph: Graph, node: Node, axes: Axes) -> _Found:
    """Elementwise, with NumPy's broadcasting: what flows must flow along one axis, what is constant be constant."""
    rank = len(graph.shape(node.output))
    aligned = {
        place: axes[name] + rank - len(graph.shape(name)) for place, name in enumerate(node.inputs) if name in axes
    }
    if len({*aligned.values()}) > 1:
        raise _refusal(node, "its inputs flow along different axes", "transpose one of them")
    time = next(iter(aligned.values()))
    for name in node.inputs:
        place = time - rank + len(graph.shape(name))
        if name not in axes and place >= 0 and graph.shape(name)[place] != 1:
            raise _refusal(node, "it meets a constant as long as the signal", "give that as a further input")
    return time, dict.fromkeys(aligned, SAME)


def _concat(graph: Graph, node: Node, axes: Axes) -> _Found:
    if any(name not in axes for name in node.inputs):
        raise _refusal(node, "it joins a constant as long as the signal", "give that as a further input")
    time, reaches = _joined(graph, node, axes)
    if node["axis"] % len(graph.shape(node.output)) == time:
        raise _refusal(node, "it puts one signal behind the other", "join along the channels")
    return time, reaches


def _per_step(*mixed: Callable[[Node, int], set[int]]) -> Callable[[Graph, Node, Axes], _Found]:
    """The rule of what computes each step by itself, unless time is among the axes that it mixes."""

    def rule(graph: Graph, node: Node, axes: Axes) -> _Found:
        x, time = graph.shape(node.inputs[0]), axes[node.inputs[0]]
        if time in mixed[0](node, len(x)):
            raise _refusal(node, WHOLE, _WAYS_OUT.get(node.op, "stream along another axis"))
        return time, {0: SAME}

    return rule


_WAYS_OUT = {
    "reduce": "pool with a window, or reduce what the stream returns",
    "group_norm": "use batch norm, or layer norm over the channels",
    "softmax": "take it along the channels",
    "layer_norm": "normalise the channels alone",
}


def _reduce(graph: Graph, node: Node, axes: Axes) -> _Found:
    rank = len(graph.shape(node.inputs[0]))
    time, reaches = _per_step(lambda node, rank: {axis % rank for axis in node["axes"]})(graph, node, axes)
    gone = 0 if node["keeps_axes"] else sum(axis % rank < time for axis in node["axes"])
    return time - gone, reaches


def _transpose(graph: Graph, node: Node, axes: Axes) -> _Found:
    return tuple(node["axes"]).index(axes[node.inputs[0]]), {0: SAME}


def _reshape(graph: Graph, node: Node, axes: Axes) -> _Found:
    x, shape, time = graph.shape(node.inputs[0]), graph.shape(node.output), axes[node.inputs[0]]
    before = prod(x[:time])
    for axis, size in enumerate(shape):
        if size == x[time] and prod(shape[:axis]) == before:
            return axis, {0: SAME}
    raise _refusal(node, "it flattens time together with other axes", "pool over windows, or convolve to one output")


def _expand(graph: Graph, node: Node, axes: Axes) -> _Found:
    time = axes[node.inputs[0]] + len(graph.shape(node.output)) - len(graph.shape(node.inputs[0]))
    return time, {0: SAME}


RULES: dict[str, Callable[[Graph, Node, Axes], _Found]] = {
    "conv": _windows,
    "pool": _windows,
    "conv_transpose": _transposed,
    "resize": _resize,
    "adaptive_pool": _adaptive,
    "pad": _pad,
    "slice": _slice,
    "map": _joined,
    "concat": _concat,
    "reduce": _reduce,
    "transpose": _transpose,
    "reshape": _reshape,
    "expand": _expand,
    "embedding": _per_step(lambda node, rank: set()),
    "dense": _per_step(lambda node, rank: {rank - 1}),
    "softmax": _per_step(lambda node, rank: {node["axis"] % rank}),
    "layer_norm": _per_step(lambda node, rank: {*range(rank - node["num_axes"], rank)}),
    "group_norm": _per_step(lambda node, rank: {*range(1, rank)}),
}
"""One for each op; batch norms are maps by now, and islands are the host's."""
