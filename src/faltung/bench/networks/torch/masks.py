"""Networks with an output for each sample or pixel: a U-Net along time, PhaseNet, a U-Net of images."""

import torch
from torch import Tensor, nn

from faltung.bench.networks.torch.pieces import Concat, conv_bn, settled


def unet1d() -> nn.Module:
    """Return a U-Net along time (after Ronneberger 2015): max pools down, nearest neighbours up."""

    def twice(in_channels: int, out_channels: int) -> list[nn.Module]:
        return [
            *(*conv_bn(1, in_channels, out_channels, 9), nn.ReLU()),
            *(*conv_bn(1, out_channels, out_channels, 9), nn.ReLU()),
        ]

    def level(in_channels: int, width: int, depth: int) -> nn.Sequential:
        layers = twice(in_channels, width)
        if depth:
            below = nn.Sequential(nn.MaxPool1d(2), level(width, 2 * width, depth - 1), nn.Upsample(scale_factor=2))
            layers += [Concat([nn.Identity(), below]), *twice(3 * width, width)]
        return nn.Sequential(*layers)

    return settled(nn.Sequential(level(2, 16, 3), nn.Conv1d(16, 4, 1), nn.Softmax(1)))


class PhaseNet(nn.Module):
    """PhaseNet (Zhu and Beroza 2018): picks P and S waves in three components of 3001 samples.

    Each level divides the length by four, rounded up; the way back crops what the transposed convolution makes too much
    of, and reads the level of the same length beside it.
    """

    def __init__(self, width: int = 8, depth: int = 5) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth)]
        self.start = nn.Sequential(nn.Conv1d(3, width, 7, padding=3), nn.BatchNorm1d(width), nn.ReLU())
        self.levels = nn.ModuleList()
        self.downs = nn.ModuleList()
        self.ups = nn.ModuleList()
        self.joins = nn.ModuleList()
        for level, size in enumerate(widths):
            before = widths[max(level - 1, 0)]
            self.levels.append(nn.Sequential(*conv_bn(1, before, size, 7), nn.ReLU()))
            if level < depth - 1:
                self.downs.append(nn.Sequential(*conv_bn(1, size, size, 7, 4), nn.ReLU()))
                up = nn.ConvTranspose1d(2 * size, size, 7, 4, bias=False)
                self.ups.append(nn.Sequential(up, nn.BatchNorm1d(size), nn.ReLU()))
                self.joins.append(nn.Sequential(*conv_bn(1, 2 * size, size, 7), nn.ReLU()))
        self.end = nn.Conv1d(width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the probabilities (N, 3, 3001) of noise, P and S."""
        x = self.start(x)
        skips = []
        for level, down in zip(self.levels, self.downs, strict=False):
            x = level(x)
            skips.append(x)
            x = down(x)
        x = self.levels[-1](x)
        for up, join in zip(reversed(self.ups), reversed(self.joins), strict=True):
            skip = skips.pop()
            x = up(x)[..., 1 : 1 + skip.shape[-1]]
            x = join(torch.cat([skip, x], 1))
        return torch.softmax(self.end(x), 1)


def phasenet() -> nn.Module:
    """Return PhaseNet."""
    return settled(PhaseNet())


def unet128() -> nn.Module:
    """Return a U-Net for images of 128 pixels with 16 channels at the top: transposed convolutions up, a mask out."""

    def twice(in_channels: int, out_channels: int) -> list[nn.Module]:
        return [
            *(*conv_bn(2, in_channels, out_channels, 3), nn.ReLU()),
            *(*conv_bn(2, out_channels, out_channels, 3), nn.ReLU()),
        ]

    def level(in_channels: int, width: int, depth: int) -> nn.Sequential:
        layers = twice(in_channels, width)
        if depth:
            up = nn.ConvTranspose2d(2 * width, width, 2, 2)
            below = nn.Sequential(nn.MaxPool2d(2), level(width, 2 * width, depth - 1), up)
            layers += [Concat([nn.Identity(), below]), *twice(2 * width, width)]
        return nn.Sequential(*layers)

    return settled(nn.Sequential(level(3, 16, 4), nn.Conv2d(16, 1, 1), nn.Sigmoid()))
