"""PyTorch's answer where faltung refuses a call: its result, or its error with the layer's place in the model.

So nothing that PyTorch computes is refused, who catches PyTorch's errors catches ours, and they speak its words.
"""

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from faltung.errors import FaltungError, ShapeError


class RefusedCall(ShapeError, RuntimeError):
    """A call that PyTorch refuses with a RuntimeError."""


class RefusedOption(ShapeError, TypeError):
    """A call that PyTorch refuses with a TypeError."""


def of_pytorch(refusal: FaltungError, compute: Callable[..., Tensor], *call: Any) -> Tensor:
    """What PyTorch says to a call that faltung refuses."""
    try:
        return compute(*call)
    except FaltungError:  # of an option that only faltung knows, which PyTorch does not get to see
        told: Any = RefusedCall(str(refusal))
    except RuntimeError as error:
        told = RefusedCall(str(error))
    except TypeError as error:
        told = RefusedOption(str(error))
    except ValueError as error:
        told = ShapeError(str(error))
    if refusal.request is not None:
        told.request = {**refusal.request, "host": "torch"}
    raise with_place(told) from None


def with_place(error: Exception) -> Exception:
    """The error with the place of the layer that is at work before its message."""
    if place := _place_of_layer():
        error.args = (f"{place}: {error}", *error.args[1:])
    return error


def _place_of_layer() -> str:
    """Where the innermost convolution at work is in the outermost module at work, as its `named_modules` tells."""
    layer, place, frame = None, "", sys._getframe()
    while frame is not None:
        module = frame.f_locals.get("self")
        if layer is None and isinstance(module, _ConvNd):
            layer = module
        elif layer is not None and isinstance(module, nn.Module):
            place = next((name for name, part in module.named_modules() if part is layer), place)
        frame = frame.f_back  # type: ignore[assignment]
    return f"{place} ({type(layer).__name__})" if place else ""
