"""One call, one of three ways: straight into a kernel, through an operator with derivatives, or to PyTorch's own.

Options come as PyTorch's users spell them. x and the result are (N, C, *spatial) or (C, *spatial), or channels last
where `layout` says so.
"""

from typing import Any

import torch
from torch import Tensor

from faltung.spec import named, spec_from_call
from faltung.spec.geometry import resolve_padding, window_size
from faltung.spec.layout import layouts, resolve_layout
from faltung.torch import operators
from faltung.torch.coverage import refusal
from faltung.torch.fast_path import straight
from faltung.torch.tensors import is_channels_last, is_observed

torchs = torch.nn.functional
TORCHS_CONVOLVE: dict[int, Any] = {1: torchs.conv1d, 2: torchs.conv2d, 3: torchs.conv3d}
TORCHS_TRANSPOSED: dict[int, Any] = {1: torchs.conv_transpose1d, 2: torchs.conv_transpose2d, 3: torchs.conv_transpose3d}


def convolve(
    rank: int,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
    layout: str | None,
) -> Tensor:
    """Convolve, by faltung where it can."""
    is_last = layout is not None and resolve_layout(layout, rank).endswith("C")
    if is_last:
        x = x.movedim(-1, -1 - rank)
    if refusal(x, kernel, bias) is not None:
        y = _by_pytorch(rank, x, kernel, bias, stride, padding, dilation, groups, padding_mode)
    elif x.dim() == rank + 1:
        y = _convolve(rank, x[None], kernel, bias, stride, padding, dilation, groups, padding_mode, is_last)[0]
    else:
        y = _convolve(rank, x, kernel, bias, stride, padding, dilation, groups, padding_mode, is_last)
    return y.movedim(-1 - rank, -1) if is_last else y


def _convolve(
    rank: int,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
    is_last: bool,
) -> Tensor:
    if x.dim() != rank + 2 or kernel.dim() != rank + 2:
        _refuse_axes(rank, x, kernel)
    is_last = is_last or is_channels_last(x, kernel)
    stride, dilation = per_axis(rank, stride), per_axis(rank, dilation)
    padding = padding if isinstance(padding, str) else per_axis(rank, padding)
    options = (stride, padding, dilation, groups, padding_mode, is_last)
    if is_straight(x, kernel, bias):
        compute = straight(x, kernel, bias, rank, *options)
        if compute is not None:
            return compute(x, kernel, bias)
    pairs = padding_pairs(rank, x, kernel, stride, padding, dilation)
    flat = [end for pair in pairs for end in pair]
    return operators.convolve(x, kernel, bias, stride, flat, dilation, groups, padding_mode, is_last)


def convolve_transposed(
    rank: int,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    layout: str | None,
) -> Tensor:
    """Convolve transposed, by faltung where it can."""
    is_last = layout is not None and resolve_layout(layout, rank).endswith("C")
    if is_last:
        x = x.movedim(-1, -1 - rank)
    options = (stride, padding, output_padding, groups, dilation)
    if refusal(x, kernel, bias) is not None or refusal_of_sizes(rank, x, kernel, *options) is not None:
        y = TORCHS_TRANSPOSED[rank](x, kernel, bias, *options)
    elif x.dim() == rank + 1:
        y = _convolve_transposed(rank, x[None], kernel, bias, *options, is_last)[0]
    else:
        y = _convolve_transposed(rank, x, kernel, bias, *options, is_last)
    return y.movedim(-1 - rank, -1) if is_last else y


def _convolve_transposed(
    rank: int,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    is_last: bool,
) -> Tensor:
    stride, padding, output_padding, dilation = (
        per_axis(rank, option) for option in (stride, padding, output_padding, dilation)
    )
    # an output padding first takes back what the padding cut off at the high end
    flat = [end for cut, more in zip(padding, output_padding, strict=True) for end in (cut, max(cut - more, 0))]
    rest = [max(more - cut, 0) for cut, more in zip(padding, output_padding, strict=True)]
    least = operators.transposed_sizes(x.shape[2:], kernel.shape[2:], stride, flat, dilation)
    sizes = [size + more for size, more in zip(least, rest, strict=True)]
    is_last = is_last or is_channels_last(x, kernel)
    return operators.input_gradient(x, kernel, bias, sizes, stride, flat, dilation, groups, "zeros", is_last)


def _refuse_axes(rank: int, x: Tensor, kernel: Tensor) -> None:
    """Raise the error that says what is wrong with the number of axes."""
    shapes = (tuple(x.shape), "float32", tuple(kernel.shape), "float32")
    spec_from_call(f"conv{rank}d", *shapes, rank=rank, layout=layouts(rank)[1], kernel_layout="OIW")


def is_straight(x: Tensor, kernel: Tensor, bias: Tensor | None) -> bool:
    """Can the kernel run at once, with nobody watching and no derivative to come?"""
    if is_observed(x, kernel, bias) or x.is_neg() or kernel.is_neg() or (bias is not None and bias.is_neg()):
        return False  # or the numbers in memory are not those of the tensor
    if not torch.is_grad_enabled():
        return True
    return not (x.requires_grad or kernel.requires_grad or (bias is not None and bias.requires_grad))


def per_axis(rank: int, value: Any) -> tuple[Any, ...]:
    """One entry for each spatial axis, as PyTorch reads an int or a list; a list of another length is refused later."""
    if isinstance(value, int):
        return (value,) * rank
    return tuple(value) * rank if len(value) == 1 else tuple(value)


def padding_pairs(rank: int, x: Tensor, kernel: Tensor, stride: Any, padding: Any, dilation: Any) -> Any:
    """(low, high) for each spatial axis."""
    sizes = windows = (0,) * rank  # of which only words ask
    if isinstance(padding, str):
        sizes = tuple(x.shape[-rank:])
        windows = tuple(window_size(taps, step) for taps, step in zip(kernel.shape[2:], dilation, strict=True))
    with named(f"conv{rank}d"):
        return resolve_padding(padding, sizes, windows, stride, layouts(rank)[1])


def refusal_of_sizes(
    rank: int, x: Tensor, kernel: Tensor, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any
) -> str | None:
    """Why PyTorch's own kernel computes a transposed convolution of these sizes, or refuses it."""
    if x.dim() not in (rank + 1, rank + 2) or kernel.dim() != rank + 2 or x.shape[-1 - rank] != kernel.shape[0]:
        return "x and the weight do not fit together, which PyTorch explains"
    options = [per_axis(rank, option) for option in (stride, padding, output_padding, dilation)]
    if any(len(option) != rank for option in options):
        return f"an option does not have {rank} entries, which PyTorch explains"
    for step, cut, more, d in zip(*options, strict=True):
        if step < 1 or d < 1 or cut < 0 or not 0 <= more < max(step, d):
            return "an option is out of its range, which PyTorch explains"
        if more - cut >= step:
            return f"output_padding {more} goes beyond padding {cut} by a whole stride, {step}"
    axes = zip(x.shape[-rank:], kernel.shape[2:], *options, strict=True)
    if min((size - 1) * step + d * (k - 1) + 1 - 2 * cut + more for size, k, step, cut, more, d in axes) < 1:
        return "the result would have no elements, which PyTorch explains"
    return None


def _by_pytorch(
    rank: int,
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    padding_mode: str,
) -> Tensor:
    """The same convolution by PyTorch's own kernel, on an input padded first where it knows no such padding."""
    if padding_mode != "zeros" or not _is_torchs(padding, stride):
        stride, dilation = per_axis(rank, stride), per_axis(rank, dilation)
        padding = padding if isinstance(padding, str) else per_axis(rank, padding)
        pairs = padding_pairs(rank, x, kernel, stride, padding, dilation)
        flat = [end for pair in reversed(pairs) for end in pair]
        x, padding = torchs.pad(x, flat, "constant" if padding_mode == "zeros" else padding_mode), 0
    return TORCHS_CONVOLVE[rank](x, kernel, bias, stride, padding, dilation, groups)


def _is_torchs(padding: Any, stride: Any) -> bool:
    """Is this padding one that PyTorch's convolutions know?"""
    if isinstance(padding, str):
        return padding == "valid" or (padding == "same" and set(per_axis(1, stride)) == {1})
    return isinstance(padding, int) or all(isinstance(entry, int) for entry in padding)
