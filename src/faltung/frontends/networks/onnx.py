"""ONNX models as networks."""

from typing import Any

import numpy as np

from faltung.frontends.networks import examples_of, of_read, shape_of
from faltung.graph.network import Network, Shapes
from faltung.models.graphs import ReadModel
from faltung.models.graphs.onnx import read_onnx


def network(model: Any, example: Any, *, is_frozen: bool, precision: str) -> Network:
    """The network of an ONNX file or model."""
    shapes = None if example is None else [_shape(one) for one in examples_of(example)]
    read = read_onnx(model, shapes)

    def reread(new: Shapes) -> ReadModel:
        return read_onnx(model, list(new))

    return of_read(read, reread, is_frozen=is_frozen, precision=precision, source=model)


def _shape(example: Any) -> tuple[int, ...]:
    shape = shape_of(example)
    return np.shape(example) if shape is None else shape  # that of a scalar is ()
