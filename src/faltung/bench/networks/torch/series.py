"""Classifiers of series: what beginners write, FCN, InceptionTime, a ResNet of the ECG, and the TCN."""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from faltung.bench.networks.torch.pieces import Concat, Sum, conv_bn, residual, settled


def conv_flatten_dense() -> nn.Module:
    """Return the smallest network of all: one convolution, flatten, dense."""
    return settled(nn.Sequential(nn.Conv1d(4, 16, 5), nn.ReLU(), nn.Flatten(), nn.Linear(46 * 16, 3)))


def har_cnn() -> nn.Module:
    """Return the convolutional network of tutorials on recognising activities: two convolutions, pool, two dense."""
    return settled(
        nn.Sequential(
            *(nn.Conv1d(9, 64, 3), nn.ReLU(), nn.Conv1d(64, 64, 3), nn.ReLU(), nn.Dropout(0.5), nn.MaxPool1d(2)),
            *(nn.Flatten(), nn.Linear(62 * 64, 100), nn.ReLU(), nn.Linear(100, 6), nn.Softmax(1)),
        )
    )


def fcn() -> nn.Module:
    """Return the fully convolutional network of Wang 2017: three convolutions with batch norm, mean over time."""
    layers: list[nn.Module] = []
    for in_channels, out_channels, kernel_size in ((1, 128, 8), (128, 256, 5), (256, 128, 3)):
        conv = nn.Conv1d(in_channels, out_channels, kernel_size, padding="same")
        layers += [conv, nn.BatchNorm1d(out_channels), nn.ReLU()]
    return settled(nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, 2)))


def inception_time() -> nn.Module:
    """Return InceptionTime (Fawaz 2020): six modules, a shortcut around each three."""

    def module(in_channels: int) -> nn.Sequential:
        bottleneck = nn.Conv1d(in_channels, 32, 1, bias=False) if in_channels > 1 else nn.Identity()
        width = 32 if in_channels > 1 else 1
        kernels = (nn.Conv1d(width, 32, size, padding="same", bias=False) for size in (40, 20, 10))
        pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(in_channels, 32, 1, bias=False))
        joined = Concat([nn.Sequential(bottleneck, Concat(kernels)), pooled])
        return nn.Sequential(joined, nn.BatchNorm1d(128), nn.ReLU())

    def three(in_channels: int) -> nn.Sequential:
        body = nn.Sequential(module(in_channels), module(128), module(128))
        return residual(body, nn.Sequential(*conv_bn(1, in_channels, 128, 1)))

    head = (nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(128, 5))
    return settled(nn.Sequential(three(1), three(128), *head))


def ecg_resnet() -> nn.Module:
    """Return an 18-layer ResNet along time for twelve leads, as in the benchmark of Strodthoff 2021."""

    def block(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
        body = nn.Sequential(
            *conv_bn(1, in_channels, out_channels, 5, stride), nn.ReLU(), *conv_bn(1, out_channels, out_channels, 5)
        )
        is_same = stride == 1 and in_channels == out_channels
        return residual(body, None if is_same else nn.Sequential(*conv_bn(1, in_channels, out_channels, 1, stride)))

    layers = [*conv_bn(1, 12, 64, 7, 2), nn.ReLU(), nn.MaxPool1d(3, 2, 1), block(64, 64, 1), block(64, 64, 1)]
    for width in (64, 128, 256):
        layers += [block(width, 2 * width, 2), block(2 * width, 2 * width, 1)]
    return settled(nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(512, 5)))


class Chomp(nn.Module):
    """Cut off what a symmetric padding added at the end, which makes the convolution before it causal."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return x without its last positions."""
        return x[..., : -self.size]


class Last(nn.Module):
    """The last position of a series."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C) of (N, C, W)."""
        return x[..., -1]


def tcn() -> nn.Module:
    """Return the temporal convolutional network of Bai 2018 on sequential digits: pads and chomps, weight_norm."""

    def conv(in_channels: int, dilation: int) -> list[nn.Module]:
        padding = 6 * dilation
        layer = weight_norm(nn.Conv1d(in_channels, 25, 7, padding=padding, dilation=dilation))
        return [layer, Chomp(padding), nn.ReLU(), nn.Dropout(0.05)]

    layers: list[nn.Module] = []
    for level in range(8):
        in_channels = 25 if level else 1
        body = nn.Sequential(*conv(in_channels, 2**level), *conv(25, 2**level))
        shortcut = nn.Identity() if level else nn.Conv1d(1, 25, 1)
        layers += [Sum([body, shortcut]), nn.ReLU()]
    return settled(nn.Sequential(*layers, Last(), nn.Linear(25, 10), nn.LogSoftmax(1)))
