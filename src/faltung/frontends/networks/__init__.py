"""Models of each host made into networks; imported when the first of its kind is compiled."""

from collections.abc import Callable
from typing import Any

import numpy as np

from faltung.errors import ModelError
from faltung.graph.network import Network, Shapes
from faltung.models.graphs import ReadModel


def of_read(
    model: ReadModel, reread: Callable[[Shapes], ReadModel] | None, *, is_frozen: bool, precision: str, source: Any
) -> Network:
    """The network of a model that was read; one of nothing but islands is refused."""
    nodes = [node for node in model.graph.nodes if node.op not in ("reshape", "transpose", "slice")]
    if nodes and all(node.op == "island" for node in nodes):
        reasons = sorted({node["reason"] for node in nodes})
        raise ModelError(f"compile: faltung computes no part of this model: {'; '.join(reasons[:5])}.")
    return Network(
        model.graph,
        flatten=model.flatten,
        assemble=model.assemble,
        reread=None if reread is None else lambda shapes: reread(shapes).graph,
        holds_for=model.holds_for,
        is_frozen=is_frozen,
        precision=precision,
        source=source,
    )


def shape_of(example: Any) -> tuple[int, ...] | None:
    """The shape that an example is; None if it is an array."""
    is_shape = isinstance(example, list | tuple) and all(isinstance(size, int | np.integer) for size in example)
    return tuple(map(int, example)) if is_shape else None


def examples_of(example: Any) -> list[Any]:
    """One example for each input."""
    if isinstance(example, list | tuple) and shape_of(example) is None:
        return list(example)
    return [example]
