"""The gallery: pages and pictures for what people ask about most; ``python -m faltung.pages.gallery docs/gallery``."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from faltung.arrays.transposed import conv1d_transpose
from faltung.errors import ModelError
from faltung.pages.page import Page
from faltung.pages.shown import show

STEPS = np.array([0, 0, 1, 3, 4, 4, 2, 1, 0, -1, -2, -2, 0, 1], "f4").reshape(1, -1, 1)
SMOOTH = np.array([1, 2, 1], "f4").reshape(3, 1, 1) / 4


def padding() -> Page:
    """Where does the window start, and how long is the result?

    The page opens with “same”: change the padding to valid or causal and watch the size formula and the hatched cells.
    """
    return show("conv1d n1 w14 ic1 oc1 kw3 same", STEPS, None, kernel=SMOOTH, names=("time",))


def stride() -> Page:
    """A stride of 2 computes every second output: half as many numbers, each with the same window."""
    return show("conv1d n1 w14 ic1 oc1 kw3 sw2 same", STEPS, None, kernel=SMOOTH, names=("time",))


def dilation_stack() -> Page:
    """Four layers of three taps with dilations 1, 2, 4 and 8 see 31 inputs; drag the output and see which."""
    torch = _torch()
    torch.manual_seed(3)
    layers = [torch.nn.Conv1d(1 if not at else 4, 4, 3, dilation=2**at) for at in range(4)]
    return show(torch.nn.Sequential(*layers), _signal(96).reshape(1, 1, -1), None)


def channels() -> Page:
    """A filter reads all channels at once and gives one number; the kernel slides along time only."""
    x = np.stack([np.roll(STEPS[0, :, 0], shift) for shift in (0, 2, 5)], axis=-1)[None]
    return show("conv1d n1 w14 ic3 oc4 kw3 same bias", x, None, names=("time",))


def groups() -> Page:
    """With two groups the first filters see the first half of the channels, the others the second half."""
    return show("conv1d n1 w14 ic4 oc4 kw3 g2 same", None, None, names=("time",))


def depthwise() -> Page:
    """As many groups as channels: every channel has a kernel of its own, and channels never mix."""
    return show("conv1d n1 w14 ic4 oc4 kw3 g4 same", None, None, names=("time",))


def transposed() -> Page:
    """Each input puts a copy of the kernel into the output, two apart: click an input to see its copy."""
    kernel = np.array([1, 2, 1], "f4").reshape(3, 1, 1) / 2
    call = partial(conv1d_transpose, kernel=kernel, stride=2)
    return show(call, STEPS[:, 2:8], None, names=("time",))


def one_as_two() -> Page:
    """A sequence is an image of height 1: the page shows both, with their shapes and arguments, side by side."""
    return show("conv1d n1 w14 ic2 oc3 kw5 pw2", None, None, names=("time",))


def moving_average() -> Page:
    """A moving average is a convolution whose taps are all 1/k; slide the kernel size to average over longer."""
    x = (_signal(400) + np.random.default_rng(1).normal(0, 0.35, 400)).astype("f4").reshape(1, -1, 1)
    return show("conv1d n1 w400 ic1 oc1 kw15 same", x, None, kernel=np.full((15, 1, 1), 1 / 15, "f4"), names=("time",))


def full_width() -> Page:
    """A kernel as long as the input gives one number: a weighted sum, as a Dense layer of one unit."""
    return show("conv1d n1 w14 ic1 oc1 kw14", STEPS, None, names=("time",))


def audio() -> Page:
    """The first layer of an audio network: 10 taps every 5 samples turn a waveform into frames."""
    time = np.arange(4000) / 16000
    tone = np.sin(2 * np.pi * (220 + 500 * time) * time) * np.exp(-((time - 0.12) ** 2) / 0.004)
    window = np.hanning(12)[1:-1]
    taps = [window * np.cos(2 * np.pi * at * np.arange(10) / 20) for at in range(8)]
    kernel = (np.stack(taps, axis=-1)[:, None, :] / 4).astype("f4")
    x = np.round(tone, 2).astype("f4").reshape(1, -1, 1)
    return show("conv1d n1 w4000 ic1 oc8 kw10 sw5 gelu", x, None, kernel=kernel, names=("samples",))


def edges() -> Page:
    """Differences of neighbours answer where brightness changes: filter 0 across, filter 1 down."""
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "f4")
    kernel = np.stack([sobel, sobel.T], axis=-1)[:, :, None, :]
    return show("conv2d n1 h64 w64 ic1 oc2 kh3 kw3 same replicate", _picture(64), None, kernel=kernel)


SITUATIONS: dict[str, tuple[str, Callable[[], Page]]] = {
    "padding": ("Valid, same, causal", padding),
    "stride": ("Stride", stride),
    "dilation": ("A stack of dilations", dilation_stack),
    "channels": ("Channels and filters", channels),
    "groups": ("Groups", groups),
    "depthwise": ("Depthwise", depthwise),
    "transposed": ("Transposed", transposed),
    "one-as-two": ("Conv1D as Conv2D", one_as_two),
    "moving-average": ("A moving average", moving_average),
    "full-width": ("A kernel as long as the input", full_width),
    "audio": ("The first layer of an audio network", audio),
    "edges": ("Edges of an image", edges),
}


def write(directory: Path) -> list[Path]:
    """Write the pages, a picture of each, and a README that shows them; return what was written."""
    directory.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Gallery",
        "",
        f"`python -m faltung.pages.gallery {directory.as_posix()}` makes all of this: beside each picture `NAME.png`",
        "a page `NAME.html` that plays, steps and computes. Open it in a browser; it needs no network. The pages are",
        "not kept in the repository, only the pictures are.",
        "",
    ]
    written = []
    for name, (title, make) in SITUATIONS.items():
        page = make()
        written += [page.save(directory / f"{name}.html"), page.save_png(directory / f"{name}.png")]
        said = " ".join((make.__doc__ or "").split())
        lines += [f"## {title}", "", said, "", f"![{title}]({name}.png)", ""]
    written.append(padding().save_gif(directory / "padding.gif", num_steps=14))
    readme = directory / "README.md"
    readme.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return [*written, readme]


def _signal(length: int) -> Any:
    """Two waves and a step, with two decimals."""
    at = np.arange(length) / length
    wave = 0.7 * np.sin(2 * np.pi * 3 * at) + 0.3 * np.sin(2 * np.pi * 11 * at) + (at > 0.6)
    return np.round(wave, 2).astype("f4")


def _picture(size: int) -> Any:
    """A grey disc and a bright square on a slope, ``(1, size, size, 1)``, in 256 levels."""
    y, x = np.mgrid[:size, :size] / size
    image = 0.25 + 0.25 * x
    image[(x - 0.36) ** 2 + (y - 0.4) ** 2 < 0.06] = 0.75
    image[(abs(x - 0.72) < 0.14) & (abs(y - 0.7) < 0.14)] = 1.0
    return (np.round(image * 255) / 255).astype("f4").reshape(1, size, size, 1)


def _torch() -> Any:
    try:
        import torch
    except ModuleNotFoundError:
        raise ModelError("gallery: the dilation stack needs PyTorch; got none. Use pip install torch.") from None
    return torch


def main() -> None:
    """Write the gallery into the directory of the command line."""
    for path in write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/gallery")):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
