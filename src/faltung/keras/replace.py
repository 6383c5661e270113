"""`ft.accelerate` for Keras, and back: layers change their class and nothing else.

Weights, names, the graph of a functional model and every reference from elsewhere stay, because the layers stay.
"""

import copy as copying
from typing import Any

import keras

from faltung.errors import ModelError
from faltung.frontends.report import Report
from faltung.keras.base import OURS, LayerByFaltung
from faltung.spec.dtype import COMPUTED
from faltung.spec.rules import spoken

REMEDY = (
    "Convolutions are computed in float32 and float64, where they are keras.layers.Conv1D and the like. "
    "faltung.keras.report(model) names them all."
)
"""What to do where faltung computes none."""

STOCK = {ours: stock for stock, ours in OURS.items()}


def accelerate(model: Any, *, copy: bool = False) -> Any:
    """Return the model, or a copy, with faltung computing its convolutions."""
    return _with_classes(OURS, model, copy)


def restore(model: Any, *, copy: bool = False) -> Any:
    """Return the model with Keras's own layers: saved, it loads where faltung is not installed.

    Arguments:
        model: a keras.Model or a layer, changed in place.
        copy: change a copy and leave the model as it is; default False.

    Raises:
        ModelError: if a layer has options that Keras's refuses.

    >>> import faltung as ft
    >>> model = ft.accelerate(keras.Sequential([keras.Input((100, 3)), keras.layers.Conv1D(8, 5)]))
    >>> restore(model).layers[0].__class__
    <class 'keras.src.layers.convolutional.conv1d.Conv1D'>
    """
    for layer in model._flatten_layers():
        if type(layer) in STOCK and (reason := _refusal_by_keras(layer)):
            kept = f"keras.layers.{layer.stock.__name__}"
            raise ModelError(
                f"restore: {kept} must know all options of {_place(layer)}; got {reason}. Keep it in faltung."
            )
    return _with_classes(STOCK, model, copy)


def _with_classes(classes: dict[type, type], model: Any, copy: bool) -> Any:
    """Exchange the classes of the model's layers, and forget what Keras has compiled of them."""
    model = copying.deepcopy(model) if copy else model
    for layer in model._flatten_layers():
        if type(layer) in classes:
            object.__setattr__(layer, "__class__", classes[type(layer)])
            layer.supports_jit = classes is STOCK or layer.supports_xla()
    for part in model._flatten_layers():
        if isinstance(part, keras.Model):
            part.train_function = part.test_function = part.predict_function = None
            part._jit_compile = None if part._jit_compile else part._jit_compile  # decided anew where it was on
    return model


def _refusal_by_keras(layer: LayerByFaltung) -> str | None:
    """Return what Keras's layer does not know of this one's options."""
    if options := layer.own_options():
        return ", ".join(f"{name}={value!r}" for name, value in options.items())
    if layer.padding not in layer.keras_paddings:
        return f"padding={layer.padding!r}"
    try:
        layer.stock.from_config(layer.get_config())
    except (TypeError, ValueError):  # Keras makes a TypeError of it
        return f"strides={layer.strides} with dilation_rate={layer.dilation_rate}"
    return None


def report(model: Any) -> Report:
    """Say which convolutions of the model faltung computes.

    >>> import faltung as ft
    >>> layers = [keras.layers.Conv1D(8, 5, name="first"), keras.layers.Conv1D(8, 5, name="second", dtype="bfloat16")]
    >>> print(report(ft.accelerate(keras.Sequential(layers))))
    faltung computes 1 of 2 convolutions.
      first: Conv1D*
      second: left alone, it computes in bfloat16, and faltung in float32 and float64
    """
    convolutions: list[Any] = [layer for layer in model._flatten_layers() if isinstance(layer, tuple(OURS))]
    reasons = {layer: _reason(layer) for layer in convolutions}
    computed = {_place(layer): type(layer).__name__ for layer, reason in reasons.items() if reason is None}
    return Report(computed, {_place(layer): reason for layer, reason in reasons.items() if reason is not None})


def _place(layer: Any) -> str:
    """Return where a layer is in its model; its name alone, until it is built."""
    return str(layer.path or layer.name)


def _reason(layer: Any) -> str | None:
    """Return why faltung does not compute this layer."""
    kind = type(layer).__name__
    if type(layer) in OURS:
        return f"it is a keras.layers.{kind}, which ft.accelerate replaces"
    if not isinstance(layer, LayerByFaltung):
        return f"{kind} is a class of its own; derive it from faltung.keras's to have it computed by faltung"
    if layer.compute_dtype not in COMPUTED:
        return f"it computes in {layer.compute_dtype}, and faltung in {spoken(COMPUTED, 'and')}"
    return None
