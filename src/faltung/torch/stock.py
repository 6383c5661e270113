"""PyTorch's own convolutions, with the paddings that they lack written out before them.

What they compute is what faltung does: for whatever it does not cover, and for programs that run elsewhere. Where a
program is written down, nothing here depends on the sizes of the example that it is written from.
"""

from functools import cache
from operator import index
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from faltung.spec.options import ConvOptions
from faltung.torch import private
from faltung.torch.options import FIRST, padding_pairs, per_axis, spread, windows_of

functions = torch.nn.functional
CONVOLVE: dict[int, Any] = {1: functions.conv1d, 2: functions.conv2d, 3: functions.conv3d}
TRANSPOSED: dict[int, Any] = {
    1: functions.conv_transpose1d,
    2: functions.conv_transpose2d,
    3: functions.conv_transpose3d,
}


def convolve(rank: int, x: Tensor, kernel: Tensor, bias: Tensor | None, options: ConvOptions) -> Tensor:
    """Convolve x, (N, C, *spatial) or (C, *spatial), on an input padded first where PyTorch knows no such padding."""
    stride, padding, dilation, groups, *_ = options
    if options.padding_mode != "zeros" or not is_torchs(padding, stride):
        x, padding = _padded(rank, x, kernel, spread(rank, options, FIRST[rank])), 0
    return CONVOLVE[rank](x, kernel, bias, stride, padding, dilation, groups)


def convolve_transposed(
    rank: int, x: Tensor, kernel: Tensor, bias: Tensor | None, output_padding: Any, options: ConvOptions
) -> Tensor:
    """Convolve transposed."""
    stride, padding, dilation, groups, *_ = options
    return TRANSPOSED[rank](x, kernel, bias, stride, padding, output_padding, groups, dilation)


def is_torchs(padding: Any, stride: Any) -> bool:
    """Is this padding one that PyTorch's convolutions know?"""
    if isinstance(padding, str):
        return padding == "valid" or (padding == "same" and set(per_axis(1, stride)) == {1})
    return isinstance(padding, int) or all(isinstance(entry, int) for entry in padding)


def _padded(rank: int, x: Tensor, kernel: Tensor, options: ConvOptions) -> Tensor:
    """x with its padding; options have an entry for each axis."""
    mode = torchs_mode(options.padding_mode)
    is_traced = private.tracing_state() is not None
    kernel_size = [index(size) for size in kernel.shape[2:]] if is_traced else kernel.shape[2:]
    if depends_on_size(options):
        windows, steps = list(windows_of(kernel_size, options)), list(options.stride)  # type: ignore[arg-type]
        function = _scripted(padded_to_same) if is_traced else padded_to_same
        return function(x, windows, steps, mode, str(options.padding).lower() == "same_lower")
    return pad(x, pad_ends(padding_pairs(rank, x, kernel_size, options)), mode)


def torchs_mode(padding_mode: str) -> str:
    """The mode as `torch.nn.functional.pad` calls it."""
    return "constant" if padding_mode == "zeros" else padding_mode


def pad_ends(pairs: Any) -> list[int]:
    """(low, high) of each axis as `torch.nn.functional.pad` takes them: the last axis first."""
    return [end for pair in reversed(pairs) for end in pair]


def depends_on_size(options: ConvOptions) -> bool:
    """Is this a padding that differs from one size of the input to the next? Options have an entry for each axis."""
    is_same = isinstance(options.padding, str) and options.padding.lower() in ("same", "same_lower")
    return is_same and set(options.stride) != {1}  # type: ignore[arg-type]


def padded_to_same(x: Tensor, windows: list[int], stride: list[int], mode: str, odd_at_low: bool) -> Tensor:
    """x padded so that its convolution has ceil(size/stride) entries; also TorchScript, and of symbolic sizes."""
    rank = len(windows)
    ends: list[int] = []
    for i in range(rank):
        window, step = windows[rank - 1 - i], stride[rank - 1 - i]
        # (ceil(size/step) - 1)*step + window - size
        total = window - 1 - (x.size(x.dim() - 1 - i) - 1) % step
        if window < step:
            total = max(total, 0)
        less = total // 2
        if odd_at_low:
            less = total - less
        ends.append(less)
        ends.append(total - less)
    return pad(x, ends, mode)


@cache
def _scripted(function: Any) -> Any:
    """The function as TorchScript, which a trace writes down as it is, whatever the sizes of its example."""
    return torch.jit.script(function)
