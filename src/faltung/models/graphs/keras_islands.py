"""What no table covers: stretches of a Keras model that Keras runs itself, as at inference."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import tree

from faltung.graph.graph import Array, Node, Value

if TYPE_CHECKING:
    from faltung.models.graphs.keras_nodes import Name, Names, Reader

HEEDLESS = ("BatchNormalization", "Concatenate")
"""Layers that take a mask, or values with one, and compute the same at inference with and without."""


def heeds_mask(layer: Any) -> bool:
    """Does it matter at inference that a layer is given a mask?"""
    if isinstance(layer, keras.layers.TimeDistributed):
        return bool(layer.layer._call_has_mask_arg)
    return not any(kind.__name__ in HEEDLESS for kind in type(layer).__mro__)


def finds_masks(node: Any) -> bool:
    """Does a layer look for masks on its inputs, as merges do and layers within layers, and find one?"""
    layer = node.operation
    if not isinstance(layer, keras.Layer) or layer._call_has_mask_arg or not any(map(_has_mask, node.input_tensors)):
        return False
    is_own = not type(layer).__module__.startswith(("keras.", "faltung."))
    return heeds_mask(layer) and (is_own or any(kind.__name__ == "Merge" for kind in type(layer).__mro__))


def _has_mask(tensor: Any) -> bool:
    return getattr(tensor, "_keras_mask", None) is not None


def with_masks(node: Any) -> list[Any]:
    """The node, after those that make the masks it reads: masks stay within an island."""
    steps: list[Any] = []
    is_found = finds_masks(node)

    def add(step: Any) -> None:
        for tensor in step.input_tensors:
            operation, index, _ = tensor._keras_history
            if tensor.dtype == "bool" or (is_found and _has_mask(tensor)):
                before = operation._inbound_nodes[index] if operation is not None else None
                if before is not None and not before.is_input and before not in steps:
                    add(before)
        steps.append(step)

    add(node)
    return steps


class Island:
    """Nodes of Keras's graph that stand one after the other in one scope, so that they can run as one."""

    def __init__(self, scope: dict[int, "Name"], place: str) -> None:
        self.scope, self.place = scope, place
        self.steps: list[Any] = []
        self.reasons: list[str] = []
        self.made: dict[str, Any] = {}
        """What the steps compute, symbolic tensors by their values' names."""

    def add(self, reader: "Reader", steps: Sequence[Any], reason: str) -> "Names":
        """Take nodes in, and return the values of the last one."""
        from faltung.models.graphs.keras_nodes import Name

        self.steps += [step for step in steps if step not in self.steps]
        self.reasons.append(reason)
        tensors = {id(tensor): _zeros(reader.known[self.scope[id(tensor)]]) for tensor in _inputs(self.steps)}
        _run(self.steps, tensors)
        names = []
        for n, tensor in enumerate(steps[-1].outputs):
            array = _numpy(tensors[id(tensor)])
            name = Name(f"{reader._place}.{len(reader.nodes)}.{len(self.steps)}.{n}")
            dtype = reader.dtype if array.dtype.kind == "f" else array.dtype.name
            reader.known[name] = Value(array.shape, dtype)
            self.made[name] = tensor
            names.append(name)
        return names

    def node(self, reader: "Reader", needed: set[str]) -> Node | None:
        """The island as a node that computes what is needed of it; None if nothing is."""
        outputs = {name: tensor for name, tensor in self.made.items() if name in needed}
        if not outputs:
            return None
        steps = _needed(self.steps, outputs.values())
        inputs = _inputs(steps)
        values = [reader.known[self.scope[id(tensor)]] for tensor in inputs]

        def run(*arrays: Array) -> tuple[Array, ...]:
            tensors = {id(x): keras.ops.convert_to_tensor(a) for x, a in zip(inputs, arrays, strict=True)}
            _run(steps, tensors)
            return tuple(_numpy(tensors[id(tensor)]) for tensor in outputs.values())

        sizes = [reader.known[name].shape for name in outputs]
        are_open = [tensor.shape[:1] == (None,) for tensor in outputs.values()]

        def shapes(*given: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
            grown, before = given[0][0], values[0].shape[0]
            return tuple(
                (shape[0] * grown // before, *shape[1:]) if is_open else shape
                for shape, is_open in zip(sizes, are_open, strict=True)
            )

        attributes = {
            "run": run,
            "shapes": shapes,
            "dtypes": tuple(reader.known[name].dtype for name in outputs),
            "description": ", ".join(dict.fromkeys(type(step.operation).__name__ for step in steps)),
            "reason": "; ".join(dict.fromkeys(self.reasons)),
        }
        names = tuple(str(self.scope[id(tensor)]) for tensor in inputs)
        return Node("island", names, tuple(map(str, outputs)), attributes, self.place)


def _needed(steps: Sequence[Any], outputs: Iterable[Any]) -> list[Any]:
    """The steps that some of what they compute needs."""
    wanted, kept = set(map(id, outputs)), []
    for step in reversed(steps):
        if wanted.intersection(map(id, step.outputs)):
            kept.append(step)
            wanted.update(map(id, step.input_tensors))
    return kept[::-1]


def _inputs(steps: Sequence[Any]) -> list[Any]:
    """The symbolic tensors that steps read and do not make."""
    made = {id(tensor) for step in steps for tensor in step.outputs}
    read = {id(tensor): tensor for step in steps for tensor in step.input_tensors}
    return [tensor for key, tensor in read.items() if key not in made]


def _run(steps: Sequence[Any], tensors: dict[int, Any]) -> None:
    """Run nodes of Keras's graph on tensors, by the ids of the symbolic ones."""
    with _without_gradients():
        for step in steps:
            args, kwargs = step.arguments.fill_in(tensors)
            results = tree.flatten(step.operation(*args, **kwargs))
            tensors.update(zip(map(id, step.outputs), results, strict=True))


def _without_gradients() -> AbstractContextManager[Any]:
    if keras.backend.backend() != "torch":
        return nullcontext()
    import torch

    return torch.no_grad()


def _zeros(value: Value) -> Any:
    return keras.ops.zeros(value.shape, value.dtype)


def _numpy(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor))
