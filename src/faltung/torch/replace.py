"""`ft.accelerate` for PyTorch, and back: convolutions change their class and nothing else.

Parameters, buffers, hooks, parametrisations, training mode and every reference from elsewhere (optimisers, wrappers,
tied modules) stay, because the modules stay.
"""

import copy as copying
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from faltung.errors import ModelError
from faltung.frontends.report import Report
from faltung.torch.likeness import change_class, unparametrized
from faltung.torch.modules import OURS, Module
from faltung.torch.why import reason_of_module

REMEDY = (
    "Convolutions are computed in float32 and float64 on processors, where they are layers (of torch.nn, not yet "
    "scripted) or calls of faltung.torch.functional. faltung.torch.report(model) names them all."
)
"""What to do where faltung computes none."""

Model = TypeVar("Model", bound=nn.Module)


def accelerate(model: Model, *, copy: bool = False) -> Model:
    """Return the model, or a deep copy, with faltung computing its convolutions."""
    model = copying.deepcopy(model) if copy else model
    for module in model.modules():
        kind = unparametrized(module)
        if kind in OURS and not isinstance(module, Module) and "forward" not in vars(module):
            change_class(module, OURS[kind])
    return model


def restore(model: Model, *, copy: bool = False) -> Model:
    """Return the model with PyTorch's own modules: pickled, it loads where faltung is not installed.

    Arguments:
        model: a torch.nn.Module, changed in place.
        copy: change a deep copy and leave the model as it is; default False.

    Raises:
        ModelError: if a module has options that PyTorch's does not know.

    >>> import faltung as ft
    >>> restore(ft.accelerate(nn.Sequential(nn.Conv1d(3, 8, 5))))[0].__class__
    <class 'torch.nn.modules.conv.Conv1d'>
    """
    ours = {name: module for name, module in model.named_modules() if isinstance(module, Module)}
    ours = {name: module for name, module in ours.items() if unparametrized(module) in OURS}
    for name, module in ours.items():
        if reason := module.unknown_to_pytorch():
            kept = f"torch.nn.{module.stock.__name__}"
            raise ModelError(
                f"restore: {kept} must know all options of {name or 'the module'}; got {reason}. Keep it in faltung."
            )
    if copy:
        return restore(copying.deepcopy(model))
    for module in ours.values():
        module.become_stock()
    return model


def report(model: nn.Module) -> Report:
    """Say which convolutions of the model faltung computes.

    >>> import faltung as ft
    >>> print(report(ft.accelerate(nn.Sequential(nn.Conv1d(3, 8, 5), nn.ReLU(), nn.Conv1d(8, 8, 5).bfloat16()))))
    faltung computes 1 of 2 convolutions.
      0: Conv1d(3, 8, kernel_size=(5,), stride=(1,))
      2: left alone, the weight is bfloat16, and faltung computes in float32 and float64
    """
    convolutions = {name: module for name, module in model.named_modules() if _is_convolution(module)}
    reasons = {name: reason_of_module(module) for name, module in convolutions.items()}
    computed = {name: str(module) for name, module in convolutions.items() if reasons[name] is None}
    return Report(computed, {name: reason for name, reason in reasons.items() if reason is not None})


def _is_convolution(module: nn.Module) -> bool:
    """Is it one of PyTorch's convolutions, or was it one before it was scripted?"""
    if isinstance(module, torch.jit.ScriptModule):
        return module.original_name in {kind.__name__ for kind in OURS}
    return isinstance(module, _ConvNd)
