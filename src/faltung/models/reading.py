"""From anybody's model to a ShapeProgram: each reader knows one framework, and is asked when that is loaded."""

import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from faltung.errors import ShapeError
from faltung.models.program import ShapeProgram
from faltung.models.readers import calls, keras, network, onnx, spec, torch


def as_model(given: Any) -> Any:
    """The model that a compiled network was read from; a file of ONNX is read; everything else as it is."""
    model = network.source_of(given)
    if network.reads(given) and isinstance(model, str | Path):
        return import_module("onnx").load(model)
    return model


def as_program(model: Any) -> ShapeProgram:
    """Return a layer, model, list of layers, spec, spec text, call, ONNX model or network as a ShapeProgram."""
    model = as_model(model)
    if network.reads(model):
        return network.as_program(model)
    if isinstance(model, spec.KINDS):
        return spec.as_program(model)
    if isinstance(model, partial):
        return calls.as_program(model)
    first = model[0] if isinstance(model, list | tuple) and model else model
    if "keras" in sys.modules and keras.reads(first):  # before PyTorch: with its backend, Keras layers are modules too
        return keras.as_program(model)
    if "torch" in sys.modules and torch.reads(first):
        return torch.as_program(model)
    if onnx.reads(model):
        return onnx.as_program(model)
    raise ShapeError(
        "diagnose: the model must be a Keras layer or model, a "
        "PyTorch module, a ConvSpec or its text, an ONNX model or its file, a compiled network, or "
        f"functools.partial of a convolution with its kernel; got {type(model).__name__}. Give one of these."
    )
