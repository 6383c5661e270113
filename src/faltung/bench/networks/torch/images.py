"""Networks of small images: LeNet, a plain one for CIFAR, ResNet-20 and ResNet-18, MobileNet V2 and V3."""

from torch import nn

from faltung.bench.networks.torch.pieces import Product, Sum, conv_bn, residual, settled


def lenet() -> nn.Module:
    """Return LeNet-5 (LeCun 1998) as it is written today."""
    return settled(
        nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()),
            *(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU()),
            nn.Linear(84, 10),
        )
    )


def cifar_cnn() -> nn.Module:
    """Return the plain network of tutorials on CIFAR-10: two by two convolutions with a pool, two dense."""
    layers: list[nn.Module] = []
    for in_channels, width in ((3, 32), (32, 64)):
        layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU()]
        layers += [nn.MaxPool2d(2), nn.Dropout(0.25)]
    head = (nn.Flatten(), nn.Linear(64 * 36, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10), nn.Softmax(1))
    return settled(nn.Sequential(*layers, *head))


def basic_block(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Return the block of He 2016 with two convolutions of 3 by 3."""
    body = nn.Sequential(
        *conv_bn(2, in_channels, out_channels, 3, stride), nn.ReLU(), *conv_bn(2, out_channels, out_channels, 3)
    )
    is_same = stride == 1 and in_channels == out_channels
    return residual(body, None if is_same else nn.Sequential(*conv_bn(2, in_channels, out_channels, 1, stride)))


def resnet20() -> nn.Module:
    """Return ResNet-20 for CIFAR (He 2016): three stages of three blocks."""
    layers = [*conv_bn(2, 3, 16, 3), nn.ReLU()]
    for in_channels, width, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        layers += [basic_block(in_channels, width, stride), basic_block(width, width, 1), basic_block(width, width, 1)]
    return settled(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)))


def resnet18() -> nn.Module:
    """Return ResNet-18 (He 2016) with the stem of ImageNet and 200 classes."""
    layers = [*conv_bn(2, 3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for in_channels, width, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [basic_block(in_channels, width, stride), basic_block(width, width, 1)]
    return settled(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 200)))


def mobilenet_v2() -> nn.Module:
    """Return MobileNetV2 (Sandler 2018), width 1: inverted residuals with relu6, linear at their ends."""

    def inverted(in_channels: int, out_channels: int, stride: int, factor: int) -> nn.Module:
        hidden = factor * in_channels
        widen = [*conv_bn(2, in_channels, hidden, 1), nn.ReLU6()] if factor > 1 else []
        depthwise = [*conv_bn(2, hidden, hidden, 3, stride, groups=hidden), nn.ReLU6()]
        body = nn.Sequential(*widen, *depthwise, *conv_bn(2, hidden, out_channels, 1))
        return Sum([nn.Identity(), body]) if stride == 1 and in_channels == out_channels else body

    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    layers, channels = [*conv_bn(2, 3, 32, 3, 2), nn.ReLU6()], 32
    for factor, width, repeats, stride in stages:
        for number in range(repeats):
            layers.append(inverted(channels, width, 1 if number else stride, factor))
            channels = width
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, 100))
    return settled(nn.Sequential(*layers, *conv_bn(2, 320, 1280, 1), nn.ReLU6(), *head))


def mobilenet_v3_small() -> nn.Module:
    """Return MobileNetV3-Small (Howard 2019): squeeze-excite, hard-swish and hard-sigmoid."""

    def squeeze_excite(width: int, squeezed: int) -> Product:
        gate = nn.Sequential(
            *(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, squeezed, 1), nn.ReLU()),
            *(nn.Conv2d(squeezed, width, 1), nn.Hardsigmoid()),
        )
        return Product([nn.Identity(), gate])

    def block(
        in_channels: int, hidden: int, out_channels: int, kernel_size: int, stride: int, squeezed: int, is_hard: bool
    ) -> nn.Module:
        activation = nn.Hardswish if is_hard else nn.ReLU
        layers = [*conv_bn(2, in_channels, hidden, 1), activation()] if hidden > in_channels else []
        layers += [*conv_bn(2, hidden, hidden, kernel_size, stride, groups=hidden), activation()]
        layers += [squeeze_excite(hidden, squeezed)] if squeezed else []
        body = nn.Sequential(*layers, *conv_bn(2, hidden, out_channels, 1))
        return Sum([nn.Identity(), body]) if stride == 1 and in_channels == out_channels else body

    blocks = (
        *((16, 16, 16, 3, 2, 8, False), (16, 72, 24, 3, 2, 0, False), (24, 88, 24, 3, 1, 0, False)),
        *((24, 96, 40, 5, 2, 24, True), (40, 240, 40, 5, 1, 64, True), (40, 240, 40, 5, 1, 64, True)),
        *((40, 120, 48, 5, 1, 32, True), (48, 144, 48, 5, 1, 40, True)),
        *((48, 288, 96, 5, 2, 72, True), (96, 576, 96, 5, 1, 144, True), (96, 576, 96, 5, 1, 144, True)),
    )
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 100))
    return settled(
        nn.Sequential(
            *(*conv_bn(2, 3, 16, 3, 2), nn.Hardswish(), *(block(*sizes) for sizes in blocks)),
            *(*conv_bn(2, 96, 576, 1), nn.Hardswish(), *head),
        )
    )
