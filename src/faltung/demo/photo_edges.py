"""Edges of a real photograph, as one `conv2d` with three output channels.

Sobel's two kernels estimate how fast the brightness changes to the right and downwards; together they give the
strength of every edge. The third, Laplace's kernel, flips its sign where an edge runs. The border is reflected, so
the picture has no frame of false edges.
"""

from pathlib import Path

import numpy as np
import pywt.data
from matplotlib.figure import Figure

import faltung as ft
from faltung.demo.program import DemoResult, picture, script, timed

SOBEL_RIGHT = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
SOBEL_DOWN = SOBEL_RIGHT.T
LAPLACE = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
KERNEL = np.stack([SOBEL_RIGHT, SOBEL_DOWN, LAPLACE], axis=-1)[:, :, None, :].astype(np.float32)  # (3, 3, 1, 3)


def run(out_dir: Path) -> DemoResult:
    """Filter the photograph, draw `photo_edges.png` in `out_dir` and report."""
    photo = pywt.data.camera().astype(np.float32) / 255
    edges, call = timed(ft.conv2d, photo[None, :, :, None], KERNEL, padding="same", padding_mode="reflect")

    path = out_dir / "photo_edges.png"
    with picture(path, "The edges of a photograph: three 3 × 3 kernels, one convolution", (12, 7)) as figure:
        draw(figure, photo, *np.moveaxis(edges[0], -1, 0))
    height, width = photo.shape
    return DemoResult(f"Sobel and Laplace edges of a {width} × {height} photograph, its border reflected", call, path)


def draw(figure: Figure, photo: np.ndarray, right: np.ndarray, down: np.ndarray, laplace: np.ndarray) -> None:
    """Draw the photograph, large, and the three channels and the strength of the edges, each `(H, W)`."""
    axes = figure.subplot_mosaic([["photo", "photo", "right", "down"], ["photo", "photo", "laplace", "strength"]])
    brightness = "brightness (0 black, 1 white)"
    slope = "brightness per pixel"
    panels: list[tuple[str, str, np.ndarray, str, float, float, str]] = [
        ("photo", "The photograph", photo, "gray", 0, 1, brightness),
        ("right", "Sobel: change to the right", right, "PuOr", -0.25, 0.25, slope),
        ("down", "Sobel: change downwards", down, "PuOr", -0.25, 0.25, slope),
        ("laplace", "Laplace: sign flips on an edge", laplace, "PuOr", -0.5, 0.5, slope + "²"),
        ("strength", "Strength of the edges", np.hypot(right, down), "magma", 0, 0.25, slope),
    ]
    for name, title, image, colours, low, high, unit in panels:
        shown = axes[name].imshow(image, cmap=colours, vmin=low, vmax=high)
        axes[name].set(title=title, xticks=[], yticks=[])
        axes[name].spines[:].set_visible(False)
        figure.colorbar(shown, ax=axes[name], label=unit, orientation="horizontal", pad=0.02, aspect=30)


def main() -> None:
    """Run as a program."""
    script(run)


if __name__ == "__main__":
    main()
