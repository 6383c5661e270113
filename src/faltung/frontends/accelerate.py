"""`ft.accelerate`: a model of whichever framework, its convolutions computed by faltung.

Frameworks are found among the modules that are loaded, never imported: who has a model has its framework.
"""

import sys
from typing import TypeVar

from faltung.errors import ModelError

Model = TypeVar("Model")


def accelerate(model: Model, *, copy: bool = False, verbose: bool = False) -> Model:
    """Return the model with its convolutions computed by faltung: same weights, same numbers.

    A PyTorch model is changed in place: each `torch.nn.Conv1d` (2d, 3d, transposed, lazy) becomes the module of
    `faltung.torch` that is derived from it. Weights, hooks, parametrisations, training mode and devices stay as they
    are. Classes that others derived from PyTorch's are left alone. `faltung.torch.report(model)` says which modules
    faltung now computes, which not, and why.

    Arguments:
        model: a torch.nn.Module.
        copy: change a deep copy and leave the model as it is; default False.
        verbose: print the report; default False.

    Raises:
        ModelError: if the model is not one of a framework that faltung knows.

    >>> import torch
    >>> accelerate(torch.nn.Sequential(torch.nn.Conv1d(3, 8, 5)), verbose=True)(torch.ones(1, 3, 100)).shape
    faltung computes 1 of 1 convolutions.
      0: Conv1d(3, 8, kernel_size=(5,), stride=(1,))
    torch.Size([1, 8, 96])
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        from faltung.frontends.torch import replace

        model = replace.accelerate(model, copy=copy)
        if verbose:
            print(replace.report(model))
        return model
    got = f"{type(model).__module__}.{type(model).__qualname__}"
    raise ModelError(f"accelerate: model must be a torch.nn.Module; got {got}. Pass the model itself.")
