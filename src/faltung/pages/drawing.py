"""Pictures for papers: one step of the window as PNG or SVG, all of them as GIF; needs matplotlib, a GIF Pillow too."""

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.errors import ModelError
from faltung.pages.operation import Array, Operation
from faltung.pages.panels import LONG, draw_curves, draw_grids, draw_strip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOOK: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "faltung",
}
METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
"""Nothing of when and with what: the same picture has the same bytes."""


class Drawing(ABC):
    """Something that can be drawn step by step."""

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """How many steps there are."""

    @abstractmethod
    def draw(self, step: int) -> "Figure":
        """Return the figure of a step."""

    def save(self, path: Path, kind: str, step: int | None) -> Path:
        """Write one step, the middle one if not said."""
        matplotlib = needed("matplotlib")
        chosen = self.num_steps // 2 if step is None else step
        if not 0 <= chosen < max(self.num_steps, 1):
            raise ModelError(f"show: step must be one of {self.num_steps}; got {step}. Count from 0.")
        with matplotlib.rc_context(LOOK):
            figure = self.draw(chosen)
            figure.savefig(path, format=kind, dpi=140, metadata=METADATA[kind])
        return path

    def animate(self, path: Path, num_steps: int, seconds: float) -> Path:
        """Write the steps, spread evenly, as GIF."""
        matplotlib, image = needed("matplotlib"), needed("PIL.Image", "pillow")
        steps = np.unique(np.linspace(0, max(self.num_steps - 1, 0), max(num_steps, 1)).astype(int))
        frames = []
        with matplotlib.rc_context(LOOK):
            for step in steps:
                file = io.BytesIO()
                self.draw(int(step)).savefig(file, format="png", dpi=80)
                frames.append(image.open(file).convert("RGB").quantize(64))
        first, *others = frames
        first.save(path, "GIF", save_all=True, append_images=others, duration=int(seconds * 1000), loop=0)
        return path


class LayerDrawing(Drawing):
    """The window of a layer's first operation on its data."""

    def __init__(self, title: str, operations: Sequence[Operation]) -> None:
        self.title, self.operation = title, operations[0]
        self.y: Array | None = None

    @property
    def num_steps(self) -> int:
        """The positions of the window."""
        return int(np.prod(self.operation.out_size))

    def draw(self, step: int) -> "Figure":
        """Return the figure with the window at its ``step``-th position."""
        from matplotlib.figure import Figure

        if self.y is None:
            self.y = self.operation.result()
        figure, position = Figure(), np.unravel_index(step, self.operation.out_size)
        figure.suptitle(self.title, x=0.01, ha="left", fontweight="bold")
        one = self.operation
        draw = draw_grids if one.rank > 1 else draw_strip if one.in_size[0] <= LONG else draw_curves
        draw(figure, one, self.y, tuple(int(at) for at in position))
        return figure


def needed(module: str, package: str | None = None) -> Any:
    """Return a module that pictures need, or say what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        name = package or module
        raise ModelError(f"show: pictures need {name}; got none. Use pip install {name}.") from None
