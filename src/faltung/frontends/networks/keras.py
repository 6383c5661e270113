"""Keras models as networks, on whichever backend."""

from typing import Any

import numpy as np

from faltung.frontends.networks import examples_of, of_read, shape_of
from faltung.graph.network import Network
from faltung.models.graphs.keras import read_keras


def network(model: Any, example: Any, *, is_frozen: bool) -> Network:
    """The network of a Keras model."""
    shapes = None if example is None else [shape_of(one) or np.shape(one) for one in examples_of(example)]
    return of_read(read_keras(model, shapes), lambda new: read_keras(model, list(new)), is_frozen=is_frozen)
