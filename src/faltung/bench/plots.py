"""The plots of the report page, as SVG. Needs matplotlib."""

import io
from typing import TYPE_CHECKING

from faltung.bench.peers import OURS
from faltung.bench.result import Comparison
from faltung.bench.sweep import SWEEPS, curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUR_COLORS = ("black", "dimgray")


def plots(run: Comparison) -> dict[str, bytes]:
    """Return the plots that the run has data for, by name."""
    figures = {}
    if any(run.ratios(name) for name in run.cases):
        figures["ratios"] = _svg(_ratios(run))
    if any(case.measured for case in run.cases.values()):
        figures["roofline"] = _svg(_roofline(run))
    if curves(run):
        figures["sweeps"] = _svg(_sweeps(run))
    return figures


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure  # not pyplot: it would choose a window system

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: "Figure") -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg")
    return file.getvalue()


def _colors(run: Comparison) -> dict[str, str]:
    others = (peer for peer in run.participants if peer not in OURS)
    return dict(zip(OURS, OUR_COLORS, strict=True)) | {peer: f"C{number}" for number, peer in enumerate(others)}


def _ratios(run: Comparison) -> "Figure":
    """One line for each case, worst at the top: the ratio of each peer as a dot."""
    names, colors = run.worst_first()[::-1], _colors(run)
    figure = _figure(11, 1.5 + 0.22 * len(names))
    axes = figure.add_subplot()
    for peer in run.participants:
        dots = [(run.ratios(name)[peer], row) for row, name in enumerate(names) if peer in run.ratios(name)]
        if dots:
            x, y = zip(*dots, strict=True)
            axes.scatter(x, y, s=18, color=colors[peer], label=peer)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xscale="log", xlabel="time of the peer / time of faltung, same layout", yticks=range(len(names)))
    axes.set_yticklabels(names, fontsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    return figure


def _roofline(run: Comparison) -> "Figure":
    """GFLOP/s over arithmetic intensity, below the machine's two limits."""
    figure, colors = _figure(11, 6), _colors(run)
    axes = figure.add_subplot()
    cases = list(run.cases.values())
    for peer in run.participants:
        dots = [(case.flops / case.num_bytes, case.gflops(peer)) for case in cases if peer in case.measured]
        if dots:
            x, y = zip(*dots, strict=True)
            axes.scatter(x, y, s=30 if peer in OURS else 10, color=colors[peer], label=peer)
    intensities = sorted(case.flops / case.num_bytes for case in cases)
    ends = [intensities[0] / 2, run.machine.peak_gflops_f32 / run.machine.read_gbps, intensities[-1] * 2]
    limit = [min(run.machine.peak_gflops_f32, run.machine.read_gbps * x) for x in sorted(ends)]
    axes.plot(sorted(ends), limit, color="black", linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="operations for each byte of the arrays", ylabel="GFLOP/s")
    axes.set_title("Above the slope: data from cache. Above the roof: fewer multiplications.", fontsize=9)
    axes.legend(fontsize=8)
    return figure


def _sweeps(run: Comparison) -> "Figure":
    """Time per output over the size that grows, one plot for each sweep."""
    found, colors = curves(run), _colors(run)
    axes_of = [axis for axis in SWEEPS if any(key[0] == axis for key in found)]
    figure = _figure(11, 3.5 * len(axes_of))
    for number, axis in enumerate(axes_of, start=1):
        axes: Axes = figure.add_subplot(len(axes_of), 1, number)
        for (swept, peer), points in found.items():
            if swept == axis:
                times = [1e9 * point.seconds_per_output for point in points]
                axes.plot([point.value for point in points], times, ".-", color=colors[peer], label=peer, linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlabel=axis, ylabel="ns for each output")
        axes.set_title(SWEEPS[axis][0].format("…"))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    return figure
