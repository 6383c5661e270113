"""`ft.accelerate`: a model of whichever framework, its convolutions computed by faltung.

Frameworks are found among the modules that are loaded, never imported: who has a model has its framework.
"""

import sys
import warnings
from importlib import import_module
from typing import TypeVar

from faltung.errors import ModelError
from faltung.frontends.report import Report

Model = TypeVar("Model")


def accelerate(model: Model, *, copy: bool = False, verbose: bool = False) -> Model:
    """Return the model with its convolutions computed by faltung: same weights, same numbers.

    A Keras model is changed in place, on whichever backend: each `keras.layers.Conv1D` (and so on) becomes the layer of
    `faltung.keras` that is derived from it, and its summary marks them with a star. Weights, names, optimizer and
    metrics stay; nested models and wrapped layers are changed too. `faltung.keras.restore` changes it back, so that it
    can be saved for those who do not have faltung; `faltung.keras.report(model)` says which layers faltung computes,
    which not, and why.

    A PyTorch model is changed in place: each `torch.nn.Conv1d` (2d, 3d, transposed, lazy) becomes the module of
    `faltung.torch` that is derived from it. Weights, hooks, parametrisations, training mode and devices stay as they
    are. Classes that others derived from PyTorch's are left alone. `faltung.torch.report(model)` says which modules
    faltung now computes, which not, and why.

    Arguments:
        model: a keras.Model or a torch.nn.Module.
        copy: change a deep copy and leave the model as it is; default False.
        verbose: print the report; default False.

    Warns:
        UserWarning: if faltung computes none of the model's convolutions; it says why, and what to do.

    Raises:
        ModelError: if the model is not one of a framework that faltung knows.

    >>> import torch
    >>> accelerate(torch.nn.Sequential(torch.nn.Conv1d(3, 8, 5)), verbose=True)(torch.ones(1, 3, 100)).shape
    faltung computes 1 of 1 convolutions.
      0: Conv1d(3, 8, kernel_size=(5,), stride=(1,))
    torch.Size([1, 8, 96])
    """
    framework = _framework_of(model)
    if framework is not None:
        replace = import_module(f"faltung.{framework}.replace")
        changed: Model = replace.accelerate(model, copy=copy)
        report: Report = replace.report(changed)
        if verbose:
            print(report)
        if not report.computed:
            warnings.warn(f"accelerate: {report.in_short()} {replace.REMEDY}", stacklevel=2)
        return changed
    got = f"{type(model).__module__}.{type(model).__qualname__}"
    raise ModelError(f"accelerate: model must be a keras.Model or a torch.nn.Module; got {got}. Pass the model itself.")


def _framework_of(model: object) -> str | None:
    """Return whose model this is; on its PyTorch backend, a layer of Keras is a torch.nn.Module too."""
    for framework, base in (("keras", "Layer"), ("torch", "nn.Module")):
        kind: object = sys.modules.get(framework)
        for name in base.split("."):
            kind = getattr(kind, name, None)
        if isinstance(kind, type) and isinstance(model, kind):
            return framework
    return None
