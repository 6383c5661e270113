"""`ft.accelerate` for Keras: layers change their class and nothing else, and `restore` changes it back.

Weights, names, the graph of a functional model and every reference from elsewhere stay, because the layers stay.
"""

import copy as copying
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from faltung.errors import ModelError
from faltung.frontends.keras import layers  # noqa: F401  # which registers all classes
from faltung.frontends.keras.base import OURS, LayerByFaltung


def accelerate(model: Any, *, copy: bool = False) -> Any:
    """Return the model, or a copy, with faltung computing its convolutions."""
    return _with_classes(model, copy, {stock: ours for stock, ours in OURS.items()})


def restore(model: Any, *, copy: bool = False) -> Any:
    """Return the model with Keras's own layers: saved, it loads where faltung is not installed.

    Arguments:
        model: a keras.Model or a layer, changed in place.
        copy: change a copy and leave the model as it is; default False.

    Raises:
        ModelError: if a layer uses options that Keras's refuses.

    >>> import faltung as ft
    >>> model = keras.Sequential([keras.Input((100, 3)), keras.layers.Conv1D(8, 5)])
    >>> type(restore(ft.accelerate(model)).layers[0]) is keras.layers.Conv1D
    True
    """
    for layer in _layers(model):
        if type(layer) in OURS.values():
            _check_that_keras_takes(layer)
    return _with_classes(model, copy, {ours: stock for stock, ours in OURS.items()})


def _with_classes(model: Any, copy: bool, classes: dict[type, type]) -> Any:
    model = _copied(model) if copy else model
    for layer in _layers(model):
        if type(layer) in classes and "call" not in vars(layer):
            object.__setattr__(layer, "__class__", classes[type(layer)])
            layer.supports_jit = classes is not OURS or keras.backend.backend() != "tensorflow"
    _forget_compiled(model)
    return model
