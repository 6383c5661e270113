"""An operator is three things under one name, and takes the shortest way that serves the caller.

It is an operator of PyTorch's dispatcher (`torch.ops.faltung`) for whoever compiles or traces, an autograd function
with a rule for vmap for torch.func's transforms, and for everybody else a plain autograd function, in a fifth of the
dispatcher's time.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from faltung.torch import private
from faltung.torch.batching import batched, batched_in_gradients
from faltung.torch.options import NUM_IN_SCHEMA, SCHEMA, from_schema, to_schema
from faltung.torch.tensors import is_observed


class Operator:
    """One operator, called with its operands and resolved options.

    Arguments:
        name: that in `torch.ops.faltung`.
        operands: what comes before the options, in the words of the dispatcher's schema.
        compute: the result of operands and options, by faltung.
        fake: a result of the same shape and strides without numbers in it.
        derivative: of (ctx, dy): the derivatives by each operand; `ctx` has saved the first two, and the options.
    """

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
        if is_observed(*tensors) or any(map(private.is_batched_by_old_vmap, tensors)):
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
    of_old = batched_in_gradients(rule)
    torch.library.impl(qualified, "Batched", lambda *inputs: of_old(*whole(inputs)))
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
