"""What the tests of Keras's reader share: a model and its graph, computed side by side on the same numbers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from graph.interpret import interpret
from keras import tree

from faltung.graph.graph import Value
from faltung.graph.shapes import infer
from faltung.models.graphs import ReadModel
from faltung.models.graphs.keras import read_keras

TOLERANCE = {"float64": 2e-6, "float32": 2e-4}
"""Of what Keras computes with, relative to the largest number: on PyTorch much of float64 passes through float32."""


def numbers(shape: Sequence[int], dtype: str, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    if not dtype.startswith("float"):
        return random.integers(0, 5, shape).astype(dtype)
    return random.standard_normal(shape).astype(dtype)


def randomized(model: Any) -> Any:
    """The model with random weights everywhere: none may hide as a 0 or a 1."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if "float" in weight.dtype:
            weight.assign(0.3 * random.standard_normal(weight.shape) ** (2 if "variance" in weight.name else 1) + 0.1)
    return model


def functional(call: Any, *shapes: Any, dtype: str | None = None) -> Any:
    """A functional model of what is called with its input, or with a list of several."""
    inputs = [keras.Input(shape, dtype=dtype) for shape in shapes]
    given = inputs if len(inputs) > 1 else inputs[0]
    return randomized(keras.Model(given, call(given)))


def check(model: Any, example_shapes: Any = None, *, islands: int = 0, batch: int = 3, given: Any = None) -> ReadModel:
    """Read a model, and compare what its graph computes with what the model does, for another batch."""
    read = read_keras(model, example_shapes)
    assert read.source == "keras"
    values = list(read.graph.inputs.values())
    if given is None:
        arrays = [numbers((batch, *value.shape[1:]), value.dtype, n) for n, value in enumerate(values)]
        given = tree.pack_sequence_as(model.input, arrays) if len(arrays) > 1 else arrays[0]
    inputs = [np.asarray(x) for x in read.flatten((given,), {})]
    graph = infer(
        read.graph,
        {name: Value(x.shape, value.dtype) for (name, value), x in zip(read.graph.inputs.items(), inputs, strict=True)},
    )
    found = [np.asarray(x) for x in interpret(graph, [x.astype(v.dtype) for x, v in zip(inputs, values, strict=True)])]
    expected = tree.map_structure(keras.ops.convert_to_numpy, model(given, training=False))
    kinds = [node.op for node in graph.nodes]
    reasons = [node["reason"] for node in graph.nodes if node.op == "island"]
    assert kinds.count("island") == islands, reasons
    assert [graph.shape(name) for name in graph.outputs] == [x.shape for x in found]
    got = read.assemble(found)
    tree.assert_same_structure(got, expected)
    for ours, theirs in zip(tree.flatten(got), tree.flatten(expected), strict=True):
        assert ours.shape == theirs.shape
        scale = max(1.0, float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0)))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE[keras.config.floatx()] * scale)
    return read
