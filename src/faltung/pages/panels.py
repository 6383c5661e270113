"""The parts of the pictures: cells with numbers, curves, and grids, with the window on them."""

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from faltung.pages.operation import Array, Operation
from faltung.spec.geometry import padded_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONG = 40  # positions from which on a signal is drawn as a curve
MOST_ROWS = 4
BLUE, ORANGE, WINDOW, GREY = "#0062A8", "#B34C00", "#7A2D8F", "#8A93A3"
PAD, GAP = -1, -2


def places_of(one: Operation, axis: int) -> Array:
    """Return what the window meets on an axis: indices of inputs, PAD for padding, GAP between spread inputs.

    >>> x, kernel = np.zeros((1, 4)), np.zeros((1, 1, 3))
    >>> places_of(Operation("", ("w",), x, kernel, None, (1,), (1,), ((1, 1),), (4,)), 0)
    array([-1,  0,  1,  2,  3, -1])
    """
    size, (low, high), span = one.in_size[axis], one.padding[axis], one.window[axis] - 1
    if one.is_transposed:
        index = np.arange(one.out_size[axis] + span) - (span - low)
        step = one.stride[axis]
        inside = (index >= 0) & (index <= (size - 1) * step)
        return np.where(inside, np.where(index % step, GAP, index // step), PAD)
    sources = (padded_source(index, size, one.padding_mode) for index in range(-low, size + high))
    return np.array([PAD if source is None else source for source in sources], np.intp)


def step_of(one: Operation, axis: int) -> int:
    """Return how far the window moves from one output to the next."""
    return 1 if one.is_transposed else one.stride[axis]


def draw_strip(figure: "Figure", one: Operation, y: Array, position: tuple[int, ...]) -> None:
    """One axis, few positions: input, kernel and output in rows of cells with their numbers."""
    places, step, gap = places_of(one, 0), step_of(one, 0), one.dilation[0]
    rows = min(len(one.x), MOST_ROWS), min(one.kernel.shape[1], MOST_ROWS), min(len(y), MOST_ROWS)
    width, height = max(len(places) * 0.42 + 1.4, 5.0), sum(rows) * 0.42 + 2.1
    figure.set_size_inches(width, height)
    axes = figure.add_subplot()
    start, span = position[0] * step, one.window[0]
    x = np.where(places >= 0, one.x[: rows[0], np.maximum(places, 0)], 0.0)
    _cells(axes, x, 0, 0, one.x, [_look(one, places, at) for at in range(len(places))])
    _frame(axes, start, 0, span, min(one.kernel.shape[1], rows[0]))
    top: float = rows[0] + 0.9
    taps = one.kernel[0, : rows[1], :: -1 if one.is_transposed else 1]
    for tap in range(taps.shape[1]):
        _cells(axes, taps[:, tap : tap + 1], start + tap * gap, top, one.kernel, ["plain"])
    top += rows[1] + 0.9
    low = one.padding[0][0]
    has_pads = not one.is_transposed and any(one.padding[0])
    shift: float = min(low, span - 1) if has_pads else (span - 1) / 2
    for at in range(y.shape[1]):
        kind = "plain" if at <= position[0] else "later"
        _cells(axes, y[: rows[2], at : at + 1], at * step + shift, top, y, [kind])
    _frame(axes, position[0] * step + shift, top, 1, 1)
    for text, row in (("input", 0), ("kernel", rows[0] + 0.9), ("output", top)):
        axes.text(-0.3, row + 0.5, text, ha="right", va="center", fontsize=9, color="#333333")
    axes.set(xlim=(-2.4, len(places) + 0.2), ylim=(top + rows[2] + 0.3, -0.4), aspect="equal")
    axes.axis("off")


def _look(one: Operation, places: Array, at: int) -> str:
    low = one.padding[0][0]
    is_padded = places[at] == PAD or (not one.is_transposed and not low <= at < low + one.in_size[0])
    return "gap" if places[at] == GAP else "pad" if is_padded else "plain"


def _cells(axes: "Axes", values: Array, left: float, top: float, like: Array, kinds: list[str]) -> None:
    """Draw rows of cells, coloured by their share of the largest number in ``like``."""
    from matplotlib.patches import Rectangle

    most = float(np.abs(like).max()) or 1.0
    for row, column in product(range(values.shape[0]), range(values.shape[1])):
        value, kind = float(values[row, column]), kinds[column]
        if kind == "gap":
            continue
        place, alpha = (left + column, top + row), 0.3 if kind == "later" else 1.0
        look: dict[str, Any] = {
            "facecolor": coloured(np.asarray(value / most)),
            "edgecolor": "#C9CFD8",
            "linewidth": 0.8,
        }
        if kind == "pad":
            look |= {"facecolor": "white", "hatch": "////", "edgecolor": "#B8BFCA", "linestyle": "--"}
        axes.add_patch(Rectangle(place, 0.96, 0.96, alpha=alpha, **look))
        ink = "#8A93A3" if kind == "pad" else "white" if abs(value) > 0.75 * most else "#1A202C"
        text = f"{value + 0.0:.2g}" if abs(value) < 1000 else f"{value:.0f}"
        size = 7.5 if len(text) < 5 else 6
        axes.text(
            place[0] + 0.48, place[1] + 0.5, text, ha="center", va="center", fontsize=size, color=ink, alpha=alpha
        )


def _frame(axes: "Axes", x: float, y: float, width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((x - 0.02, y - 0.02), width, height, fill=False, edgecolor=WINDOW, linewidth=2.2, zorder=5)
    )


def draw_curves(figure: "Figure", one: Operation, y: Array, position: tuple[int, ...]) -> None:
    """One axis, many positions: the curves of input and output with the window and its end."""
    figure.set_size_inches(8, 4.2)
    above, below = figure.subplots(2, 1, sharex=False)
    step, low = step_of(one, 0), one.padding[0][0]
    spread, span = (one.stride[0] if one.is_transposed else 1), one.window[0] - 1
    start = position[0] * step - (span - low if one.is_transposed else low)
    above.axvspan(start / spread, (start + span) / spread, color=WINDOW, alpha=0.2)
    above.plot(one.x[0], color=BLUE, linewidth=0.9)
    above.set(title=f"input, channel 0 of {len(one.x)}", xlim=(0, one.in_size[0] - 1))
    below.plot(y[0], color=ORANGE, linewidth=0.9)
    below.plot(position, [y[0, position[0]]], "o", color=WINDOW)
    below.set(title=f"output, filter 0 of {len(y)}", xlabel=one.names[0], xlim=(0, max(y.shape[1] - 1, 1)))
    inset = above.inset_axes((0.86, 1.04, 0.13, 0.3))
    inset.plot(
        one.kernel[0, 0], color=WINDOW, linewidth=1, marker="o" if one.kernel_size[0] < 16 else "", markersize=2.5
    )
    inset.set_title("kernel", fontsize=8)
    inset.axis("off")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)


def draw_grids(figure: "Figure", one: Operation, y: Array, position: tuple[int, ...]) -> None:
    """Two or three axes: input, kernel and output as grids; of three axes the slice of the window's middle."""
    figure.set_size_inches(9, 3.4)
    panels = figure.subplots(1, 3, width_ratios=(1, 0.6, 1))
    places = [places_of(one, axis) for axis in range(one.rank)]
    starts = [at * step_of(one, axis) for axis, at in enumerate(position)]
    x, kernel, out = one.x[0], one.kernel[0, 0], y[0]
    if one.rank == 3:
        deep = one.kernel_size[0] // 2
        place = places[0][starts[0] + deep * one.dilation[0]]
        x = x[place] if place >= 0 else np.zeros_like(x[0])
        kernel, out = kernel[deep], out[position[0]]
    if one.is_transposed:
        kernel = kernel[::-1, ::-1]
    down, across = places[-2:]
    met = np.where((down[:, None] >= 0) & (across >= 0), x[np.maximum(down, 0)[:, None], np.maximum(across, 0)], 0.0)
    _grid(panels[0], met, x, f"input, channel 0 of {len(one.x)}")
    _shade(panels[0], one, down, across)
    _frame(panels[0], starts[-1] - 0.5, starts[-2] - 0.5, one.window[-1], one.window[-2])
    _grid(panels[1], kernel, kernel, "kernel, filter 0")
    _grid(panels[2], out, out, f"output, filter 0 of {len(y)}")
    _frame(panels[2], position[-1] - 0.5, position[-2] - 0.5, 1, 1)


def _grid(axes: "Axes", values: Array, like: Array, title: str) -> None:
    most = float(np.abs(like).max()) or 1.0
    is_image = values.size > 900 and float(values.min()) >= 0
    if is_image:
        axes.imshow(values, cmap="gray", vmin=0, vmax=most)
    else:
        axes.imshow(coloured(values / most))
    if values.size <= 150:
        for row, column in product(range(values.shape[0]), range(values.shape[1])):
            value = float(values[row, column])
            ink = "white" if abs(value) > 0.75 * most else "#1A202C"
            axes.text(column, row, f"{value + 0.0:.2g}", ha="center", va="center", fontsize=6, color=ink)
    axes.set_title(title)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("#C9CFD8")


def coloured(shares: Array) -> Array:
    """Return the colours of numbers between -1 and 1: blue below zero, orange above, white at it."""
    poles = np.where(shares[..., None] > 0, np.array([213, 94, 0]) / 255, np.array([0, 98, 168]) / 255)
    return 1 + (poles - 1) * (0.82 * np.minimum(np.abs(shares), 1.0) ** 0.5)[..., None]


def _shade(axes: "Axes", one: Operation, down: Array, across: Array) -> None:
    """Hatch the padding around the input."""
    from matplotlib.patches import Rectangle

    if one.is_transposed or not any(map(any, one.padding[-2:])):
        return
    (top, bottom), (left, right) = one.padding[-2:]
    height, width = len(down), len(across)
    look: dict[str, Any] = {"fill": False, "hatch": "////", "edgecolor": "#B8BFCA", "linewidth": 0}
    for x, y, w, h in (
        (0, 0, width, top),
        (0, height - bottom, width, bottom),
        (0, top, left, height - top - bottom),
        (width - right, top, right, height - top - bottom),
    ):
        if w and h:
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), w, h, **look))
