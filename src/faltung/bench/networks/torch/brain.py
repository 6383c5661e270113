"""Networks of EEG and body sensors, which see (channels, time) as an image with one colour."""

import torch
from torch import Tensor, nn

from faltung.bench.networks.torch.pieces import settled


def eegnet() -> nn.Module:
    """Return EEGNet-8,2 (Lawhern 2018) for 64 electrodes and 128 samples: a filter bank, depthwise, separable."""
    return settled(
        nn.Sequential(
            *(nn.Conv2d(1, 8, (1, 64), padding="same", bias=False), nn.BatchNorm2d(8)),
            *(nn.Conv2d(8, 16, (64, 1), groups=8, bias=False), nn.BatchNorm2d(16), nn.ELU()),
            *(nn.AvgPool2d((1, 4)), nn.Dropout(0.5)),
            nn.Conv2d(16, 16, (1, 16), padding="same", groups=16, bias=False),
            *(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ELU()),
            *(nn.AvgPool2d((1, 8)), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 4), nn.Softmax(1)),
        )
    )


class LogPower(nn.Module):
    """The logarithm of the mean square in each window."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d((1, 75), (1, 15))

    def forward(self, x: Tensor) -> Tensor:
        """Return log(max(mean(x²), 1e-6))."""
        return torch.log(torch.clamp(self.pool(x.square()), min=1e-6))


def shallow_convnet() -> nn.Module:
    """Return the shallow network of Schirrmeister 2017 for 22 electrodes: two linear filters, power, logarithm."""
    return settled(
        nn.Sequential(
            *(nn.Conv2d(1, 40, (1, 25)), nn.Conv2d(40, 40, (22, 1), bias=False), nn.BatchNorm2d(40)),
            *(LogPower(), nn.Dropout(0.5), nn.Conv2d(40, 4, (1, 27)), nn.Flatten(), nn.LogSoftmax(1)),
        )
    )


class Steps(nn.Module):
    """What a recurrent layer reads: time first, and of each step all channels of all sensors."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, W, C * S) of (N, C, W, S)."""
        return x.transpose(1, 2).flatten(2)


def deepconvlstm_front() -> nn.Module:
    """Return the four convolutions of DeepConvLSTM (Ordóñez 2016) along 24 steps of 113 sensors."""
    layers: list[nn.Module] = []
    for in_channels in (1, 64, 64, 64):
        layers += [nn.Conv2d(in_channels, 64, (5, 1)), nn.ReLU()]
    return settled(nn.Sequential(*layers, Steps()))
