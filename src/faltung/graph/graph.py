"""A network as a graph: nodes of some twenty ops between named values, in the order in which they are computed.

A value has the shape that its host gives it, axes in the host's order; where its numbers lie is the plan's business.
Learned numbers are `Constant`s, read when they are packed and again when their version changes.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Value:
    """What flows along an edge. Axis 0 of an input, and of what is computed from it, is the batch."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """Numbers that belong to the network.

    `read` gives them as they are now, in NumPy. `version` is equal while they are the same; None: they never change.
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], Array]
    version: Callable[[], Hashable] | None = None
    sources: tuple["Constant", ...] = ()
    """Those that it is computed from, whose versions then tell of it."""

    def leaves(self) -> Iterator["Constant"]:
        """The constants that it is made of in the end."""
        if not self.sources:
            yield self
        for source in self.sources:
            yield from source.leaves()

    @classmethod
    def of(cls, array: Array) -> "Constant":
        """A constant that never changes."""
        return cls(array.shape, array.dtype.name, lambda: array)


@dataclass(frozen=True, slots=True)
class Node:
    """One op. `inputs` name values or constants; `attributes` are those that ops.py lists for the op."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""  # the host's name of the layer, for people

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes[attribute]

    @property
    def output(self) -> str:
        """The only output."""
        (output,) = self.outputs
        return output

    def having(
        self, *, inputs: tuple[str, ...] | None = None, outputs: tuple[str, ...] | None = None, **new: Any
    ) -> "Node":
        """The node with other inputs, outputs or attributes."""
        return replace(
            self,
            inputs=self.inputs if inputs is None else inputs,
            outputs=self.outputs if outputs is None else outputs,
            attributes={**self.attributes, **new},
        )


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches for which a graph is its model: some treat one sample apart, or are tied to their example."""

    least: int = 0
    most: int | None = None  # None: there is no end

    def __contains__(self, batch: int) -> bool:
        return self.least <= batch and (self.most is None or batch <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"of {self.least} or more" if self.least else "of any size"
        return f"of {self.least}" if self.least == self.most else f"of {self.least} to {self.most}"


ANY = Batches()


@dataclass(frozen=True, slots=True)
class Graph:
    """Inputs, constants, nodes in an order of computation, outputs; `values` holds what nodes compute."""

    inputs: Mapping[str, Value]
    constants: Mapping[str, Constant]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    values: Mapping[str, Value] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an input, a constant or a computed value."""
        return self.value(name).shape

    def value(self, name: str) -> Value | Constant:
        """An input, a constant or a computed value by its name."""
        found: Value | Constant = self.values.get(name) or self.inputs.get(name) or self.constants[name]
        return found

    def producer(self, name: str) -> Node | None:
        """The node that computes a value; None for inputs and constants."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def consumers(self, name: str) -> Iterator[Node]:
        """The nodes that read a value."""
        return (node for node in self.nodes if name in node.inputs)

    def with_nodes(self, nodes: tuple[Node, ...], constants: Mapping[str, Constant] | None = None) -> "Graph":
        """The graph with other nodes, and further constants; shapes are worked out anew."""
        from faltung.graph.shapes import infer  # which knows graphs

        merged = self.constants if not constants else {**self.constants, **constants}
        return infer(replace(self, nodes=nodes, constants=merged))
