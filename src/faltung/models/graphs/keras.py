"""Keras models as graphs, on any of its backends: functional and sequential ones as they are, others by a trace.

A model with a `call` of its own is called once on symbolic tensors; what its `call` does with Keras's layers and
operations is then Keras's graph, too. The batch is left open. All other sizes are the model's, or the example's.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from faltung.errors import ModelError
from faltung.graph.graph import Value
from faltung.models.graphs import ReadModel
from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.keras_calls import assemble, flatten_call, flatten_functional
from faltung.models.graphs.keras_nodes import BATCH, Name, Reader, is_functional
from faltung.spec.dtype import COMPUTED
from faltung.spec.rules import spoken

Shape = tuple[int, ...]


def read_keras(model: Any, example_shapes: Any = None) -> ReadModel:
    """Return the graph of a Keras model or layer, as it computes at inference.

    Arguments:
        model: functional, sequential or with a `call` of its own; layers may be nested, shared, or faltung's.
        example_shapes: the shape of each input, batch included, in the structure in which the model takes them, a
            tuple or list of ints for an array. Needed where the model leaves a size open that is not the batch, or
            has never been called.

    Raises:
        ModelError: a model of numbers that faltung does not compute with, whose sizes are open, or whose call cannot
            be followed.
    """
    dtype = _dtype(model)
    shapes = None if example_shapes is None else _leaves(example_shapes)
    reader = Reader(dtype)
    if is_functional(model) or _builds_on(model, shapes):
        tensors = model.inputs
        names = _declare(reader, model, tensors, shapes)
        outputs = reader.walk({id(tensor): name for tensor, name in zip(tensors, names, strict=True)}, model.outputs)
        structure = model.output if not isinstance(model, keras.Sequential) else model.outputs
        return ReadModel(reader.graph(outputs), flatten_functional(model), assemble(structure), "keras")
    if shapes is None:
        raise ModelError(f"compile: {model.name} does not tell the shapes of its inputs. Give example=….")
    return _called(reader, model, example_shapes, shapes)


def _called(reader: Reader, model: Any, example_shapes: Any, shapes: list[Shape]) -> ReadModel:
    """Read a model with a `call` of its own."""
    tensors = [keras.KerasTensor((None, *shape[1:]), reader.dtype) for shape in shapes]
    names = _declare(reader, model, tensors, shapes)
    arguments = _arguments(model, packed(example_shapes, names))
    returned: list[Any] = []

    def call(*args: Any) -> Any:
        if not model.built:
            model(*args)
        options = {"training": False} if model._call_has_training_arg else {}
        returned.append(model.call(*args, **options))
        return returned[0]

    try:
        outputs = reader.call(call, arguments, is_learned=bool(model.weights))
    except NotCovered as reason:
        raise ModelError(
            f"compile: {type(model).__name__}: {reason}. Write its call with keras.layers and keras.ops."
        ) from None
    return ReadModel(reader.graph(outputs), flatten_call(model, (arguments, {})), assemble(returned[0]), "keras")


def _arguments(model: Any, given: Any) -> tuple[Any, ...]:
    """What `call` is given: several inputs one by one where it takes so many, else as one list."""
    if not isinstance(given, list | tuple):
        return (given,)
    parameters = inspect.signature(model.call).parameters.values()
    places = [
        each for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD and each.name not in ("training", "mask")
    ]
    is_open = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return tuple(given) if len(given) == 1 or is_open or len(given) <= len(places) else (given,)


def _dtype(model: Any) -> str:
    """The one type that all layers compute in."""
    layers = [layer for layer in model._flatten_layers() if not isinstance(layer, keras.layers.InputLayer)]
    found = {layer.compute_dtype: layer for layer in reversed(layers) if layer.weights or not layer._layers}
    for dtype, layer in found.items():
        if dtype not in COMPUTED:
            raise ModelError(
                f"compile: layer {layer.name} computes in {dtype}, and faltung in {spoken(COMPUTED, 'and')}."
            )
    if len(found) > 1:
        raise ModelError(f"compile: all layers must compute in the same type; got {spoken(sorted(found), 'and')}.")
    return next(iter(found), model.compute_dtype)


def _builds_on(model: Any, shapes: list[Shape] | None) -> bool:
    """Is it a sequential model that these shapes give a graph?"""
    if isinstance(model, keras.Sequential) and not model.built and shapes:
        model.build((None, *shapes[0][1:]))
    return is_functional(model)


def _declare(reader: Reader, model: Any, tensors: Sequence[Any], shapes: list[Shape] | None) -> list[Name]:
    """Make the symbolic tensors the graph's inputs."""
    names: list[Name] = []
    given = [None] * len(tensors) if shapes is None else shapes
    if len(given) != len(tensors):
        raise ModelError(f"compile: {model.name} has {len(tensors)} inputs; got example shapes for {len(given)}.")
    for tensor, shape in zip(tensors, given, strict=True):
        sizes = tensor.shape[1:] if shape is None else shape[1:]
        agrees = len(sizes) == len(tensor.shape) - 1 and all(
            own in (None, size) for own, size in zip(tensor.shape[1:], sizes, strict=True)
        )
        if None in sizes or not agrees:
            got = "no example" if shape is None else f"an example of {tuple(shape)}"
            raise ModelError(
                f"compile: input {tensor.name} of {model.name} has shape {tuple(tensor.shape)}; got {got}."
            )
        name = Name(tensor.name if tensor.name not in names else f"{tensor.name}.{len(names)}")
        dtype = reader.dtype if tensor.dtype.startswith(("float", "bfloat")) else tensor.dtype
        reader.inputs[name] = reader.known[name] = Value((BATCH, *map(int, sizes)), dtype)
        names.append(name)
    return names


def shapes_of(example: Any) -> Any:
    """The shapes of the inputs in the structure of an example: of arrays, of shapes, or of both."""
    if isinstance(example, Mapping):
        return {key: shapes_of(part) for key, part in example.items()}
    if isinstance(example, list | tuple):
        return tuple(example) if _is_shape(example) else [shapes_of(part) for part in example]
    return tuple(map(int, example.shape))


def packed(structure: Any, leaves: Sequence[Any]) -> Any:
    """A structure of shapes with something else in their places, in the order in which Keras flattens structures."""
    left = iter(leaves)

    def put(part: Any) -> Any:
        if _is_shape(part):
            return next(left)
        return (
            {key: put(part[key]) for key in sorted(part)} if isinstance(part, Mapping) else [put(each) for each in part]
        )

    return put(structure)


def _is_shape(given: Any) -> bool:
    return isinstance(given, tuple | list) and all(isinstance(size, int) for size in given)


def _leaves(given: Any) -> list[Shape]:
    """The shapes in a structure of shapes."""
    if _is_shape(given):
        return [tuple(given)]
    parts = [given[key] for key in sorted(given)] if isinstance(given, Mapping) else given
    return [shape for part in parts for shape in _leaves(part)]
