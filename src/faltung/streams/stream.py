"""A network run chunk by chunk: `stream(chunk)` returns the outputs that have become complete."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from faltung.errors import DtypeError, ModelError, ShapeError
from faltung.graph.graph import Array, Graph
from faltung.graph.network import as_given
from faltung.graph.weights import Weights
from faltung.streams.flow import Flows
from faltung.streams.memory import Memory
from faltung.streams.step import Step
from faltung.streams.step_graph import Moment, is_steady, moment, step_graph, with_entry

MOST_STEPS = 256
"""Plans that a stream keeps, one for each length of a chunk and phase; the one unused longest goes first."""

State = dict[str, Array]


class Stream:
    """A network that takes its signal in chunks: what `ft.stream(model)` returns.

    `stream(chunk)` takes any number of steps along time, none included, and returns those outputs that no later input
    can change. All outputs together, those of `flush()` last, are the outputs of the network for the whole signal.

    Weights are those at the time when the stream was made. A stream belongs to one signal, or to a batch of signals
    that run side by side, and to one thread at a time.

    Arguments:
        flows: the graph along time.
        flatten: arguments and keywords of a call → the graph's inputs in their order.
        assemble: the graph's outputs in their order → what the model returns.
    """

    def __init__(
        self, flows: Flows, *, flatten: Callable[[Any, Any], list[Any]], assemble: Callable[[list[Array]], Any]
    ) -> None:
        self.flows, self._flatten, self._assemble = flows, flatten, assemble
        self._weights = Weights()
        self._steps: OrderedDict[tuple[int, int, bool], Step] = OrderedDict()
        self._period, self._steady = flows.period, _first_steady(flows)
        self._inputs, self._outputs = self._layouts(flows.graph.inputs), self._layouts(flows.graph.outputs)
        self._memory, self._given, self._has_ended = Memory(flows), 0, False
        mark = np.empty(0)
        self._is_plain = len(self._inputs) == len(self._outputs) == 1 and assemble([mark]) is mark

    @property
    def graph(self) -> Graph:
        """The network's graph, for its batch."""
        return self.flows.graph

    def __call__(self, *chunk: Any, **keywords: Any) -> Any:
        """The outputs that these inputs complete, in arrays of their kind.

        Raises:
            ShapeError: a chunk that differs from the stream's inputs in more than its length.
            DtypeError: for what are no numbers.
            ModelError: after `flush()`, before `reset()`.
        """
        if self._is_plain and len(chunk) == 1 and type(chunk[0]) is np.ndarray and not keywords:
            return self._advance([self._checked(0, chunk[0])], is_end=False)[0]
        given = self._flatten(chunk, keywords)
        outputs = self._advance([self._checked(n, array) for n, array in enumerate(given)], is_end=False)
        return self._assemble([as_given(y, given[0]) for y in outputs])

    def flush(self) -> Any:
        """The outputs that the end of the signal completes, with the padding that the network puts behind it."""
        nothing = [np.empty(with_entry(shape, axis, 0), dtype) for shape, axis, dtype in self._inputs]
        outputs = self._advance(nothing, is_end=True)
        self._has_ended = True
        return self._assemble(outputs)

    def reset(self) -> None:
        """Begin a new signal."""
        self._given, self._has_ended = 0, False

    def state(self) -> State:
        """All that the stream remembers, as arrays: `np.savez(file, **stream.state())` saves them."""
        kept = {} if self._has_ended else self._memory.now(self._now())
        told = {"given": np.array(self._given), "has_ended": np.array(self._has_ended)}
        return {**told, **{f"kept {name}": array.copy() for name, array in kept.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state of this stream, or of one of the same network and batch in another process.

        Raises:
            ShapeError: the state of another network or batch.
        """
        given, has_ended = int(state["given"]), bool(state["has_ended"])
        places = {} if has_ended else self._memory.now(moment(self.flows, self._phase(given)))
        found = {name: np.asarray(state[key]) for name in places if (key := f"kept {name}") in state}
        for name, place in places.items():
            got = found[name].shape if name in found else None
            if got != place.shape:
                raise ShapeError(f"stream: the state must hold {name} of shape {place.shape}; got {got}.")
        for name, place in places.items():
            place[...] = found[name]
        self._given, self._has_ended = given, has_ended

    @property
    def rate(self) -> Fraction | tuple[Fraction, ...]:
        """Outputs for each input, of each output of the network if there are several."""
        rates = tuple(self.flows.spans[name].rate for name in self.graph.outputs)
        return rates[0] if len(rates) == 1 else rates

    @property
    def latency(self) -> float:
        """Inputs that must have come after that at an output's own place, before the output is complete."""
        return max(0.0, *(float(self.flows.spans[name].last) for name in self.graph.outputs))

    @property
    def delay(self) -> float:
        """Inputs between the one in the middle of all that an output depends on, and the last of them."""
        spans = (self.flows.spans[name] for name in self.graph.outputs)
        return max(float(span.last - span.middle) for span in spans)

    @property
    def receptive_field(self) -> int:
        """Inputs that an output depends on, from the first to the last."""
        spans = (self.flows.spans[name] for name in self.graph.outputs)
        return max(int(span.last - span.first) + 1 for span in spans)

    @property
    def min_input(self) -> int:
        """Inputs that give the first output of each output of the network."""
        fewest, enough = 0, self._steady
        while fewest < enough:
            middle = (fewest + enough) // 2
            counts = self.flows.counts(middle)
            if all(counts[name] for name in self.graph.outputs):
                enough = middle
            else:
                fewest = middle + 1
        return fewest

    @property
    def state_bytes(self) -> int:
        """Bytes of what is kept between two chunks, once the beginning has passed."""
        return sum(map(self.kept_bytes, self.flows.axes))

    @property
    def steady_moment(self) -> Moment:
        """What is complete and kept at some moment after the beginning."""
        return moment(self.flows, self._steady)

    def kept_bytes(self, name: str) -> int:
        """Bytes of what is kept of a value, once the beginning has passed."""
        return self._memory.kept_bytes(name, self.steady_moment)

    def explain(self) -> str:
        """Each layer along time: its rate, how far it looks ahead, and what is kept of its result."""
        from faltung.streams.explain import explain  # which knows streams

        return explain(self)

    def _now(self) -> Moment:
        return moment(self.flows, self._phase(self._given))

    def _layouts(self, names: Iterable[str]) -> list[tuple[tuple[int, ...], int, Any]]:
        """Shape, axis of time and element type of values."""
        values = ((self.graph.value(name), self.flows.axes[name]) for name in names)
        return [(value.shape, axis, np.dtype(value.dtype)) for value, axis in values]

    def _checked(self, n: int, array: Any) -> Array:
        """An input as a contiguous array of the network's element type."""
        shape, axis, dtype = self._inputs[n]
        found = np.asarray(array.detach() if hasattr(array, "detach") else array)
        if found.ndim != len(shape) or found.shape != with_entry(shape, axis, found.shape[axis]):
            asked = ", ".join("any" if n == axis else str(size) for n, size in enumerate(shape))
            raise ShapeError(f"stream: input {n} takes chunks of shape ({asked}); got {found.shape}.")
        if found.dtype.kind not in "biuf":
            raise DtypeError(f"stream: input {n} must be {dtype}; got {found.dtype}. Convert it first.")
        return found if found.dtype == dtype and found.flags.c_contiguous else np.ascontiguousarray(found, dtype)

    def _advance(self, chunk: Sequence[Array], *, is_end: bool) -> list[Array]:
        """Run one step, and keep what the next one needs."""
        if self._has_ended:
            raise ModelError("stream: the signal has ended with flush(). Call reset() to begin another.")
        length, *others = (array.shape[axis] for array, (_, axis, _) in zip(chunk, self._inputs, strict=True))
        if any(other != length for other in others):
            raise ShapeError(f"stream: all inputs take the same number of steps; got {[length, *others]}.")
        step = self._step(length, is_end)
        outputs = [np.empty(shape, dtype) for shape, dtype in step.outputs]
        step.run(self._memory, chunk if length else (), outputs)
        self._given += length
        return outputs

    def _phase(self, given: int) -> int:
        """An early moment that differs from that one in nothing but a whole number of periods."""
        if given < self._steady:
            return given
        return self._steady + (given - self._steady) % self._period

    def _step(self, length: int, is_end: bool) -> Step:
        """The plan for a chunk of that length now."""
        key = (self._phase(self._given), length, is_end)
        step = self._steps.get(key)
        if step is None:
            before, end = moment(self.flows, key[0]), key[0] + length
            after = Moment(self.flows.totals(end), {}) if is_end else moment(self.flows, end)
            what = step_graph(self.flows, before, after, is_end=is_end)
            empty = {
                name: (with_entry(shape, axis, 0), dtype)
                for name, (shape, axis, dtype) in zip(self.graph.outputs, self._outputs, strict=True)
            }
            step = self._steps[key] = Step(what, empty, self._weights)
            if len(self._steps) > MOST_STEPS:
                self._steps.popitem(last=False)
        self._steps.move_to_end(key)
        return step


def _first_steady(flows: Flows) -> int:
    """Some number of inputs, whole periods, after which everything repeats."""
    given = flows.period
    while not is_steady(flows, given):
        given *= 2
    return given
