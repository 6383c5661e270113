"""ONNX models, and ONNX Runtime sessions with what they declare, as chains."""

import sys
from pathlib import Path
from typing import Any

from faltung.models.layer import Layer, Shape, with_names
from faltung.models.program import Chain

SAME = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Elu", "Selu", "Gelu", "Softmax", "Dropout", "Identity", "Clip")


def reads(model: Any) -> bool:
    """Whether it is a ModelProto or an InferenceSession."""
    return type(model).__name__ in ("ModelProto", "InferenceSession")


def as_program(model: Any) -> Chain:
    """Return the chain of a model's nodes; of a session without its model, what it declares of its input."""
    if type(model).__name__ == "InferenceSession":
        entry = model.get_inputs()[0]
        declared = tuple(size if isinstance(size, int) else None for size in entry.shape)
        proto = _model_of(model)
        if proto is None:
            roles = _input(entry.name, declared)
            return Chain("session", "onnx", tuple(with_names([roles])), _dtype(entry.type))
        return Chain("session", "onnx", _layers(proto, entry.name, declared), _dtype(entry.type))
    weights = {tensor.name for tensor in model.graph.initializer}
    entry = next(value for value in model.graph.input if value.name not in weights)
    sizes = tuple(dim.dim_value or None for dim in entry.type.tensor_type.shape.dim)
    dtype = {1: "float32", 10: "float16", 11: "float64", 7: "int64"}.get(entry.type.tensor_type.elem_type)
    return Chain(model.graph.name or "model", "onnx", _layers(model, entry.name, sizes), dtype)


def _model_of(session: Any) -> Any:
    onnx = sys.modules.get("onnx")
    raw, path = getattr(session, "_model_bytes", None), getattr(session, "_model_path", None)
    if onnx is None or not (raw or (path and Path(path).exists())):
        return None
    return onnx.load_model_from_string(raw) if raw else onnx.load(path)


def _dtype(name: str) -> str | None:
    words = {"float": "float32", "double": "float64", "float16": "float16", "int64": "int64"}
    return words.get(name.removeprefix("tensor(").removesuffix(")"))


def _input(name: str, sizes: Shape) -> Layer:
    return Layer(name, "onnx", "input", "input", options={"sizes": sizes, "names": ()})


def _layers(model: Any, name: str, sizes: Shape) -> tuple[Layer, ...]:
    """The declared input and the nodes that follow it one after the other."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    layers = [_input(name, sizes)]
    current = name
    for node in model.graph.node:
        if not node.input or node.input[0] != current:
            break
        layer = _node(node, shapes)
        if layer is None:
            break
        layers.append(layer)
        current = node.output[0]
    return tuple(with_names(layers))


def _node(node: Any, shapes: dict[str, tuple[int, ...]]) -> Layer | None:
    said: dict[str, Any] = {each.name: list(each.ints) or each.i or each.s.decode() for each in node.attribute}
    path = node.name or node.output[0]
    weight = shapes.get(node.input[1]) if len(node.input) > 1 else None

    def layer(kind: str, rank: int = 0, **options: Any) -> Layer:
        return Layer(path, "onnx", node.op_type, kind, rank, True, options, node)

    if node.op_type in ("Conv", "MaxPool", "AveragePool"):
        kernel = tuple(weight[2:]) if weight else tuple(said["kernel_shape"])
        rank = len(kernel)
        ends = said.get("pads") or [0] * (2 * rank)
        word = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}.get(str(said.get("auto_pad")))
        options = {
            "kernel_size": kernel,
            "stride": tuple(said.get("strides") or [1] * rank),
            "dilation": tuple(said.get("dilations") or [1] * rank),
            "padding": word or tuple(zip(ends[:rank], ends[rank:], strict=True)),
            "ceil": bool(said.get("ceil_mode")),
        }
        if node.op_type != "Conv" or weight is None:
            return layer("pool", rank, **options)
        groups = said.get("group") or 1
        return layer("conv", rank, in_channels=weight[1] * groups, out_channels=weight[0], groups=groups, **options)
    if node.op_type == "Gemm" and weight:
        inputs, outputs = weight[::-1] if said.get("transB") else weight
        return layer("linear", in_channels=inputs, out_channels=outputs)
    if node.op_type == "Flatten":
        return layer("flatten", start=said.get("axis") or 1, end=-1)
    return layer("same") if node.op_type in SAME else None
