"""torch.func.vmap over the operators: many convolutions as one.

Where the first operand differs between them and the kernel does not, they are more samples of one convolution. Where
kernels differ, or are computed (a kernel gradient for each), they are groups of one convolution: the channels of all
of them side by side.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor


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
            result = operator(samples.flatten(0, 1), *inputs[1:])
            return result.unflatten(0, samples.shape[:2]), 0
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
