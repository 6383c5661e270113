"""The page of a model: its layers, how each one's window lies on the layer before, shapes, heat maps, the diagnosis."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from faltung.diagnosis.report import as_html, headline
from faltung.diagnosis.search import examine
from faltung.models.data import Data
from faltung.models.declared import undeclared
from faltung.models.layer import SPATIAL, Layer, Shape, show_shape
from faltung.models.program import Chain, ShapeProgram, Step
from faltung.pages.activations import activations_of
from faltung.pages.modeldrawing import ModelDrawing
from faltung.pages.operation import Array
from faltung.pages.page import Page
from faltung.pages.payload import encoded
from faltung.pages.sample import numbers

HEAT_ROWS, HEAT_COLUMNS, HEAT_SIDE = 24, 240, 72


def page_of_model(model: Any, program: ShapeProgram, data: Data, sample: int = 0) -> Page:
    """Return the page of a model, or of a layer that refuses its data."""
    trace = undeclared(program, data).run(data.shape, {})
    steps = [step for step in trace.steps if step.layer.kind != "input"]
    x = numbers(data) if not data.trouble and all(size is None or size for size in data.shape) else None
    found = [None] * len(steps) if x is None else activations_of(model, program, x, steps, sample)
    rank, is_first = _orientation([*(step.layer for step in steps), *([trace.refused] if trace.refused else [])])
    nodes = [_node("x", "", "data", data.shape, rank, is_first, x if x is None else x[sample : sample + 1])]
    for step, output in zip(steps, found, strict=True):
        layer = step.layer
        node = _node(layer.path, layer.type_name, layer.kind, step.output_shape, rank, is_first, output)
        nodes.append(node | _rule(layer, step.input_shape, nodes, node, rank, is_first))
    for at, sources in enumerate(_sources(program, steps, data.shape), start=1):
        nodes[at]["sources"] = sources
    title = f"{program.name}: x {show_shape(data.shape)}"
    told: dict[str, Any] = {"kind": "model", "rank": rank, "names": SPATIAL[rank], "nodes": nodes, "failure": None}
    if trace.refused is not None:
        diagnosis = examine(program, data)
        why = trace.misfit.message if trace.misfit else headline(diagnosis)
        told["failure"] = {"layer": trace.refused.label, "shape": show_shape(trace.shape), "why": why}
        told["failure"]["html"] = as_html(diagnosis)
    return Page(title, told, ModelDrawing(title, told))


def _orientation(layers: Sequence[Layer]) -> tuple[int, bool]:
    """The rank of the first layer with a window and whether channels come first there."""
    first = next((layer for layer in layers if layer.rank), None)
    return (first.rank, first.is_first) if first is not None else (1, False)


def _sizes(shape: Shape, rank: int, is_first: bool) -> list[int] | None:
    """The spatial sizes of a shape, None where it has none: flat, or pooled away."""
    if len(shape) != rank + 2:
        return None
    sizes = shape[2:] if is_first else shape[1:-1]
    return [1 if size is None else size for size in sizes]


def _node(
    path: str, kind_name: str, kind: str, shape: Shape, rank: int, is_first: bool, output: Array | None
) -> dict[str, Any]:
    heat = None
    if output is not None and output.size and np.isfinite(output).all():
        sizes = _sizes(output.shape, rank, is_first)
        values = output[0] if sizes is not None else output.reshape(1, -1)
        if sizes is not None and not is_first:
            values = np.moveaxis(values, -1, 0)
        heat = _heat(values.astype(np.float64), rank if sizes is not None else 0)
    return {
        "path": path,
        "type": kind_name,
        "kind": kind,
        "shape": show_shape(shape),
        "sizes": _sizes(shape, rank, is_first),
        "rule": None,
        "sources": [],
        "heat": heat,
    }


def _rule(
    layer: Layer, shape: Shape, nodes: list[dict[str, Any]], node: dict[str, Any], rank: int, is_first: bool
) -> dict[str, Any]:
    """How an output lies on the input: window, stride and low padding of each axis; "same", or "all" of it."""
    before = _sizes(shape, rank, is_first)
    if layer.rank == rank and layer.kind in ("conv", "pool", "conv_transpose") and before is not None:
        pairs = layer.pairs(tuple(before)) if layer.kind != "conv_transpose" else _low_cut(layer)
        told = {"window": layer.window, "stride": layer["stride"], "low": [int(low) for low, _ in pairs]}
        return {"rule": {"kind": "spread" if layer.kind == "conv_transpose" else "window", **told}}
    if before is not None and before == node["sizes"]:
        return {"rule": {"kind": "same"}}
    return {"rule": {"kind": "all"}}


def _low_cut(layer: Layer) -> tuple[tuple[int, int], ...]:
    said = layer["padding"]
    if isinstance(said, str):
        low = [(w - s) // 2 if said == "same" else 0 for w, s in zip(layer.window, layer["stride"], strict=True)]
        return tuple((max(each, 0), 0) for each in low)
    return tuple(said)


def _sources(program: ShapeProgram, steps: Sequence[Step], shape: Shape) -> list[list[int]]:
    """Which nodes feed each step: the wires of a Keras model; else nodes with the shape that came in."""
    if isinstance(program, Chain) and program.wires:
        kept = [at for at, layer in enumerate(program.layers) if layer.kind != "input"]
        number = {at: index for index, at in enumerate(kept, start=1)}
        return [[number.get(source, 0) for source in program.wires[at]] for at in kept[: len(steps)]]
    shapes = [shape, *(step.output_shape for step in steps)]
    found: list[list[int]] = []
    used: set[int] = set()
    for at, step in enumerate(steps):
        alike = [node for node in range(at, -1, -1) if shapes[node] == step.input_shape]
        unused = [node for node in range(at, -1, -1) if node not in used]
        added = [node for node in unused if node in alike[1:]]  # nobody has read them yet: a shortcut added on the way
        sources = [alike[0], *added] if alike else unused or [at]
        used.update(sources)
        found.append(sources)
    return found


def _heat(values: Array, rank: int) -> dict[str, Any]:
    """A small picture of an output: channels × positions; of images their mean over channels; bytes around 128."""
    if rank == 3:
        values = values[:, values.shape[1] // 2]
    if rank >= 2:
        values = values.mean(axis=0)
    values = values.reshape(-1, values.shape[-1])
    most = (HEAT_ROWS, HEAT_COLUMNS) if rank < 2 else (HEAT_SIDE, HEAT_SIDE)
    small = _shrunk(_shrunk(values, most[0]).T, most[1]).T
    peak = float(np.abs(small).max()) or 1.0
    levels = np.round(small / peak * 127 + 128).astype(np.float32)
    return {"levels": encoded(levels), "least": float(values.min()), "most": float(values.max())}


def _shrunk(values: Array, most: int) -> Array:
    """At most ``most`` rows, each the mean of its neighbours."""
    if len(values) <= most:
        return values
    edges = np.linspace(0, len(values), most + 1).astype(int)[:-1]
    counts = np.diff(np.append(edges, len(values)))
    means: Array = np.add.reduceat(values, edges, axis=0) / counts[:, None]
    return means
