"""The picture of a model: its layers as bars along the input, and what the chosen output of the last one sees."""

from typing import TYPE_CHECKING, Any

from faltung.pages.drawing import Drawing
from faltung.pages.field import Range, last_with_sizes, placed, traced

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAR, FIELD, EDGE = "#DCE3EC", "#7A2D8F", "#B42318"


class ModelDrawing(Drawing):
    """A model's layers, along their first axis."""

    def __init__(self, title: str, told: dict[str, Any]) -> None:
        self.title, self.told = title, told
        self.chosen = last_with_sizes(told["nodes"])

    @property
    def num_steps(self) -> int:
        """The positions of the last layer that has any."""
        sizes = self.told["nodes"][self.chosen]["sizes"]
        return int(sizes[-1]) if sizes else 1

    def draw(self, step: int) -> "Figure":
        """Return the figure with output ``step`` of the last layer traced back."""
        from matplotlib.figure import Figure

        nodes, axis = self.told["nodes"], self.told["rank"] - 1
        figure = Figure(figsize=(8.5, 0.42 * len(nodes) + 1.3))
        figure.suptitle(self.title, x=0.01, ha="left", fontweight="bold")
        axes = figure.add_subplot()
        seen = traced(nodes, self.chosen, step, axis)
        places = placed(nodes, axis)
        for row, node in enumerate(nodes):
            jump, start = places[row]
            count = node["sizes"][axis] if node["sizes"] else 1
            left, width = start - jump / 2, max(count * jump, 1)
            axes.barh(row, width, left=left, height=0.62, color=BAR)
            if row in seen:
                low, high = seen[row]
                axes.barh(
                    row, (high - low + 1) * jump, left=start + (low - 0.5) * jump, height=0.62, color=FIELD, alpha=0.75
                )
                self._link(axes, row, node, seen, places)
        labels = [f"{node['path']} {node['type']} {node['shape']}".strip() for node in nodes]
        if failure := self.told["failure"]:
            labels.append(f"{failure['layer']} refuses {failure['shape']}")
            axes.text(0, len(nodes), failure["why"], color=EDGE, va="center", fontsize=8)
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        axes.set_ylim(len(labels) - 0.4, -0.6)
        axes.set_xlabel(self.told["names"][axis] + " of x")
        axes.spines[["top", "right", "left"]].set_visible(False)
        return figure

    def _link(
        self, axes: Any, row: int, node: dict[str, Any], seen: dict[int, Range], places: list[tuple[float, float]]
    ) -> None:
        """Shade the way from a range to what it sees in the layer before."""
        for source in node["sources"]:
            corners = []
            for at, edge in ((source, 0.31), (row, -0.31)):
                (low, high), (jump, start) = seen[at], places[at]
                corners.append(((start + (low - 0.5) * jump, at + edge), (start + (high + 0.5) * jump, at + edge)))
            (a, b), (c, d) = corners
            axes.fill([a[0], b[0], d[0], c[0]], [a[1], b[1], d[1], c[1]], color=FIELD, alpha=0.12, linewidth=0)
