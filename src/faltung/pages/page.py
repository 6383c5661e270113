"""The page itself: one HTML file with everything in it, shown inline in a notebook, drawn for papers."""

from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from faltung.pages.drawing import Drawing
from faltung.pages.payload import as_json

STYLES = ("base.css", "stage.css", "layer.css", "model.css")
PROGRAMS = {
    "layer": (
        *("numbers.js", "core.js", "colour.js", "state.js", "text.js", "cells.js", "picking.js", "strip.js", "grid.js"),
        *("overview.js", "series.js", "curves.js", "arithmetic.js", "player.js", "sliders.js", "flat.js", "layer.js"),
    ),
    "model": ("numbers.js", "colour.js", "text.js", "trace.js", "model.js"),
}
"""The program of each kind of page, in the order in which its files run."""


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One self-contained page; it needs no network, and displays itself in a notebook.

    Arguments:
        title: the headline.
        told: what the program of the page is told; see payload.py.
        drawing: what the pictures for papers show.
    """

    title: str
    told: dict[str, Any]
    drawing: Drawing

    @property
    def html(self) -> str:
        """The whole page."""
        program = "\n".join(_asset(name) for name in PROGRAMS[self.told["kind"]])
        return Template(_asset("page.html")).substitute(
            title=escape(self.title),
            style="\n".join(map(_asset, STYLES)),
            told=as_json({**self.told, "title": self.title}),
            program=f'"use strict";\n(() => {{\n{program}\n}})();',
        )

    def save(self, path: str | Path) -> Path:
        """Write the page and return where it is."""
        path = Path(path)
        path.write_text(self.html, encoding="utf-8")
        return path

    def save_png(self, path: str | Path, *, step: int | None = None) -> Path:
        """Draw one step of the window, the middle one if not said, as PNG; needs matplotlib."""
        return self.drawing.save(Path(path), "png", step)

    def save_svg(self, path: str | Path, *, step: int | None = None) -> Path:
        """Draw one step of the window as SVG; needs matplotlib."""
        return self.drawing.save(Path(path), "svg", step)

    def save_gif(self, path: str | Path, *, num_steps: int = 24, seconds: float = 0.25) -> Path:
        """Draw the window as it slides, at most ``num_steps`` steps; needs matplotlib and Pillow."""
        return self.drawing.animate(Path(path), num_steps, seconds)

    def _repr_html_(self) -> str:
        frame = "width:100%;height:820px;border:0;border-radius:8px"
        return f'<iframe title="{escape(self.title)}" style="{frame}" srcdoc="{escape(self.html)}"></iframe>'

    def __repr__(self) -> str:
        return f"Page({self.title!r})"


@cache
def _asset(name: str) -> str:
    return resources.files("faltung.pages").joinpath("web", name).read_text(encoding="utf-8")
