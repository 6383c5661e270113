"""vmap over the operators: many convolutions as one. Axes are merged by reshape, the one word that every vmap knows.

Where the first operand differs between them and the kernel does not, they are more samples of one convolution. Where
kernels differ, or are computed (a kernel gradient for each), they are groups of one convolution: the channels of all
of them side by side.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from faltung.torch import private


def batched(operator: Callable[..., Tensor], *, is_kernel_gradient: bool) -> Callable[..., tuple[Tensor, int]]:
    """Return the rule for an operator that `torch.autograd.Function` and `torch.library.register_vmap` want.

    Its inputs are the operands, the sizes that they do not tell, and the options.
    """
    # the axis of channels: 1 in data (N, C, *spatial), 0 in a kernel (C_out, C_in/groups, *kernel_size) and in a bias
    operand_axes = (1, 1) if is_kernel_gradient else (1, 0, 0)
    result_axis = 0 if is_kernel_gradient else 1

    def rule(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        count, num_operands = info.batch_size, len(operand_axes)
        operands, dims, options = inputs[:num_operands], in_dims[:num_operands], inputs[-1]
        if not is_kernel_gradient and dims[1:] == (None, None):
            samples = operands[0].movedim(dims[0], 0)
            result = operator(samples.reshape(count * samples.shape[1], *samples.shape[2:]), *inputs[1:])
            return result.reshape(*samples.shape[:2], *result.shape[1:]), 0
        joined = [
            None if operand is None else _side_by_side(operand, dim, count, axis)
            for operand, dim, axis in zip(operands, dims, operand_axes, strict=True)
        ]
        options = options._replace(groups=options.groups * count)
        result = operator(*joined, *inputs[num_operands:-1], options)
        before, channels, after = result.shape[:result_axis], result.shape[result_axis], result.shape[result_axis + 1 :]
        return result.reshape(*before, count, channels // count, *after), result_axis

    return rule


def _side_by_side(operand: Tensor, dim: int | None, count: int, axis: int) -> Tensor:
    """Return the operands of all `count` members with their channels, on `axis`, one after the other."""
    if dim is None:
        many = operand.unsqueeze(axis).expand(*operand.shape[:axis], count, *operand.shape[axis:])
    else:
        many = operand.movedim(dim, axis)
    shape = many.shape
    return many.reshape(*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])


def batched_in_gradients(rule: Callable[..., tuple[Tensor, int]]) -> Callable[..., Tensor]:
    """Return what serves the vmap of old under the same rule.

    `torch.autograd.grad(is_grads_batched=True)`, and so `jacobian(vectorize=True)`, still run on it. It knows no
    rules: an operator itself takes the axis of the innermost vmap off its operands and puts it on the result.
    """

    def run(*inputs: Any) -> Tensor:
        with private.innermost_vmap() as level:
            bare: list[Any] = [private.without_batch(value, level) for value in inputs]
            count = max(len(value) for value, given in zip(bare, inputs, strict=True) if value is not given)
            dims: list[int | None] = []
            for i, given in enumerate(inputs):
                if is_other := bare[i] is not given and len(bare[i]) != count:
                    bare[i] = bare[i][0]  # of another level only
                dims.append(None if bare[i] is given or is_other else 0)
            result, axis = rule(SimpleNamespace(batch_size=count), tuple(dims), *bare)
        return private.with_batch(result, axis, level)

    return run
