"""Keras models as networks, on whichever backend."""

from typing import Any

from faltung.frontends.networks import of_read
from faltung.graph.network import Network, Shapes
from faltung.models.graphs import ReadModel
from faltung.models.graphs.keras import packed, read_keras, shapes_of


def network(model: Any, example: Any, *, is_frozen: bool, precision: str) -> Network:
    """The network of a Keras model."""
    shapes = None if example is None else shapes_of(example)

    def reread(new: Shapes) -> ReadModel:
        return read_keras(model, list(new) if shapes is None else packed(shapes, new))

    read = read_keras(model, shapes)
    return of_read(read, reread, is_frozen=is_frozen, precision=precision, source=model)
