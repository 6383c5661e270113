"""One step of a stream, planned: it runs the graph of a chunk on what the stream remembers."""

from collections.abc import Mapping, Sequence
from typing import Any

from faltung.graph.graph import Array
from faltung.graph.program import Context, Program
from faltung.graph.weights import Weights
from faltung.streams.memory import Memory
from faltung.streams.step_graph import StepGraph

Layout = tuple[tuple[int, ...], Any]
EXACT = "exact"
"""The precision of streams: its sums have one order, whatever the length of a chunk."""


class Step:
    """What chunks of one length and phase run; `empty` tells what the network's outputs are where none is complete."""

    def __init__(self, what: StepGraph, empty: Mapping[str, Layout], weights: Weights) -> None:
        self.what, self.program = what, Program(what.graph, weights, EXACT)
        self._layouts = [(shape, dtype) for shape, dtype, _ in self.program.layouts]
        self.outputs = [*{**empty, **dict(zip(what.returned, self._layouts, strict=False))}.values()]
        self._returned = [n for n, name in enumerate(empty) if name in what.returned]
        self._is_direct = (
            self.program.single is not None
            and self.program.is_alone
            and len(what.given) <= 1
            and len(what.returned) <= 1
        )
        self._contexts: list[tuple[int, Context] | None] = [None, None]

    def run(self, memory: Memory, given: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Compute from what is given and kept the outputs of the network, and what is kept next."""
        returned = [outputs[n] for n in self._returned]
        if self._is_direct:
            context = self._context(memory)
            self.program.run_bound(context, given[0] if given else None, returned[0] if returned else None)
        elif self.program.steps:
            kept = self._carried_out(memory)  # first, since the memory may grow for it
            self.program.run([*given, *self._carried_in(memory)], [*returned, *kept])
        memory.side = 1 - memory.side

    def _context(self, memory: Memory) -> Context:
        """The places of a call for the present side of the memory, which only move when that grows."""
        known = self._contexts[memory.side]
        if known is not None and known[0] == memory.generation:
            return known[1]
        outputs = self._carried_out(memory)  # first, since the memory may grow for them
        names = list(self.what.graph.inputs)[len(self.what.given) :]
        arrays = dict(zip(names, self._carried_in(memory), strict=True))
        arrays |= {f"output {len(self.what.returned) + n}": array for n, array in enumerate(outputs)}
        context = self.program.bound(arrays)
        self._contexts[memory.side] = memory.generation, context
        return context

    def _carried_in(self, memory: Memory) -> list[Array]:
        graph = self.what.graph
        return [
            memory.array(name, graph.inputs[place].shape, memory.side)
            for name, place in zip(self.what.carried_in, list(graph.inputs)[len(self.what.given) :], strict=True)
        ]

    def _carried_out(self, memory: Memory) -> list[Array]:
        shapes = [shape for shape, _ in self._layouts[len(self.what.returned) :]]
        return [
            memory.array(name, shape, 1 - memory.side)
            for name, shape in zip(self.what.carried_out, shapes, strict=True)
        ]
