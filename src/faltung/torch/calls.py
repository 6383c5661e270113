"""One call, one of three ways: by the fast path, through an operator with derivatives, or to PyTorch's own kernel.

Options come as PyTorch's users spell them. x and the result are (N, C, *spatial) or (C, *spatial), or channels last
where `layout` says so.
"""

from typing import Any

import torch
from torch import Tensor

from faltung.errors import FaltungError
from faltung.spec import spec_from_call
from faltung.spec.options import ConvOptions
from faltung.spec.precision import check_precision
from faltung.torch import answers, fast_path, operators, stock
from faltung.torch.coverage import refusal
from faltung.torch.options import (
    FIRST,
    in_torchs_order,
    per_axis,
    resolve,
    transposed_sizes,
    with_channels_last,
    with_memory_order,
)
from faltung.torch.tensors import is_observed

NAMES = {rank: f"conv{rank}d" for rank in FIRST}
TRANSPOSED_NAMES = {rank: f"conv_transpose{rank}d" for rank in FIRST}


def convolve(rank: int, x: Tensor, kernel: Tensor, bias: Tensor | None, options: ConvOptions) -> Tensor:
    """Convolve, by faltung where it can."""
    check_precision(NAMES[rank], options.precision)
    given, x = x, in_torchs_order(rank, x, options)
    try:
        if refusal(x, kernel, bias) is not None:
            y = stock.convolve(rank, x, kernel, bias, options)
        elif x.dim() == rank + 1:
            y = _convolve(rank, x[None], kernel, bias, options)[0]
        else:
            y = _convolve(rank, x, kernel, bias, options)
    except FaltungError as error:
        y = answers.of_pytorch(error, stock.convolve, rank, x, kernel, bias, options)
    except RuntimeError as error:
        raise answers.with_place(error)  # noqa: B904  # the same error
    return y if x is given else with_channels_last(rank, y)


def _convolve(rank: int, x: Tensor, kernel: Tensor, bias: Tensor | None, options: ConvOptions) -> Tensor:
    if x.dim() != rank + 2 or kernel.dim() != rank + 2:
        _refuse_axes(rank, x, kernel)
    if is_fast(x, kernel, bias):
        return fast_path.prepared(rank, x, kernel, bias, options)(x, kernel, bias)
    return operators.convolve(x, kernel, bias, resolve(rank, x, kernel, options))


def convolve_transposed(
    rank: int, x: Tensor, kernel: Tensor, bias: Tensor | None, output_padding: Any, options: ConvOptions
) -> Tensor:
    """Convolve transposed, by faltung where it can."""
    check_precision(TRANSPOSED_NAMES[rank], options.precision)
    given, x = x, in_torchs_order(rank, x, options)
    try:
        if refusal(x, kernel, bias) or refusal_of_sizes(rank, x, kernel, output_padding, options):
            y = stock.convolve_transposed(rank, x, kernel, bias, output_padding, options)
        elif x.dim() == rank + 1:
            y = _convolve_transposed(rank, x[None], kernel, bias, output_padding, options)[0]
        else:
            y = _convolve_transposed(rank, x, kernel, bias, output_padding, options)
    except FaltungError as error:
        y = answers.of_pytorch(error, stock.convolve_transposed, rank, x, kernel, bias, output_padding, options)
    except RuntimeError as error:
        raise answers.with_place(error)  # noqa: B904  # the same error
    return y if x is given else with_channels_last(rank, y)


def _convolve_transposed(
    rank: int, x: Tensor, kernel: Tensor, bias: Tensor | None, output_padding: Any, options: ConvOptions
) -> Tensor:
    options = with_memory_order(rank, x, kernel, options)
    cuts_and_more: Any = list(zip(options.padding, per_axis(rank, output_padding), strict=True))  # type: ignore[arg-type]
    # an output padding first takes back what the padding cut off at the high end
    options = options._replace(padding=tuple((cut, max(cut - more, 0)) for cut, more in cuts_and_more))
    least = transposed_sizes(x.shape[2:], kernel.shape[2:], options)
    sizes = [size + max(more - cut, 0) for size, (cut, more) in zip(least, cuts_and_more, strict=True)]
    return operators.input_gradient(x, kernel, bias, sizes, options)


def _refuse_axes(rank: int, x: Tensor, kernel: Tensor) -> None:
    """Raise the error that says what is wrong with the number of axes."""
    shapes = (tuple(x.shape), "float32", tuple(kernel.shape), "float32")
    options = ConvOptions(layout=FIRST[rank], kernel_layout="OIW")
    spec_from_call(f"conv{rank}d", *shapes, rank=rank, options=options)


def is_fast(x: Tensor, kernel: Tensor, bias: Tensor | None) -> bool:
    """Can the kernel run at once, with nobody watching and no derivative to come?"""
    if is_observed(x, kernel, bias) or x.is_neg() or kernel.is_neg() or (bias is not None and bias.is_neg()):
        return False  # or the numbers in memory are not those of the tensor
    if not torch.is_grad_enabled():
        return True
    return not (x.requires_grad or kernel.requires_grad or (bias is not None and bias.requires_grad))


def refusal_of_sizes(rank: int, x: Tensor, kernel: Tensor, output_padding: Any, options: ConvOptions) -> str | None:
    """Why PyTorch's own kernel computes a transposed convolution of x, (N, C, *spatial), or refuses it."""
    if x.dim() not in (rank + 1, rank + 2) or kernel.dim() != rank + 2 or x.shape[-1 - rank] != kernel.shape[0]:
        return "x and the weight do not fit together, which PyTorch explains"
    stride, padding, more, dilation = (
        per_axis(rank, option) for option in (options.stride, options.padding, output_padding, options.dilation)
    )
    if any(len(option) != rank for option in (stride, padding, more, dilation)):
        return f"an option does not have {rank} entries, which PyTorch explains"
    for step, cut, extra, spacing in zip(stride, padding, more, dilation, strict=True):
        if step < 1 or spacing < 1 or cut < 0 or not 0 <= extra < max(step, spacing):
            return "an option is out of its range, which PyTorch explains"
        if extra - cut >= step:
            return f"output_padding {extra} goes beyond padding {cut} by a whole stride, {step}"
    pairs = tuple((cut, cut) for cut in padding)
    least = transposed_sizes(
        x.shape[-rank:], kernel.shape[2:], options._replace(stride=stride, padding=pairs, dilation=dilation)
    )
    if min(size + extra for size, extra in zip(least, more, strict=True)) < 1:
        return "the result would have no elements, which PyTorch explains"
    return None
