"""What happens to a tile after its sums: activation and store; and before them: the bias."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

from faltung.codegen.activation import activate, is_cheap
from faltung.codegen.emitter import Emitter, Int, Value
from faltung.codegen.tile import RegisterTile
from faltung.plan.kernel import Kernel

TOGETHER = 2
"""Vectors that an activation computes at a time: more would not stay in registers."""


class Result(NamedTuple):
    """A vector of sums and where its first `count` lanes go, if they go anywhere."""

    value: Callable[[], Value]
    place: Value
    count: Int
    condition: Value | None = None


class Epilogue:
    """Bias first (accumulators start from it), then what the result is added to, activation last.

    A cheap activation is applied to the registers. One that needs an exponential is a function of its own, so that its
    code stands in the program once: a whole tile waits for it on the stack. It computes two vectors at a time,
    since each of its steps waits for the one before. Results reach memory once, when they are done.
    """

    def __init__(self, e: Emitter, kernel: Kernel) -> None:
        self.e, self.kernel = e, kernel
        self._is_cheap = is_cheap(kernel.activation)
        if not self._is_cheap:
            with e.function("activate", "*place", "count", internal=True) as (place, count):
                wide = e.widened(TOGETHER)
                numbers = wide.buffer(place, i=1)
                with e.loop("i", count, step=wide.lanes) as i:
                    value = activate(wide, wide.load(numbers.at(i=i)), kernel.activation, kernel.activation_parameter)
                    wide.store(value, numbers.at(i=i))

    def store(self, results: Iterable[Result]) -> None:
        """Activate and store the results of a tile."""
        if not self._is_cheap:
            self._store_heavy(list(results))
            return
        for result in results:
            with self._where(result.condition):
                value = self._added(result)
                self._put(activate(self.e, value, self.kernel.activation, self.kernel.activation_parameter), result)

    def store_rows(self, tile: RegisterTile, places: list[Value], channels: int, limit: Int | None = None) -> None:
        """Store each row, `channels` neighbouring numbers, at its place; only rows below `limit` where one is given."""
        e, results = self.e, []
        for r, place in enumerate(places):
            is_there = None if limit is None or r == 0 else e.compare(r, "<", limit)
            y = e.buffer(place, oc=1)
            for v in range(tile.vectors):
                lane = v * e.lanes
                results.append(Result(partial(tile.value, r, v), y.at(oc=lane), channels - lane, is_there))
        self.store(results)

    def _store_heavy(self, results: list[Result]) -> None:
        e = self.e
        num_vectors = -(-len(results) // TOGETHER) * TOGETHER
        waiting = e.elements(num_vectors * e.lanes, "waiting")
        places = [waiting.at(i=v * e.lanes) for v in range(num_vectors)]
        for result, place in zip(results, places, strict=False):
            with self._where(result.condition):
                e.store(self._added(result), place)
        for place in places[len(results) :]:
            e.store(e.splat(0.0), place)
        e.call("activate", waiting.pointer, num_vectors * e.lanes)
        for result, place in zip(results, places, strict=False):
            with self._where(result.condition):
                self._put(e.load(place), result)

    @contextmanager
    def _where(self, condition: Value | None) -> Iterator[None]:
        if condition is None:
            yield
        else:
            with self.e.when(condition):
                yield

    def _added(self, result: Result) -> Value:
        """The sums, with what the result is added to."""
        e, value = self.e, result.value()
        if not self.kernel.adds_result:
            return value
        return e.arithmetic(value, "+", e.load_masked(result.place, e.mask(result.count)))

    def _put(self, value: Value, result: Result) -> None:
        mask = self.e.mask(result.count)
        if self.kernel.has_streaming_stores and mask is None:
            self.e.store_streaming(value, result.place)
        else:
            self.e.store_masked(value, result.place, mask)
