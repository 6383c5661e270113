"""What no table covers: stretches of a Keras model that Keras runs itself, as at inference."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import tree

from faltung.graph.graph import Array, Node, Value

if TYPE_CHECKING:
    from faltung.models.graphs.keras_nodes import Name, Names, Reader

HEEDLESS = ("BatchNormalization", "Concatenate")
"""Layers that take a mask, or merge several, and compute the same at inference with and without."""


def depends_on_masks(node: Any) -> bool:
    """Does a node read values with a mask, and may what it computes depend on that?"""
    layer = node.operation
    if not any(map(_has_mask, node.input_tensors)) or not isinstance(layer, keras.Layer):
        return False
    kinds = {kind.__name__ for kind in type(layer).__mro__}
    if isinstance(layer, keras.layers.TimeDistributed):
        return bool(layer.layer._call_has_mask_arg)
    if kinds.intersection(HEEDLESS):
        return False
    is_kerass = type(layer).__module__.startswith("keras.src.layers") or type(layer).__module__.startswith("faltung.")
    return layer._call_has_mask_arg or "Merge" in kinds or not is_kerass


def _has_mask(tensor: Any) -> bool:
    return getattr(tensor, "_keras_mask", None) is not None


def with_masks_from(node: Any, scope: Any) -> list[Any]:
    """The node, after those that make the masks it reads: masks stay within an island."""
    steps: list[Any] = []

    def add(step: Any) -> None:
        if step in steps:
            return
        for tensor in step.input_tensors:
            operation, index, _ = tensor._keras_history
            if _has_mask(tensor) and operation is not None and not operation._inbound_nodes[index].is_input:
                add(operation._inbound_nodes[index])
        steps.append(step)

    if depends_on_masks(node):
        add(node)
    return steps or [node]


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
        tensors = {id(tensor): _zeros(reader.known[self.scope[id(tensor)]]) for tensor in self._inputs()}
        _run(self.steps, tensors)
        names = []
        for n, tensor in enumerate(steps[-1].outputs):
            array = _numpy(tensors[id(tensor)])
            name = Name(f"{reader._place}.{len(reader.nodes)}.{len(self.steps)}.{n}")
            reader.known[name] = Value(array.shape, array.dtype.name)
            self.made[name] = tensor
            names.append(name)
        return names

    def _inputs(self) -> list[Any]:
        """The symbolic tensors that the steps read and do not make."""
        made = {id(tensor) for step in self.steps for tensor in step.outputs}
        read = {id(tensor): tensor for step in self.steps for tensor in step.input_tensors}
        return [tensor for key, tensor in read.items() if key not in made]

    def node(self, reader: "Reader", needed: set[str]) -> Node | None:
        """The island as a node that computes what is needed of it; None if nothing is."""
        outputs = {name: tensor for name, tensor in self.made.items() if name in needed}
        if not outputs:
            return None
        inputs, steps = self._inputs(), self.steps
        values = [reader.known[self.scope[id(tensor)]] for tensor in inputs]

        def run(*arrays: Array) -> tuple[Array, ...]:
            tensors = {id(x): keras.ops.convert_to_tensor(a) for x, a in zip(inputs, arrays, strict=True)}
            _run(steps, tensors)
            return tuple(_numpy(tensors[id(tensor)]) for tensor in outputs.values())

        def shapes(*given: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
            zeros = (np.zeros(shape, value.dtype) for shape, value in zip(given, values, strict=True))
            return tuple(array.shape for array in run(*zeros))

        attributes = {
            "run": run,
            "shapes": shapes,
            "dtypes": tuple(reader.known[name].dtype for name in outputs),
            "description": ", ".join(dict.fromkeys(type(step.operation).__name__ for step in steps)),
            "reason": "; ".join(dict.fromkeys(self.reasons)),
        }
        names = tuple(str(self.scope[id(tensor)]) for tensor in inputs)
        return Node("island", names, tuple(map(str, outputs)), attributes, self.place)


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
