"""What the networks share: joins of branches as modules, convolutions with their batch norm, and settled numbers."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Linear)


class Sum(nn.ModuleList):
    """The sum of what all branches make of x."""

    def forward(self, x: Tensor) -> Tensor:
        """Return branch(x) + branch(x), and so on."""
        first, *others = (branch(x) for branch in self)
        for other in others:
            first = first + other
        return first


class Product(nn.ModuleList):
    """The product of what both branches make of x: gates, masks, squeeze-excite."""

    def forward(self, x: Tensor) -> Tensor:
        """Return branch(x) * branch(x)."""
        first, second = (branch(x) for branch in self)
        return first * second


class Concat(nn.ModuleList):
    """What all branches make of x, one after the other along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenation, channels first."""
        return torch.cat([branch(x) for branch in self], 1)


def residual(body: nn.Module, shortcut: nn.Module | None = None) -> nn.Sequential:
    """Return relu(body(x) + shortcut(x)); without a shortcut it is x itself."""
    return nn.Sequential(Sum([body, shortcut or nn.Identity()]), nn.ReLU())


def conv_bn(
    rank: int, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution with symmetric "same" padding and without bias, and the batch norm after it."""
    conv, norm = (nn.Conv1d, nn.BatchNorm1d) if rank == 1 else (nn.Conv2d, nn.BatchNorm2d)
    padding = (kernel_size - 1) // 2
    return [
        conv(in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False),
        norm(out_channels),
    ]


def settled(model: nn.Module) -> nn.Module:
    """Return the model in eval mode with seeded numbers.

    Kernels are He's, which keep the size of what flows through; norms have scales, shifts and running statistics that
    are not trivial, as training leaves them.
    """
    random = torch.Generator().manual_seed(0)

    def normal(like: Tensor, deviation: float) -> Tensor:
        return torch.empty(like.shape).normal_(0.0, deviation, generator=random)

    def around_one(like: Tensor) -> Tensor:
        return torch.empty(like.shape).uniform_(0.5, 1.5, generator=random)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, CONVOLUTIONS):
                kernel = normal(module.weight, sqrt(2.0 / module.weight[0].numel()))
                if parametrize.is_parametrized(module, "weight"):
                    module.weight = kernel  # weight_norm takes length and direction from it
                else:
                    module.weight.copy_(kernel)
            elif isinstance(module, NORMS):
                module.weight.copy_(around_one(module.weight))
            else:
                continue
            if module.bias is not None:
                module.bias.copy_(normal(module.bias, 0.1))
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.copy_(normal(module.running_mean, 0.1))
                module.running_var.copy_(around_one(module.running_var))
    return model.eval()
