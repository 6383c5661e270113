"""`torch.nn.functional`'s convolutions, with its signatures, computed by faltung.

More than PyTorch's: padding "same" with a stride, "causal" (1-D), (low, high) pairs; `padding_mode`; and `layout`,
which says that input and output are channels last, (N, W, C). The weight is always PyTorch's, (C_out, C_in/groups, K).
With `precision="exact"` faltung sums directly, in the gradients too; the default, "high", admits fast algorithms.
"""

from torch import Tensor

from faltung.spec.options import ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect
from faltung.torch.calls import convolve, convolve_transposed


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str | None = None,
    precision: str | None = None,
) -> Tensor:
    """Convolve sequences, as `torch.nn.functional.conv1d` does.

    >>> import torch
    >>> conv1d(torch.ones(8, 16, 100), torch.ones(32, 16, 7), stride=2, padding="same").shape
    torch.Size([8, 32, 50])
    >>> conv1d(torch.ones(8, 100, 16), torch.ones(32, 16, 7), padding="causal", layout="NWC").shape
    torch.Size([8, 100, 32])
    """
    order = layout or "NCW"
    options = ConvOptions(stride, padding, dilation, groups, order, "OIW", padding_mode, None, in_effect(precision))
    return convolve(1, input, weight, bias, options)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str | None = None,
    precision: str | None = None,
) -> Tensor:
    """Convolve images, as `torch.nn.functional.conv2d` does.

    >>> import torch
    >>> conv2d(torch.ones(1, 3, 32, 32), torch.ones(16, 3, 3, 3), padding=((0, 1), (1, 0))).shape
    torch.Size([1, 16, 31, 31])
    """
    order = layout or "NCHW"
    options = ConvOptions(stride, padding, dilation, groups, order, "OIW", padding_mode, None, in_effect(precision))
    return convolve(2, input, weight, bias, options)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
    *,
    padding_mode: str = "zeros",
    layout: str | None = None,
    precision: str | None = None,
) -> Tensor:
    """Convolve volumes, as `torch.nn.functional.conv3d` does.

    >>> import torch
    >>> conv3d(torch.ones(1, 2, 8, 8, 8), torch.ones(4, 2, 3, 3, 3)).shape
    torch.Size([1, 4, 6, 6, 6])
    """
    order = layout or "NCDHW"
    options = ConvOptions(stride, padding, dilation, groups, order, "OIW", padding_mode, None, in_effect(precision))
    return convolve(3, input, weight, bias, options)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
    *,
    layout: str | None = None,
    precision: str | None = None,
) -> Tensor:
    """Convolve sequences transposed, as `torch.nn.functional.conv_transpose1d` does: the adjoint of :func:`conv1d`.

    >>> import torch
    >>> conv_transpose1d(torch.ones(8, 32, 50), torch.ones(32, 16, 4), stride=2, padding=1).shape
    torch.Size([8, 16, 100])
    """
    order = layout or "NCW"
    options = ConvOptions(stride, padding, dilation, groups, order, "OIW", precision=in_effect(precision))
    return convolve_transposed(1, input, weight, bias, output_padding, options)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
    *,
    layout: str | None = None,
    precision: str | None = None,
) -> Tensor:
    """Convolve images transposed, as `torch.nn.functional.conv_transpose2d` does: the adjoint of :func:`conv2d`.

    >>> import torch
    >>> conv_transpose2d(torch.ones(1, 8, 16, 16), torch.ones(8, 3, 2, 2), stride=2).shape
    torch.Size([1, 3, 32, 32])
    """
    order = layout or "NCHW"
    options = ConvOptions(stride, padding, dilation, groups, order, "OIW", precision=in_effect(precision))
    return convolve_transposed(2, input, weight, bias, output_padding, options)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
    *,
    layout: str | None = None,
    precision: str | None = None,
) -> Tensor:
    """Convolve volumes transposed, as `torch.nn.functional.conv_transpose3d` does: the adjoint of :func:`conv3d`.

    >>> import torch
    >>> conv_transpose3d(torch.ones(1, 4, 6, 6, 6), torch.ones(4, 2, 3, 3, 3)).shape
    torch.Size([1, 2, 8, 8, 8])
    """
    order = layout or "NCDHW"
    options = ConvOptions(stride, padding, dilation, groups, order, "OIW", precision=in_effect(precision))
    return convolve_transposed(3, input, weight, bias, output_padding, options)
