"""Random realistic convolutions: all ranks, layouts and kinds, outputs from the first cache to beyond the last."""

from random import Random

from faltung.errors import ShapeError
from faltung.spec import ConvSpec
from faltung.spec.geometry import window_size
from faltung.spec.layout import kernel_layouts, layouts

MODES = ("forward", "input-gradient", "kernel-gradient", "transposed")
MOST_MACS = 200_000_000
MOST_BYTES = 80_000_000
"""Of each array: twice the last cache of most processors."""
KINDS = ("dense",) * 4 + ("few in", "few out", "pointwise", "depthwise", "depthwise", "grouped")
CHANNELS = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
FEW = (1, 2, 3, 4, 5, 8)
TAPS = {1: (2, 3, 3, 4, 5, 7, 9, 15, 31, 64), 2: (2, 3, 3, 3, 4, 5, 5, 7, 11), 3: (2, 3, 3, 3, 5)}
STRIDES = (1, 1, 1, 1, 2, 2, 3, 4)
DILATIONS = (1, 1, 1, 1, 2, 2, 4, 8)
ACTIVATIONS = (None, None, None, "relu", "relu", "gelu", "silu", "tanh", "sigmoid", "elu", "softplus", "leaky_relu")
OUTPUTS = (10, 24)
"""Binary logarithms of the smallest and the largest output."""


def draw(random: Random, mode: str) -> ConvSpec:
    """A convolution that the mode can compute: the one that is run, differentiated, or transposed."""
    while True:
        try:
            spec = _any(random, mode)
        except ShapeError:  # windows longer than the input
            continue
        largest = max(spec.input_bytes, spec.output_bytes, spec.kernel_bytes)
        if 0 < spec.macs <= MOST_MACS and largest <= MOST_BYTES and is_realistic(spec):
            return spec


def is_realistic(spec: ConvSpec) -> bool:
    """Do windows lie in the input for the greater part, and is there a result?"""
    windows = map(window_size, spec.kernel_size, spec.dilation)
    return spec.output_bytes > 0 and all(2 * n >= window for n, window in zip(spec.in_size, windows, strict=True))


def _any(random: Random, mode: str) -> ConvSpec:
    pick = random.choice
    rank, kind = pick((1, 1, 2, 2, 2, 3)), pick(KINDS)
    groups = pick((2, 4, 8)) if kind == "grouped" else 1
    ic, oc = (pick(FEW) if kind == few else pick(CHANNELS) for few in ("few in", "few out"))
    if kind == "depthwise":
        groups = oc = ic
    ic, oc = (-(-channels // groups) * groups for channels in (ic, oc))
    taps = (1 if kind == "pointwise" else pick(TAPS[rank]),) * rank
    stride, dilation = (pick(STRIDES),) * rank, (pick(DILATIONS) if taps[0] > 1 else 1,) * rank
    batch = pick((1, 1, 2, 4, 8, 16, 32, 64))
    # as many positions as the wanted number of outputs needs, on axes of one length
    positions = 2 ** random.uniform(*OUTPUTS) / (batch * oc)
    out = max(1, round(positions ** (1 / rank)))
    windows = tuple(map(window_size, taps, dilation))
    pads = tuple(pick((0, (window - 1) // 2)) for window in windows[:1]) * rank
    sizes = [(out - 1) * s + window - 2 * pad for s, window, pad in zip(stride, windows, pads, strict=True)]
    is_forward, is_last = mode == "forward", random.random() < 0.5
    return ConvSpec(
        in_size=[max(1, size) for size in sizes],
        batch=batch,
        in_channels=ic,
        out_channels=oc,
        kernel_size=taps,
        stride=stride,
        dilation=dilation,
        groups=groups,
        padding=[(pad, pad) for pad in pads],
        layout=layouts(rank)[0 if is_last else 1],
        kernel_layout=kernel_layouts(rank)[0 if is_last else 1],
        dtype=pick(("float32",) * 5 + ("float64",)),
        activation=pick(ACTIVATIONS) if is_forward else None,
        bias=is_forward and random.random() < 0.5,
    )
