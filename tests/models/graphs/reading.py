"""What every reader's tests do: interpret the graph that was read, and compare it with its host for several batches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from graph.interpret import interpret

from faltung.graph.graph import Graph, Value
from faltung.graph.shapes import infer


def for_batch(graph: Graph, inputs: Sequence[Any]) -> Graph:
    """The graph with the shapes that follow from other inputs."""
    given = {name: Value(x.shape, value.dtype) for (name, value), x in zip(graph.inputs.items(), inputs, strict=True)}
    return infer(graph, given)


def outputs(graph: Graph, inputs: Sequence[Any]) -> list[Any]:
    """What the graph computes; its shapes must be those that were inferred."""
    inferred, found = for_batch(graph, inputs), interpret(graph, inputs)
    assert [inferred.shape(name) for name in graph.outputs] == [array.shape for array in found]
    return found


def islands(graph: Graph) -> list[str]:
    return [node["description"] for node in graph.nodes if node.op == "island"]


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def assert_close(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(
        found, wanted, rtol=tolerance, atol=tolerance * max(1.0, float(abs(wanted).max(initial=0)))
    )
