"""The three operators and their derivatives.

With y = convolve(x, w), dx = input_gradient(dy, w) and dw = kernel_gradient(x, dy), one number stands behind them all,

    sum(y * dy) = sum(x * dx) = sum(w * dw),

linear in x, in w and in dy. So every derivative of the three is one of the three again, to any order:

    operator                      by its first argument    by its second argument
    y  = convolve(x, w)           input_gradient(·, w)     kernel_gradient(x, ·)
    dx = input_gradient(dy, w)    convolve(·, w)           kernel_gradient(·, dy)
    dw = kernel_gradient(x, dy)   input_gradient(dy, ·)    convolve(x, ·)
"""

from typing import Any

from torch import Tensor

from faltung.arrays import forward, gradients, transposed
from faltung.errors import ShapeError
from faltung.spec.options import ConvOptions
from faltung.torch import flops, threads
from faltung.torch.bias import sum_of_channels
from faltung.torch.dispatch import Operator
from faltung.torch.options import Ints, lies_last, output_sizes, transposed_sizes
from faltung.torch.tensors import as_array, as_kernel, as_tensor, empty

TRANSPOSED = {1: transposed.conv1d_transpose, 2: transposed.conv2d_transpose, 3: transposed.conv3d_transpose}


def _words(options: ConvOptions, kernel_layout: str = "OIW") -> dict[str, Any]:
    """The options as keywords of faltung's gradients on arrays."""
    return {
        "stride": options.stride,
        "padding": options.padding,
        "dilation": options.dilation,
        "groups": options.groups,
        "layout": options.layout,
        "kernel_layout": kernel_layout,
        "padding_mode": options.padding_mode,
        "precision": options.precision,
    }


# ---- y = convolve(x, kernel) + bias


def _convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, options: ConvOptions) -> Tensor:
    threads.share_once()
    if kernel.shape[0] == 0:  # PyTorch refuses it
        raise ShapeError(f"conv{x.dim() - 2}d: the weight must have at least one output; got {tuple(kernel.shape)}.")
    is_last = lies_last(options)
    kernel_array, kernel_layout = as_kernel(kernel)
    if kernel_layout != options.kernel_layout:
        options = options._replace(kernel_layout=kernel_layout)
    rank = x.dim() - 2
    arrays = as_array(x, channels_last=is_last), kernel_array, None if bias is None else as_array(bias)
    return as_tensor(forward.convolve(f"conv{rank}d", rank, *arrays, options, None), channels_last=is_last)


def _fake_convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, options: ConvOptions) -> Tensor:
    sizes = output_sizes(x.shape[2:], kernel.shape[2:], options)
    return empty(x, x.shape[0], kernel.shape[0], sizes, channels_last=lies_last(options))


def _derive_convolve(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
    x, kernel = ctx.saved_tensors
    by_x, by_kernel, by_bias, *_ = ctx.needs_input_grad
    return (
        input_gradient(dy, kernel, None, list(x.shape[2:]), ctx.options) if by_x else None,
        kernel_gradient(x, dy, list(kernel.shape[2:]), ctx.options) if by_kernel else None,
        sum_of_channels(dy) if by_bias else None,
    )


# ---- dx = input_gradient(dy, kernel) + bias; with a bias it is a transposed convolution


def _input_gradient(dy: Tensor, kernel: Tensor, bias: Tensor | None, in_size: Ints, options: ConvOptions) -> Tensor:
    threads.share_once()
    is_last = lies_last(options)
    if kernel.shape[1] == 0:
        return dy.new_empty((dy.shape[0], 0, *in_size))
    kernel_array, kernel_layout = as_kernel(kernel)
    arrays, words = (as_array(dy, channels_last=is_last), kernel_array), _words(options, kernel_layout)
    if bias is None:
        batch, channels = dy.shape[0], kernel.shape[1] * options.groups
        shape = (batch, *in_size, channels) if is_last else (batch, channels, *in_size)
        return as_tensor(gradients.input_gradient(*arrays, shape, **words), channels_last=is_last)
    del words["padding_mode"]  # zeros
    least = transposed_sizes(dy.shape[2:], kernel.shape[2:], options)
    more = tuple(size - smallest for size, smallest in zip(in_size, least, strict=True))
    dx = TRANSPOSED[dy.dim() - 2](*arrays, as_array(bias), output_padding=more, **words)
    return as_tensor(dx, channels_last=is_last)


def _fake_input_gradient(
    dy: Tensor, kernel: Tensor, bias: Tensor | None, in_size: Ints, options: ConvOptions
) -> Tensor:
    return empty(dy, dy.shape[0], kernel.shape[1] * options.groups, in_size, channels_last=lies_last(options))


def _derive_input_gradient(ctx: Any, ddx: Tensor) -> tuple[Any, ...]:
    dy, kernel = ctx.saved_tensors
    by_dy, by_kernel, by_bias, *_ = ctx.needs_input_grad
    return (
        convolve(ddx, kernel, None, ctx.options) if by_dy else None,
        kernel_gradient(ddx, dy, list(kernel.shape[2:]), ctx.options) if by_kernel else None,
        sum_of_channels(ddx) if by_bias else None,
        None,
    )


# ---- dkernel = kernel_gradient(x, dy, kernel_size)


def _kernel_gradient(x: Tensor, dy: Tensor, kernel_size: Ints, options: ConvOptions) -> Tensor:
    threads.share_once()
    is_last = lies_last(options)
    if x.shape[1] == 0:
        return x.new_empty((dy.shape[1], 0, *kernel_size))
    arrays = as_array(x, channels_last=is_last), as_array(dy, channels_last=is_last)
    return as_tensor(gradients.kernel_gradient(*arrays, tuple(kernel_size), **_words(options)))


def _fake_kernel_gradient(x: Tensor, dy: Tensor, kernel_size: Ints, options: ConvOptions) -> Tensor:
    return empty(x, dy.shape[1], x.shape[1] // options.groups, kernel_size, channels_last=False)


def _derive_kernel_gradient(ctx: Any, ddkernel: Tensor) -> tuple[Any, ...]:
    x, dy = ctx.saved_tensors
    by_x, by_dy, *_ = ctx.needs_input_grad
    return (
        input_gradient(dy, ddkernel, None, list(x.shape[2:]), ctx.options) if by_x else None,
        convolve(x, ddkernel, None, ctx.options) if by_dy else None,
        None,
    )


convolve = Operator(
    "convolve",
    "Tensor x, Tensor kernel, Tensor? bias",
    compute=_convolve,
    fake=_fake_convolve,
    derivative=_derive_convolve,
)
input_gradient = Operator(
    "input_gradient",
    "Tensor dy, Tensor kernel, Tensor? bias, SymInt[] in_size",
    compute=_input_gradient,
    fake=_fake_input_gradient,
    derivative=_derive_input_gradient,
)
kernel_gradient = Operator(
    "kernel_gradient",
    "Tensor x, Tensor dy, SymInt[] kernel_size",
    compute=_kernel_gradient,
    fake=_fake_kernel_gradient,
    derivative=_derive_kernel_gradient,
)

flops.register()
