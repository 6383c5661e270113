"""`ft.accelerate` for PyTorch: convolutions change their class and nothing else.

Parameters, buffers, hooks, parametrisations, training mode and every reference from elsewhere (optimisers, wrappers,
tied modules) stay, because the modules stay.
"""

import copy as copying
from typing import TypeVar

from torch import nn
from torch.nn.modules.conv import _ConvNd

from faltung.frontends.report import Report
from faltung.torch.modules import OURS
from faltung.torch.why import reason_of_module, unparametrized

Model = TypeVar("Model", bound=nn.Module)


def accelerate(model: Model, *, copy: bool = False) -> Model:
    """Return the model, or a deep copy, with faltung computing its convolutions."""
    model = copying.deepcopy(model) if copy else model
    for module in model.modules():
        if unparametrized(module) in OURS and "forward" not in vars(module):
            module.__class__ = _ours(module)
    return model


def _ours(module: nn.Module) -> type[nn.Module]:
    """Return our class for a module; a parametrised one keeps what its own class defines."""
    kind, plain = type(module), unparametrized(module)
    if kind is plain:
        return OURS[plain]
    own = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    return type(kind.__name__, (OURS[plain],), own)


def report(model: nn.Module) -> Report:
    """Say which convolutions of the model faltung computes.

    >>> import faltung as ft
    >>> print(report(ft.accelerate(nn.Sequential(nn.Conv1d(3, 8, 5), nn.ReLU(), nn.Conv1d(8, 8, 5).bfloat16()))))
    faltung computes 1 of 2 convolutions.
      0: Conv1d(3, 8, kernel_size=(5,), stride=(1,))
      2: left alone, the weight is bfloat16, and faltung computes in float32 and float64
    """
    convolutions = {name: module for name, module in model.named_modules() if isinstance(module, _ConvNd)}
    reasons = {name: reason_of_module(module) for name, module in convolutions.items()}
    computed = {name: str(module) for name, module in convolutions.items() if reasons[name] is None}
    return Report(computed, {name: reason for name, reason in reasons.items() if reason is not None})
