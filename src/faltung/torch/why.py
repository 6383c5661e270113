"""`faltung.torch.why`: who computes a convolution, in one sentence."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from faltung.spec.options import ConvOptions
from faltung.spec.precision import in_effect
from faltung.torch import functional
from faltung.torch.calls import refusal_of_sizes
from faltung.torch.coverage import refusal
from faltung.torch.likeness import unparametrized
from faltung.torch.modules import OURS
from faltung.torch.options import FIRST, in_torchs_order


def why(convolution: nn.Module | Callable[..., Tensor], x: Tensor, *arguments: Any, **options: Any) -> str:
    """Say who computes ``convolution(x, ...)``, and why if it is not faltung.

    Arguments:
        convolution: a module, or a function of `faltung.torch.functional`.
        x: its input.
        *arguments: what else the function is given.
        **options: as arguments.

    >>> import torch
    >>> why(nn.Conv1d(3, 16, 5), torch.ones(1, 3, 100))
    "PyTorch's own kernel: it is a torch.nn.Conv1d, which ft.accelerate replaces."
    >>> why(functional.conv1d, torch.ones(1, 3, 100), torch.ones(16, 3, 5), padding="causal")
    'faltung.'
    """
    if isinstance(convolution, nn.Module):
        reason = reason_of_module(convolution, x)
    elif getattr(functional, getattr(convolution, "__name__", ""), None) is convolution:
        reason = _reason_of_function(convolution, x, arguments, options)
    else:
        reason = "the function is not one of faltung.torch.functional's"
    return "faltung." if reason is None else f"PyTorch's own kernel: {reason}."


def reason_of_module(module: nn.Module, x: Tensor | None = None) -> str | None:
    """Return why faltung does not compute this module, for any x or for this one; None if it does."""
    kind = type(module)
    if isinstance(module, torch.jit.ScriptModule):
        return "it is scripted, and TorchScript computes it; accelerate the model before it is scripted"
    if not isinstance(module, _ConvNd):
        return f"{kind.__name__} is not a convolution"
    if "forward" in vars(module):
        return f"this {kind.__name__} has a forward of its own"
    if not isinstance(module, tuple(OURS.values())):
        plain = unparametrized(module)
        if plain in OURS:
            return f"it is a torch.nn.{plain.__name__}, which ft.accelerate replaces"
        return f"{kind.__name__} is a class of its own; derive it from faltung.torch's to have it computed by faltung"
    if nn.parameter.is_lazy(module.weight):
        return None
    reason = refusal(module.weight if x is None else x, module.weight, module.bias)
    if reason is None and x is not None and module.transposed:
        options: ConvOptions = module.conv_options()  # type: ignore[operator]  # it is one of ours
        return _refusal_of_sizes(len(module.kernel_size), x, module.weight, module.output_padding, options)
    return reason


def _reason_of_function(
    function: Callable[..., Tensor], x: Tensor, arguments: tuple[Any, ...], options: dict[str, Any]
) -> str | None:
    call = inspect.signature(function).bind(x, *arguments, **options)
    call.apply_defaults()
    given = call.arguments
    weight = given["weight"]
    reason = refusal(x, weight, given["bias"])
    if reason is not None or "output_padding" not in given:
        return reason
    rank = weight.dim() - 2
    words = {name: given[name] for name in ("stride", "padding", "dilation", "groups", "precision")}
    words["precision"] = in_effect(words["precision"])
    spelled = ConvOptions(**words, layout=given["layout"] or FIRST.get(rank))
    return _refusal_of_sizes(rank, x, weight, given["output_padding"], spelled)


def _refusal_of_sizes(rank: int, x: Tensor, weight: Tensor, output_padding: Any, options: ConvOptions) -> str | None:
    return refusal_of_sizes(rank, in_torchs_order(rank, x, options), weight, output_padding, options)
