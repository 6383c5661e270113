"""A network run chunk by chunk: `stream(chunk)` returns the outputs that have become complete."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from faltung.errors import DtypeError, ModelError, ShapeError
from faltung.graph.graph import Array, Graph
from faltung.graph.program import Program
from faltung.graph.weights import Weights
from faltung.stream.flow import Flows
from faltung.stream.step import Moment, StepGraph, is_steady, moment, step_graph

MOST_STEPS = 256
"""Plans that a stream keeps, one for each length of a chunk and phase; the one unused longest goes first."""

State = dict[str, Array]


@dataclass(frozen=True)
class _Step:
    """What one chunk runs."""

    what: StepGraph
    program: Program


class Stream:
    """A network that takes its signal in chunks: what `ft.stream(model)` returns.

    `stream(chunk)` takes any number of steps along time, none included, and returns those outputs that no later input
    can change. All outputs together, those of `flush()` last, are the outputs of the network for the whole signal.

    Weights are those at the time when the stream was made. A stream belongs to one signal (of any batch), and to one
    thread at a time.
    """

    def __init__(
        self,
        flows: Flows,
        *,
        flatten: Callable[[Any, Any], list[Any]],
        assemble: Callable[[list[Array]], Any],
    ) -> None:
        self.flows = flows
        self._flatten, self._assemble = flatten, assemble
        self._weights = Weights()
        self._steps: OrderedDict[tuple[int, int, bool], _Step] = OrderedDict()
        self._period, self._steady = flows.period, _first_steady(flows)
        self._given, self._kept, self._has_ended = 0, State(), False

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
        return self._assemble(self._advance(self._checked(self._flatten(chunk, keywords)), is_end=False))

    def flush(self) -> Any:
        """The outputs that the end of the signal completes, with the padding that the network puts behind it."""
        nothing = [np.empty(_with_time(shape, axis, 0), dtype) for shape, axis, dtype in self._layouts(self.graph.inputs)]
        outputs = self._advance(nothing, is_end=True)
        self._has_ended = True
        return self._assemble(outputs)

    def reset(self) -> None:
        """Begin a new signal."""
        self._given, self._kept, self._has_ended = 0, State(), False

    def state(self) -> State:
        """All that the stream remembers, as arrays: `np.savez(file, **stream.state())` saves them."""
        kept = {f"kept {name}": array.copy() for name, array in self._kept.items()}
        return {"given": np.array(self._given), "has_ended": np.array(self._has_ended), **kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, of this stream or of one of the same network in another process.

        Raises:
            ShapeError: the state of another network or batch.
        """
        given = int(state["given"])
        now = moment(self.flows, self._phase(given))
        kept = State()
        for name in self.flows.axes:
            if not now.kept(name) or bool(state["has_ended"]):
                continue
            value = self.graph.value(name)
            shape = _with_time(value.shape, self.flows.axes[name], now.kept(name))
            wanted = tuple(shape[axis] for axis in self.flows.orders[name])
            found = np.ascontiguousarray(state[f"kept {name}"] if f"kept {name}" in state else [], value.dtype)
            if found.shape != wanted:
                raise ShapeError(f"stream: the state must hold {name} of shape {wanted}; got {found.shape}.")
            kept[name] = found.copy()
        self._given, self._kept, self._has_ended = given, kept, bool(state["has_ended"])

    def _checked(self, arrays: Sequence[Any]) -> list[Array]:
        """A chunk as contiguous arrays of the network's element types, all of the same number of steps."""
        found, lengths = [], set()
        for name, array, (shape, axis, dtype) in zip(
            self.graph.inputs, arrays, self._layouts(self.graph.inputs), strict=True
        ):
            array = np.asarray(array.detach() if hasattr(array, "detach") else array)
            if array.dtype.kind not in "biuf":
                raise DtypeError(f"stream: {name} must be {dtype}; got {array.dtype}. Convert it first.")
            wanted = _with_time(shape, axis, array.shape[axis] if array.ndim == len(shape) else -1)
            if array.shape != wanted:
                asked = ", ".join("any" if n == axis else str(size) for n, size in enumerate(shape))
                raise ShapeError(f"stream: {name} takes chunks of shape ({asked}); got {array.shape}.")
            found.append(np.ascontiguousarray(array, dtype))
            lengths.add(array.shape[axis])
        if len(lengths) > 1:
            raise ShapeError(f"stream: all inputs take the same number of steps; got {sorted(lengths)}.")
        return found

    def _layouts(self, names: Sequence[str] | Mapping[str, Any]) -> list[tuple[tuple[int, ...], int, Any]]:
        """Shape, axis of time and element type of values."""
        values = ((self.graph.value(name), self.flows.axes[name]) for name in names)
        return [(value.shape, axis, np.dtype(value.dtype)) for value, axis in values]

    def _advance(self, arrays: list[Array], *, is_end: bool) -> list[Array]:
        """Run one step, and keep what the next one needs."""
        if self._has_ended:
            raise ModelError("stream: the signal has ended with flush(). Call reset() to begin another.")
        name, array = next(zip(self.graph.inputs, arrays, strict=True))
        length = array.shape[self.flows.axes[name]]
        step = self._step(self._given, length, is_end)
        chunk = dict(zip(self.graph.inputs, arrays, strict=True))
        given = [chunk[name] for name in step.what.given]
        kept = [self._kept[name] for name in step.what.carried_in]
        results = [np.empty(shape, dtype) for shape, dtype, _ in step.program.layouts]
        step.program.run([*given, *kept], results)
        self._given += length
        self._kept = dict(zip(step.what.carried_out, results[len(step.what.returned) :], strict=True))
        returned = dict(zip(step.what.returned, results, strict=False))
        return [
            returned[name] if name in returned else np.empty(_with_time(shape, axis, 0), dtype)
            for name, (shape, axis, dtype) in zip(self.graph.outputs, self._layouts(self.graph.outputs), strict=True)
        ]

    def _phase(self, given: int) -> int:
        """An early moment that differs from the present one in nothing but a whole number of periods."""
        if given < self._steady:
            return given
        return self._steady + (given - self._steady) % self._period

    def _step(self, given: int, length: int, is_end: bool) -> _Step:
        key = (self._phase(given), length, is_end)
        step = self._steps.get(key)
        if step is None:
            before, end = moment(self.flows, key[0]), key[0] + length
            after = Moment(self.flows.totals(end), {}) if is_end else moment(self.flows, end)
            what = step_graph(self.flows, before, after, is_end=is_end)
            step = self._steps[key] = _Step(what, Program(what.graph, self._weights, "exact"))
            if len(self._steps) > MOST_STEPS:
                self._steps.popitem(last=False)
        self._steps.move_to_end(key)
        return step


def _with_time(shape: tuple[int, ...], axis: int, count: int) -> tuple[int, ...]:
    """The shape with so many steps along time."""
    return (*shape[:axis], count, *shape[axis + 1 :])


def _first_steady(flows: Flows) -> int:
    """Some number of inputs, whole periods, after which everything repeats."""
    given = flows.period
    while not is_steady(flows, given):
        given *= 2
    return given
