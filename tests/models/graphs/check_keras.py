"""What differs between Keras's backends: models of every kind, and the versions of their weights."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from models.graphs.keras_checking import check, functional, numbers, randomized
from models.graphs.keras_models import MODELS, masked_sum

from faltung.models.graphs.keras import read_keras


@pytest.mark.parametrize("name", MODELS)
def test_model(name: str) -> None:
    make, islands, example = MODELS[name]
    check(make(), example, islands=islands)


def test_masks_stay_within_islands() -> None:
    x = numbers((3, 8, 4), "float32")
    x[:, 5:] = 0
    read = check(masked_sum(), islands=2, given=x)
    assert [value.dtype for name, value in read.graph.values.items()].count("bool") <= 2


def versions(model: Any) -> Any:
    """What tells whether any weight has changed."""
    found = {constant.version for constant in read_keras(model).graph.constants.values()}
    (version,) = found
    return version


def follows(model: Any, read: Any) -> None:
    """The constants are the weights as they are now."""
    arrays = [constant.read() for constant in read.graph.constants.values()]
    weights = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    assert len(arrays) == len(weights)
    for name, constant in read.graph.constants.items():
        np.testing.assert_array_equal(constant.read(), weights[name.split()[0]])


def test_versions_tell_of_every_change() -> None:
    model = functional(lambda x: layers.Dense(2)(layers.BatchNormalization()(layers.Conv1D(3, 2)(x))), (8, 4))
    read = read_keras(model)
    version = next(iter(read.graph.constants.values())).version
    assert version is not None
    seen = [version()]

    def changed() -> bool:
        seen.append(version())
        follows(model, read)
        return bool(seen[-1] != seen[-2] and version() == seen[-1])

    assert not changed()
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert changed()
    model.weights[0].assign_add(np.ones(model.weights[0].shape, "float32"))
    assert changed()
    for _ in range(3):  # the same memory is used again
        model.weights[-1].assign(numbers(model.weights[-1].shape, "float32"))
        assert changed()
    model.compile("adam", "mse", jit_compile=False)
    x, y = numbers((4, 8, 4), "float32"), numbers((4, 7, 2), "float32")
    model.train_on_batch(x, y)
    assert changed()
    model.fit(x, y, verbose=0, epochs=2)
    assert changed()
    model.predict(x, verbose=0)
    model(x)
    assert not changed()


def test_reading_leaves_the_model_as_it_was() -> None:
    inner = layers.Conv1D(4, 3, activation="relu")
    model = functional(lambda x: layers.LeakyReLU()(inner(x)), (8, 4))
    before = [len(layer._inbound_nodes) for layer in model.layers]
    read_keras(model)
    assert [len(layer._inbound_nodes) for layer in model.layers] == before
    assert inner.output.shape == (None, 6, 4)


def test_lora_is_part_of_the_kernel() -> None:
    layer = layers.Dense(3)
    model = functional(layer, (8, 4))
    layer.enable_lora(2)
    check(randomized(model))
