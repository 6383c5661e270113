"""What faltung computes, and what goes to PyTorch's own kernel, with the reason in words."""

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import has_torch_function
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

COMPUTED = (torch.float32, torch.float64)


def refusal(x: Tensor, kernel: Tensor, bias: Tensor | None) -> str | None:
    """Return why PyTorch's own kernel computes this convolution; None where faltung does."""
    tensors = (x, kernel) if bias is None else (x, kernel, bias)
    if has_torch_function(tensors) or any(map(is_traceable_wrapper_subclass, tensors)):
        kinds = {type(tensor).__name__ for tensor in tensors}
        return f"{' and '.join(sorted(kinds))} bring operators of their own"
    if x.dtype not in COMPUTED:
        return f"x is {_name(x.dtype)}, and faltung computes in float32 and float64"
    for tensor, role in zip(tensors, ("x", "the weight", "the bias"), strict=False):
        if not tensor.is_cpu:
            return f"{role} is on {tensor.device}, and faltung computes on processors"
        if tensor.layout is not torch.strided:
            return f"{role} is stored as {_name(tensor.layout)}, and faltung reads strided memory"
        if tensor.dtype is not x.dtype:
            return f"{role} is {_name(tensor.dtype)} and x is {_name(x.dtype)}, and faltung computes in one type"
        if tensor.dim() == 0 or 0 in tensor.shape[-kernel.dim() + 1 :]:
            return f"{role} has no elements, and PyTorch knows what that means"
    if torch.is_autocast_enabled("cpu"):
        return f"autocast asks for {_name(torch.get_autocast_dtype('cpu'))}, and faltung computes in float32 and float64"
    if forward_ad._current_level >= 0:
        return "forward-mode derivatives are asked for, and faltung knows the backward ones"
    return None


def _name(kind: object) -> str:
    return str(kind).removeprefix("torch.")
