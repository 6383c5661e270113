"""The PyTorch backend: kernels seen in PyTorch's order, (C_out, C_in/groups, *kernel_size), without a copy."""

import torch
from torch import Tensor

from faltung.keras.request import Request, transposed_spec_of
from faltung.torch import calls, coverage, operators
from faltung.torch.options import FIRST, of_spec

TOGETHER = ()


def refusal(x: Tensor) -> str | None:
    """Return why Keras's own call computes with this tensor."""
    return coverage.refusal(x, x, None)


def is_exporting(x: Tensor) -> bool:
    """Is the layer traced into a program that others will run?"""
    is_tracing: bool = torch.jit.is_tracing()  # type: ignore[attr-defined]  # public, but not declared so
    return is_tracing or torch.onnx.is_in_onnx_export() or torch.compiler.is_exporting()


def convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, request: Request) -> Tensor:
    """Convolve."""
    options, kernel = request.options._replace(kernel_layout="OIW"), _in_torchs_order(kernel)
    first = _channels_first(x, request) if request.is_last else None
    if first is None:
        return calls.convolve(request.rank, x, kernel, bias, options)
    options = options._replace(layout=FIRST[request.rank])
    return calls.convolve(request.rank, first, kernel, bias, options).movedim(1, -1)


def convolve_transposed(x: Tensor, kernel: Tensor, bias: Tensor | None, request: Request) -> Tensor:
    """Convolve transposed."""
    spec = transposed_spec_of(request, tuple(x.shape), tuple(kernel.shape), str(x.dtype).removeprefix("torch."))
    x = x.movedim(-1, 1) if request.is_last else x
    y = operators.input_gradient(x, _in_torchs_order(kernel), bias, list(spec.in_size), of_spec(spec))
    return y.movedim(1, -1) if request.is_last else y


def _channels_first(x: Tensor, request: Request) -> Tensor | None:
    """The tensor with its channels first, if that is how it lies in memory.

    Keras's other layers compute so on PyTorch, and copy what lies otherwise: so results stay in the order of the input,
    and a single channel, which lies both ways, begins it.
    """
    if x.dim() != request.rank + 2:
        return None
    if x.shape[-1] == 1 and x.is_contiguous():
        return x.reshape(x.shape[0], 1, *x.shape[1:-1])
    first = x.movedim(-1, 1)
    return first if first.is_contiguous() else None


def _in_torchs_order(kernel: Tensor) -> Tensor:
    return torch.movedim(kernel, (-1, -2), (0, 1))
