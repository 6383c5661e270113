"""What `torch.jit.script` compiles in place of a module's forward: PyTorch's operators, paddings written out.

TorchScript reads these functions as text, and of a module the constant `Module.written`.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from faltung.spec.options import ConvOptions
from faltung.torch.options import FIRST, lies_last, padding_pairs, spread, windows_of
from faltung.torch.stock import depends_on_size, pad_ends, padded_to_same, torchs_mode

Written = tuple[bool, str, bool, bool, tuple[int, ...], tuple[int, ...]]


def written(rank: int, kernel_size: Any, options: ConvOptions) -> Written:
    """What a program must be told of the options, as constants that TorchScript takes.

    Whether channels come last, the mode of the padding, whether it depends on the size, whether its odd entry is at the
    low end, its ends as `pad` takes them, and the window.
    """
    options = spread(rank, options, (options.layout or FIRST[rank]))
    is_same = depends_on_size(options)
    no_input: Any = None  # nothing depends on its size
    ends = [0] * 2 * rank if is_same else pad_ends(padding_pairs(rank, no_input, kernel_size, options))
    mode, odd_at_low = torchs_mode(options.padding_mode), str(options.padding).lower() == "same_lower"
    return lies_last(options), mode, is_same, odd_at_low, tuple(ends), tuple(windows_of(kernel_size, options))


def convolve(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: list[int],
    dilation: list[int],
    groups: int,
    channels_last: bool,
    mode: str,
    is_same: bool,
    odd_at_low: bool,
    ends: list[int],
    windows: list[int],
) -> Tensor:
    """A convolution with the options that `written` tells."""
    rank = kernel.dim() - 2
    if channels_last:
        x = x.movedim(x.dim() - 1, x.dim() - 1 - rank)
    if is_same:
        x = padded_to_same(x, windows, stride, mode, odd_at_low)
    elif max(ends) > 0:
        x = pad(x, ends, mode)
    if rank == 1:
        y = torch.conv1d(x, kernel, bias, stride, 0, dilation, groups)
    elif rank == 2:
        y = torch.conv2d(x, kernel, bias, stride, 0, dilation, groups)
    else:
        y = torch.conv3d(x, kernel, bias, stride, 0, dilation, groups)
    if channels_last:
        y = y.movedim(x.dim() - 1 - rank, x.dim() - 1)  # freezing takes y.dim() for that of a batch
    return y


def convolve_transposed(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    output_padding: list[int],
    groups: int,
    dilation: list[int],
) -> Tensor:
    """A transposed convolution of x, (N, C, *spatial) or (C, *spatial)."""
    rank = kernel.dim() - 2
    if rank == 1:
        return torch.conv_transpose1d(x, kernel, bias, stride, padding, output_padding, groups, dilation)
    if rank == 2:
        return torch.conv_transpose2d(x, kernel, bias, stride, padding, output_padding, groups, dilation)
    return torch.conv_transpose3d(x, kernel, bias, stride, padding, output_padding, groups, dilation)
