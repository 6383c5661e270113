"""What faltung computes, and what goes to PyTorch's own kernel, with the reason in words."""

import torch
from torch import Tensor

from faltung.spec import dtype as spec_dtype
from faltung.spec.rules import spoken
from faltung.torch import private
from faltung.torch.tensors import PLAIN

COMPUTED: dict[torch.dtype, str] = {getattr(torch, name): name for name in spec_dtype.COMPUTED}
"""The element types that faltung computes in, and their names."""
STRIDED = torch.strided
IN_THESE = f"and faltung computes in {spoken(spec_dtype.COMPUTED, 'and')}"

EXPORTED = "a program for elsewhere is being written, and PyTorch's operators are known everywhere"


def refusal(x: Tensor, kernel: Tensor, bias: Tensor | None) -> str | None:
    """Return why PyTorch's own kernel computes with these tensors; None where faltung does."""
    if private.MISSING:
        return f"this version of PyTorch lacks {spoken(private.MISSING, 'and')}, which tells faltung who watches a call"
    if type(x) not in PLAIN or type(kernel) not in PLAIN or (bias is not None and type(bias) not in PLAIN):
        given = (x, kernel) if bias is None else (x, kernel, bias)
        foreign = {type(tensor).__name__ for tensor in given if _has_own_operators(tensor)}
        if foreign:
            return f"{' and '.join(sorted(foreign))} brings operators of its own"
    dtype = x.dtype
    if dtype not in COMPUTED:
        role = "the weight" if x is kernel else "x"
        return f"{role} is {_name(dtype)}, {IN_THESE}"
    for tensor in (x, kernel) if bias is None else (x, kernel, bias):
        if tensor.is_cpu and tensor.dtype is dtype and tensor.layout is STRIDED:
            continue
        role = "x" if tensor is x else "the weight" if tensor is kernel else "the bias"
        if not tensor.is_cpu:
            return f"{role} is on {tensor.device}, and faltung computes on processors"
        if tensor.dtype is not dtype:
            return f"x is {_name(dtype)} and {role} {_name(tensor.dtype)}, and faltung computes in one type"
        return f"{role} is stored as {_name(tensor.layout)}, and faltung reads strided memory"
    if x.is_nested:
        return "x is nested, and faltung reads strided memory"
    if torch.is_autocast_enabled("cpu"):
        return f"autocast asks for {_name(torch.get_autocast_dtype('cpu'))}, {IN_THESE}"
    if torch.compiler.is_compiling():
        if torch.compiler.is_exporting():
            return EXPORTED
        if private.are_transforms_active():
            return "torch.compile traces transforms of torch.func through PyTorch's operators only"
    if private.tracing_state() is not None:
        return EXPORTED
    if private.is_in_forward_mode():
        return "forward-mode derivatives are asked for, and faltung knows the backward ones"
    return None


def _has_own_operators(tensor: object) -> bool:
    if type(tensor) in PLAIN:
        return False
    if not isinstance(tensor, Tensor):  # what stands for one while a program is traced, or a mistake
        return True
    # not torch.overrides.has_torch_function, to which any mode makes every tensor foreign
    is_redefined = type(tensor).__torch_function__ is not torch.nn.Parameter.__torch_function__
    return is_redefined or private.is_traceable_wrapper(tensor)


def _name(kind: object) -> str:
    return str(kind).removeprefix("torch.")
