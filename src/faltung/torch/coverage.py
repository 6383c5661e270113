"""What faltung computes, and what goes to PyTorch's own kernel, with the reason in words."""

import torch
from torch import Tensor
from torch._C import _disabled_torch_function_impl
from torch.autograd import forward_ad
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from faltung.torch.tensors import PLAIN

COMPUTED = (torch.float32, torch.float64)


def refusal(x: Tensor, kernel: Tensor, bias: Tensor | None) -> str | None:
    """Return why PyTorch's own kernel computes with these tensors; None where faltung does."""
    if type(x) not in PLAIN or type(kernel) not in PLAIN:
        foreign = {type(tensor).__name__ for tensor in (x, kernel) if _has_own_operators(tensor)}
        if foreign:
            return f"{' and '.join(sorted(foreign))} brings operators of its own"
    dtype = x.dtype
    if dtype not in COMPUTED:
        role = "the weight" if x is kernel else "x"
        return f"{role} is {_name(dtype)}, and faltung computes in float32 and float64"
    for role, tensor in (("x", x), ("the weight", kernel), ("the bias", bias)):
        if tensor is None:
            continue
        if not tensor.is_cpu:
            return f"{role} is on {tensor.device}, and faltung computes on processors"
        if tensor.dtype is not dtype:
            return f"x is {_name(dtype)} and {role} {_name(tensor.dtype)}, and faltung computes in one type"
        if tensor.layout is not torch.strided:
            return f"{role} is stored as {_name(tensor.layout)}, and faltung reads strided memory"
    if torch.is_autocast_enabled("cpu"):
        return (
            f"autocast asks for {_name(torch.get_autocast_dtype('cpu'))}, and faltung computes in float32 and float64"
        )
    if torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        return "torch.compile traces transforms of torch.func through PyTorch's operators only"
    if forward_ad._current_level >= 0:
        return "forward-mode derivatives are asked for, and faltung knows the backward ones"
    return None


def _has_own_operators(tensor: Tensor) -> bool:
    if type(tensor) in PLAIN:
        return False
    # not torch.overrides.has_torch_function, to which any mode makes every tensor foreign
    return type(tensor).__torch_function__ is not _disabled_torch_function_impl or is_traceable_wrapper_subclass(tensor)


def _name(kind: object) -> str:
    return str(kind).removeprefix("torch.")
