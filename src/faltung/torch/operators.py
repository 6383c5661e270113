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

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from faltung.arrays import conv, gradients, transposed
from faltung.spec.options import ConvOptions
from faltung.torch import private, threads
from faltung.torch.batching import batched
from faltung.torch.bias import sum_of_channels
from faltung.torch.options import (
    NUM_IN_SCHEMA,
    SCHEMA,
    Ints,
    from_schema,
    lies_last,
    output_sizes,
    to_schema,
    transposed_sizes,
)
from faltung.torch.tensors import as_array, as_kernel, as_tensor, empty, is_observed

CONVOLVE = {1: conv.conv1d, 2: conv.conv2d, 3: conv.conv3d}
TRANSPOSED = {1: transposed.conv1d_transpose, 2: transposed.conv2d_transpose, 3: transposed.conv3d_transpose}


class Operator:
    """One operator: called with its operands and resolved options, it takes the shortest way that serves the caller."""

    def __init__(
        self,
        name: str,
        operands: str,
        *,
        compute: Callable[..., Tensor],
        fake: Callable[..., Tensor],
        derivative: Callable[..., tuple[Any, ...]],
    ) -> None:
        rule = batched(self, is_kernel_gradient=name == "kernel_gradient")
        self.registered = _registered(name, operands, compute, fake, derivative, rule)
        self.compute = compute
        self.differentiable = _differentiable(name, compute, derivative)
        self.transformable = _transformable(name, self, derivative, rule)

    def __call__(self, *inputs: Any) -> Tensor:
        """Compute; `inputs` are the operands, the tensors among them first, and the options."""
        tensors = [operand for operand in inputs[:3] if isinstance(operand, Tensor)]
        if is_observed(*tensors):
            if private.are_transforms_active() and not torch.compiler.is_compiling():
                return self.transformable.apply(*inputs)
            return self.registered(*inputs[:-1], *to_schema(inputs[-1]))
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return self.differentiable.apply(*inputs)
        return self.compute(*inputs)


def _registered(
    name: str,
    operands: str,
    compute: Callable[..., Tensor],
    fake: Callable[..., Tensor],
    derivative: Callable[..., tuple[Any, ...]],
    rule: Callable[..., Any],
) -> Any:
    """The operator of PyTorch's dispatcher, which takes options apart; all that is ours takes them whole."""
    qualified = f"faltung::{name}"

    def whole(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*inputs[:-NUM_IN_SCHEMA], from_schema(*inputs[-NUM_IN_SCHEMA:]))

    def remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _remember(ctx, whole(inputs), output)

    torch.library.define(qualified, f"({operands}, {SCHEMA}) -> Tensor", tags=torch.Tag.pt2_compliant_tag)
    torch.library.impl(qualified, "cpu", lambda *inputs: compute(*whole(inputs)))
    torch.library.register_fake(qualified, lambda *inputs: fake(*whole(inputs)))
    torch.library.register_autograd(
        qualified, lambda ctx, dy: (*derivative(ctx, dy), *(None,) * NUM_IN_SCHEMA), setup_context=remember
    )
    torch.library.register_vmap(qualified, lambda info, in_dims, *inputs: rule(info, in_dims, *whole(inputs)))
    return getattr(torch.ops.faltung, name).default


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])
    ctx.options = inputs[-1]


def _differentiable(name: str, compute: Callable[..., Tensor], derivative: Callable[..., tuple[Any, ...]]) -> Any:
    """The operator as a `torch.autograd.Function` of the quick kind, which torch.func does not take."""

    def forward(ctx: Any, *inputs: Any) -> Tensor:
        output = compute(*inputs)
        _remember(ctx, inputs, output)
        return output

    def backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
        return (*derivative(ctx, dy), None)

    methods = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type(f"faltung_{name}", (torch.autograd.Function,), methods)


def _transformable(
    name: str,
    operator: Callable[..., Tensor],
    derivative: Callable[..., tuple[Any, ...]],
    rule: Callable[..., Any],
) -> Any:
    """The operator as a `torch.autograd.Function` of the kind that torch.func wants."""

    def forward(*inputs: Any) -> Tensor:
        return operator(*inputs)

    def backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:
        return (*derivative(ctx, dy), None)

    methods: dict[str, Callable[..., Any]] = {"forward": forward, "backward": backward, "vmap": rule}
    static = {role: staticmethod(method) for role, method in methods.items()}
    return type(f"faltung_{name}", (torch.autograd.Function,), {**static, "setup_context": staticmethod(_remember)})


def _words(options: ConvOptions, kernel_layout: str = "OIW") -> dict[str, Any]:
    """The options as keywords of faltung's functions on arrays."""
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
    is_last = lies_last(options)
    kernel_array, kernel_layout = as_kernel(kernel)
    arrays = as_array(x, channels_last=is_last), kernel_array, None if bias is None else as_array(bias)
    return as_tensor(CONVOLVE[x.dim() - 2](*arrays, **_words(options, kernel_layout)), channels_last=is_last)


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
    kernel_array, kernel_layout = as_kernel(kernel)
    arrays, words = (as_array(dy, channels_last=is_last), kernel_array), _words(options, kernel_layout)
    if bias is None:
        batch, channels = dy.shape[0], kernel.shape[1] * options.groups
        shape = (batch, *in_size, channels) if is_last else (batch, channels, *in_size)
        return as_tensor(gradients.input_gradient(*arrays, shape, **words), channels_last=is_last)
    del words["padding_mode"], words["precision"]  # zeros; not yet
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
