"""How a Keras model is called: which of a call's arguments is which input, and what it returns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from faltung.errors import ModelError, ShapeError
from faltung.graph.graph import Array


def standardized(model: Any, given: Any) -> list[Any]:
    """What a functional model is called with, in the order of its inputs; a dictionary may name them."""
    structure = _structure(model)
    if isinstance(given, Mapping) and not isinstance(structure, Mapping):
        names = [tensor._keras_history.operation.name for tensor in model.inputs]
        if not set(names) <= set(given):
            raise ShapeError(f"{model.name}: its inputs are {', '.join(names)}; got {', '.join(map(str, given))}.")
        return [given[name] for name in names]
    if isinstance(structure, Mapping) and isinstance(given, Mapping):
        missing = structure.keys() - given.keys()
        if missing:
            raise ShapeError(f"{model.name}: its inputs are {', '.join(structure)}; got no {', '.join(missing)}.")
        given = {name: given[name] for name in structure}
    found: list[Any] = tree.flatten(given)
    if len(found) != len(model.inputs):
        raise ShapeError(f"{model.name}: it has {len(model.inputs)} inputs; got {len(found)}.")
    return found


def _structure(model: Any) -> Any:
    """The symbolic inputs as the model takes them."""
    return model.inputs[0] if isinstance(model, keras.Sequential) else model.input


def flatten_functional(model: Any) -> Callable[[Sequence[Any], Mapping[str, Any]], list[Any]]:
    """Calls of a functional model, with axes of one added or taken away where Keras does that."""
    ranks = [len(tensor.shape) for tensor in model.inputs]
    ends = [tensor.shape[-1] if tensor.shape else None for tensor in model.inputs]
    is_single = isinstance(_structure(model), keras.KerasTensor)

    def flatten(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        given = args[0] if args else kwargs.get("inputs")
        _refuse_words(args[1:], {word: value for word, value in kwargs.items() if word != "inputs"})
        found = [given] if is_single and hasattr(given, "shape") else standardized(model, given)
        return [_with_rank(x, rank, end) for x, rank, end in zip(found, ranks, ends, strict=True)]

    return flatten


def flatten_call(model: Any, structure: Any) -> Callable[[Sequence[Any], Mapping[str, Any]], list[Any]]:
    """Calls of a model with a `call` of its own."""

    def flatten(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        options = {word: kwargs[word] for word in ("training", "mask") if word in kwargs}
        _refuse_words((), options)
        given = (tuple(args), {word: value for word, value in kwargs.items() if word not in options})
        try:
            tree.assert_same_structure(structure, given)
        except (ValueError, TypeError):
            raise ShapeError(f"{model.name}: it was compiled for {_spoken(structure)}; got {_spoken(given)}.") from None
        return tree.flatten(given)

    return flatten


def assemble(structure: Any) -> Callable[[list[Array]], Any]:
    """The graph's outputs → what the model returns."""
    if isinstance(structure, keras.KerasTensor):
        return lambda arrays: arrays[0]
    if isinstance(structure, list | tuple) and len(structure) == 1:  # Keras unpacks a list of one
        return assemble(structure[0])
    return lambda arrays: tree.pack_sequence_as(structure, arrays)


def _with_rank(x: Any, rank: int, end: int | None) -> Any:
    if not hasattr(x, "shape"):
        x = np.asarray(x)
    if len(x.shape) == rank + 1 and x.shape[-1] == 1:
        return x.reshape(tuple(x.shape[:-1]))
    if len(x.shape) == rank - 1 and end == 1:
        return x.reshape((*x.shape, 1))
    return x


def _refuse_words(args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """A compiled network is that of inference, without masks."""
    wanted = [word for word, value in kwargs.items() if value is not None and value is not False]
    if wanted or any(value is not None and value is not False for value in args):
        raise ModelError(f"net: a compiled network takes its inputs only; got {', '.join(wanted) or 'more'}.")


def _spoken(structure: Any) -> str:
    return str(tree.map_structure(lambda leaf: "array" if hasattr(leaf, "shape") else leaf, structure))
