"""ONNX files as graphs: node by node through the tables of onnx_ops.py.

Everything is read for two batches at once: what differs between them hangs on the batch, and no attribute may hold it.
What no table covers is run by `onnx.reference`, the format's own definition in NumPy: right, but slow.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import inliner

from faltung.errors import ModelError, ShapeError
from faltung.graph.graph import ANY, Array, Batches, Value
from faltung.models.graphs import ReadModel
from faltung.models.graphs.onnx_islands import TiedToBatch
from faltung.models.graphs.onnx_nodes import Reader
from faltung.models.graphs.onnx_ops import TABLE

Shape = tuple[int, ...]


def read_onnx(model: Any, shapes: Sequence[Shape] | None = None) -> ReadModel:
    """Return the graph of a ModelProto or of a file; `shapes` are those of its inputs, where it leaves sizes open.

    Raises:
        ModelError: sizes that neither the model nor `shapes` tell; a model that cannot be read.
        ShapeError: shapes that the model does not take.
    """
    proto = onnx.load(model) if isinstance(model, str | Path) else model
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    inputs = _inputs(proto, shapes)
    batch = next((value.shape[0] for value in inputs.values() if value.shape), 1)
    try:
        if batch == 0:
            raise TiedToBatch
        graph = _read(proto, inputs, (batch, batch + 1))
        is_open = True
    except (TiedToBatch, ShapeError):
        graph, is_open = _read(proto, inputs, (batch,)), False
    names = list(inputs)
    count = len(graph.outputs)
    assemble: Callable[[list[Array]], Any] = (lambda arrays: arrays[0]) if count == 1 else tuple
    return ReadModel(graph, _flatten(names), assemble, "onnx", ANY if is_open else Batches(batch, batch))


def _read(proto: Any, inputs: Mapping[str, Value], batches: tuple[int, ...]) -> Any:
    reader = Reader(proto, TABLE, len(batches))
    for name, value in inputs.items():
        worlds = [_with_batch(value.shape, batches[0], batch) for batch in batches]
        reader.bind(name, worlds, value.dtype)
    reader.read(proto.graph)
    return reader.graph(inputs, [output.name for output in proto.graph.output])


def _with_batch(shape: Shape, given: int, batch: int) -> Shape:
    """The shape of an input for another batch: its first axis is the batch if it is as long as that of the others."""
    return (batch, *shape[1:]) if shape and shape[0] == given else shape


def _inputs(proto: Any, shapes: Sequence[Shape] | None) -> dict[str, Value]:
    """Every input by name, with the sizes that are given or that the model tells; one that is open is the batch."""
    weights = {tensor.name for tensor in proto.graph.initializer}
    entries = [entry for entry in proto.graph.input if entry.name not in weights]
    if shapes is not None and len(shapes) != len(entries):
        raise ShapeError(f"compile: the model has {len(entries)} inputs; got {len(shapes)} examples.")
    found = {}
    for n, entry in enumerate(entries):
        tensor = entry.type.tensor_type
        declared = [dim.dim_value or None for dim in tensor.shape.dim]
        if declared and declared[0] is None:
            declared[0] = 1
        shape = tuple(shapes[n]) if shapes is not None else tuple(declared)
        if None in shape:
            spoken = tuple(dim.dim_param or dim.dim_value or "?" for dim in tensor.shape.dim)
            raise ModelError(f"compile: input {entry.name} has the shape {spoken}. Give example=(...) with its sizes.")
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        found[entry.name] = Value(tuple(int(size) for size in shape if size is not None), dtype)
    return found


def _flatten(names: list[str]) -> Callable[[Sequence[Any], Mapping[str, Any]], list[Any]]:
    """Arguments in the model's order, by name, or one dictionary as ONNX Runtime takes it."""

    def flatten(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        by_name = kwargs if len(args) != 1 or not isinstance(args[0], Mapping) else args[0]
        in_order = () if by_name is not kwargs else args
        given = {**dict(zip(names, in_order, strict=False)), **by_name}
        if len(in_order) > len(names) or given.keys() != set(names):
            got = ", ".join(given) or "none"
            raise ShapeError(f"net: the model's inputs are {', '.join(names)}; got {got}.")
        return [given[name] for name in names]

    return flatten
