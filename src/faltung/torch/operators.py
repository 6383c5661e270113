"""The three operators and their derivatives.

With y = convolve(x, w), dx = input_gradient(dy, w) and dw = kernel_gradient(x, dy), one number stands behind them all,

    sum(y * dy) = sum(x * dx) = sum(w * dw),

linear in x, in w and in dy. So every derivative of the three is one of the three again, to any order:

    operator                      by its first argument    by its second argument
    y  = convolve(x, w)           input_gradient(·, w)     kernel_gradient(x, ·)
    dx = input_gradient(dy, w)    convolve(·, w)           kernel_gradient(·, dy)
    dw = kernel_gradient(x, dy)   input_gradient(dy, ·)    convolve(x, ·)

Each is three things under one name: an operator of PyTorch's dispatcher (`torch.ops.faltung`) for whoever compiles or
traces, an autograd function with a rule for vmap for torch.func's transforms, and for everybody else a plain autograd
function, in a fifth of the dispatcher's time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from faltung.arrays import conv, gradients, transposed
from faltung.spec.layout import layouts
from faltung.torch.batching import batched
from faltung.torch.bias import sum_of_channels
from faltung.torch.tensors import as_array, as_kernel, as_tensor, empty, is_observed

Ints = Sequence[int]

CONVOLVE = {1: conv.conv1d, 2: conv.conv2d, 3: conv.conv3d}
TRANSPOSED = {1: transposed.conv1d_transpose, 2: transposed.conv2d_transpose, 3: transposed.conv3d_transpose}
OPTIONS = "SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups, str padding_mode, bool channels_last"
"""What follows the operands: as in faltung, but padding is flat, (low, high) of each axis in turn."""
NUM_OPTIONS = 6


class Operator:
    """One operator: called with its operands and the options, it takes the shortest way that serves the caller."""

    def __init__(
        self,
        name: str,
        operands: str,
        *,
        compute: Callable[..., Tensor],
        fake: Callable[..., Tensor],
        derivative: Callable[..., Any],
    ) -> None:
        qualified = f"faltung::{name}"
        torch.library.define(qualified, f"({operands}, {OPTIONS}) -> Tensor", tags=torch.Tag.pt2_compliant_tag)
        torch.library.impl(qualified, "cpu", compute)
        torch.library.register_fake(qualified, fake)
        torch.library.register_autograd(qualified, derivative, setup_context=_remember)
        rule = batched(self, is_kernel_gradient=name == "kernel_gradient")
        torch.library.register_vmap(qualified, rule)
        self.registered = getattr(torch.ops.faltung, name).default
        self.compute = compute
        self.differentiable = _differentiable(name, compute, derivative)
        self.transformable = _transformable(name, self, derivative, rule)

    def __call__(self, *inputs: Any) -> Tensor:
        """Compute; `inputs` are the operands, the tensors among them first, and the options."""
        tensors = [operand for operand in inputs[:3] if isinstance(operand, Tensor)]
        if is_observed(*tensors):
            is_transformed = not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()
            return self.transformable.apply(*inputs) if is_transformed else self.registered(*inputs)
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return self.differentiable.apply(*inputs)
        return self.compute(*inputs)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.options = inputs[-NUM_OPTIONS:]


def _differentiable(name: str, compute: Callable[..., Tensor], derivative: Callable[..., Any]) -> Any:
    """The operator as a `torch.autograd.Function` of the quick kind, which torch.func does not take."""

    def forward(ctx: Any, *inputs: Any) -> Tensor:
        output = compute(*inputs)
        _remember(ctx, inputs, output)
        return output

    methods = {"forward": staticmethod(forward), "backward": staticmethod(derivative)}
    return type(f"faltung_{name}", (torch.autograd.Function,), methods)


def _transformable(
    name: str, operator: Callable[..., Tensor], derivative: Callable[..., Any], rule: Callable[..., Any]
) -> Any:
    """The operator as a `torch.autograd.Function` of the kind that torch.func wants."""

    def forward(*inputs: Any) -> Tensor:
        return operator(*inputs)

    methods: dict[str, Callable[..., Any]] = {"forward": forward, "backward": derivative, "vmap": rule}
    static = {role: staticmethod(method) for role, method in methods.items()}
    return type(f"faltung_{name}", (torch.autograd.Function,), {**static, "setup_context": staticmethod(_remember)})


def _words(rank: int, options: tuple[Any, ...], kernel_layout: str = "OIW") -> dict[str, Any]:
    """The options in the words of faltung's functions on arrays."""
    stride, padding, dilation, groups, padding_mode, channels_last = options
    return {
        "stride": tuple(stride),
        "padding": tuple(zip(padding[::2], padding[1::2], strict=True)),
        "dilation": tuple(dilation),
        "groups": groups,
        "layout": layouts(rank)[0 if channels_last else 1],
        "kernel_layout": kernel_layout,
        "padding_mode": padding_mode,
    }


NONE_BY_OPTIONS = (None,) * NUM_OPTIONS


# ---- y = convolve(x, kernel) + bias


def _convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    rank, last = len(options[0]), options[-1]
    kernel_array, kernel_layout = as_kernel(kernel)
    arrays = as_array(x, channels_last=last), kernel_array, None if bias is None else as_array(bias)
    return as_tensor(CONVOLVE[rank](*arrays, **_words(rank, options, kernel_layout)), channels_last=last)


def _fake_convolve(x: Tensor, kernel: Tensor, bias: Tensor | None, *options: Any) -> Tensor:
    stride, padding, dilation, *_, last = options
    lows, highs = padding[::2], padding[1::2]
    axes = zip(x.shape[2:], kernel.shape[2:], stride, lows, highs, dilation, strict=True)
    sizes = [(size + low + high - d * (taps - 1) - 1) // step + 1 for size, taps, step, low, high, d in axes]
    return empty(x, x.shape[0], kernel.shape[0], sizes, channels_last=last)


def _derive_convolve(ctx: Any, dy: Tensor) -> Any:
    x, kernel = ctx.saved_tensors
    by_x, by_kernel, by_bias, *_ = ctx.needs_input_grad
    return (
        input_gradient(dy, kernel, None, list(x.shape[2:]), *ctx.options) if by_x else None,
        kernel_gradient(x, dy, list(kernel.shape[2:]), *ctx.options) if by_kernel else None,
        sum_of_channels(dy) if by_bias else None,
        *NONE_BY_OPTIONS,
    )


# ---- dx = input_gradient(dy, kernel) + bias; with a bias it is a transposed convolution


def _input_gradient(dy: Tensor, kernel: Tensor, bias: Tensor | None, in_size: Ints, *options: Any) -> Tensor:
    rank, last = len(options[0]), options[-1]
    kernel_array, kernel_layout = as_kernel(kernel)
    words = _words(rank, options, kernel_layout)
    arrays = as_array(dy, channels_last=last), kernel_array
    if bias is None:
        batch, channels = dy.shape[0], kernel.shape[1] * words["groups"]
        shape = (batch, *in_size, channels) if last else (batch, channels, *in_size)
        return as_tensor(gradients.input_gradient(*arrays, shape, **words), channels_last=last)
    del words["padding_mode"]  # zeros
    least = transposed_sizes(dy.shape[2:], kernel.shape[2:], *options[:3])
    more = tuple(size - smallest for size, smallest in zip(in_size, least, strict=True))
    return as_tensor(TRANSPOSED[rank](*arrays, as_array(bias), output_padding=more, **words), channels_last=last)


def transposed_sizes(sizes: Ints, kernel_size: Ints, stride: Ints, padding: Ints, dilation: Ints) -> list[int]:
    """The least sizes of x whose convolution has these sizes; `padding` is flat."""
    axes = zip(sizes, kernel_size, stride, padding[::2], padding[1::2], dilation, strict=True)
    return [(size - 1) * step + d * (taps - 1) + 1 - low - high for size, taps, step, low, high, d in axes]


def _fake_input_gradient(dy: Tensor, kernel: Tensor, bias: Tensor | None, in_size: Ints, *options: Any) -> Tensor:
    return empty(dy, dy.shape[0], kernel.shape[1] * options[3], in_size, channels_last=options[-1])


def _derive_input_gradient(ctx: Any, ddx: Tensor) -> Any:
    dy, kernel = ctx.saved_tensors
    by_dy, by_kernel, by_bias, *_ = ctx.needs_input_grad
    return (
        convolve(ddx, kernel, None, *ctx.options) if by_dy else None,
        kernel_gradient(ddx, dy, list(kernel.shape[2:]), *ctx.options) if by_kernel else None,
        sum_of_channels(ddx) if by_bias else None,
        None,
        *NONE_BY_OPTIONS,
    )


# ---- dkernel = kernel_gradient(x, dy, kernel_size)


def _kernel_gradient(x: Tensor, dy: Tensor, kernel_size: Ints, *options: Any) -> Tensor:
    rank, last = x.dim() - 2, options[-1]
    arrays = as_array(x, channels_last=last), as_array(dy, channels_last=last)
    return as_tensor(gradients.kernel_gradient(*arrays, tuple(kernel_size), **_words(rank, options)))


def _fake_kernel_gradient(x: Tensor, dy: Tensor, kernel_size: Ints, *options: Any) -> Tensor:
    return empty(x, dy.shape[1], x.shape[1] // options[3], kernel_size, channels_last=False)


def _derive_kernel_gradient(ctx: Any, ddkernel: Tensor) -> Any:
    x, dy = ctx.saved_tensors
    by_x, by_dy, *_ = ctx.needs_input_grad
    return (
        input_gradient(dy, ddkernel, None, list(x.shape[2:]), *ctx.options) if by_x else None,
        convolve(x, ddkernel, None, *ctx.options) if by_dy else None,
        None,
        *NONE_BY_OPTIONS,
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
