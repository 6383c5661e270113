"""Readers of whole networks: a PyTorch module, a Keras model or an ONNX file becomes a Graph of ours.

Each host has its file, with tables beside it: op of the host → how it becomes nodes. What no table knows becomes an
island, which the host computes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faltung.graph.graph import ANY, Array, Batches, Graph


@dataclass(frozen=True, slots=True)
class ReadModel:
    """A network that was read, and how calls of its host's kind become calls of the graph.

    The graph's inputs stand in the order in which `flatten` gives them, its outputs in that which `assemble` expects.
    """

    graph: Graph
    flatten: Callable[[Sequence[Any], Mapping[str, Any]], list[Any]]
    """Arguments and keywords of a call → what the graph's inputs are, in their order."""
    assemble: Callable[[list[Array]], Any]
    """The graph's outputs, in their order → what the model returns: one array, a tuple, a dictionary …"""
    source: str
    """What was read: "torch", "keras", "onnx"."""
    holds_for: Batches = ANY
