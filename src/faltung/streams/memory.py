"""What a stream remembers: two places for each value that is kept; a step reads one and fills the other."""

from math import prod

import numpy as np

from faltung.graph.graph import Array
from faltung.graph.weights import aligned_empty
from faltung.streams.flow import Flows
from faltung.streams.step_graph import Moment

Shape = tuple[int, ...]


class Memory:
    """Places whose addresses stay while `generation` does; the present side is what the next step reads."""

    def __init__(self, flows: Flows) -> None:
        self.flows, self.side, self.generation = flows, 0, 0
        self._places: dict[str, tuple[Array, Array]] = {}

    def kept_shape(self, name: str, now: Moment) -> Shape:
        """The shape of what is kept of a value, its axes in the order of memory."""
        shape = list(self.flows.graph.shape(name))
        shape[self.flows.axes[name]] = now.kept(name)
        return tuple(shape[axis] for axis in self.flows.orders[name])

    def kept_bytes(self, name: str, now: Moment) -> int:
        """Bytes of what is kept of a value."""
        return prod(self.kept_shape(name, now)) * np.dtype(self.flows.graph.value(name).dtype).itemsize

    def array(self, name: str, shape: Shape, side: int) -> Array:
        """A place as an array; one that is too small is replaced by a larger one, with what it holds."""
        dtype = np.dtype(self.flows.graph.value(name).dtype)
        num_bytes = prod(shape) * dtype.itemsize
        places = self._places.get(name)
        if places is None or places[0].nbytes < num_bytes:
            grown = (aligned_empty(num_bytes), aligned_empty(num_bytes))
            for old, new in zip(places or (), grown, strict=False):
                new[: old.nbytes] = old
            places = self._places[name] = grown
            self.generation += 1
        return places[side][:num_bytes].view(dtype).reshape(shape)

    def now(self, now: Moment) -> dict[str, Array]:
        """All that is kept at a moment, by the value's name."""
        return {
            name: self.array(name, self.kept_shape(name, now), self.side) for name in self.flows.axes if now.kept(name)
        }
