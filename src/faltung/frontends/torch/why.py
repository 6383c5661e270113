"""`faltung.torch.why`: who computes a convolution, in one sentence."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from faltung.frontends.torch import calls, functional
from faltung.frontends.torch.coverage import refusal
from faltung.frontends.torch.modules import OURS

OURS_TOO = tuple(OURS.values())


def why(convolution: nn.Module | Callable[..., Tensor], x: Tensor, *arguments: Any, **options: Any) -> str:
    """Say in one sentence who computes `convolution(x, ...)`, and why if it is not faltung.

    >>> why(nn.Conv1d(3, 16, 5), torch.ones(1, 3, 100))
    "PyTorch's own kernel: this is a torch.nn.Conv1d; ft.accelerate(model) makes it ours."
    """
    reason = _reason(convolution, x, arguments, options)
    return "faltung." if reason is None else f"PyTorch's own kernel: {reason}."


def _reason(convolution: Any, x: Tensor, arguments: tuple[Any, ...], options: dict[str, Any]) -> str | None:
    if isinstance(convolution, nn.Module):
        return not_ours(convolution) or _reason_of_module(convolution, x)
    if getattr(functional, getattr(convolution, "__name__", ""), None) is not convolution:
        return f"{_name_of(convolution)} is not one of faltung.torch.functional's"
