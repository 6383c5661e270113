"""A Keras model node by node: layers and operations through their tables, nested ones from within, the rest as islands.

Keras's own graph is the trace: a layer that no table knows is called on symbolic tensors, and what its `call` does is
read in its place. That serves Keras's activations, merges, croppings … as well as layers and models of users.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import tree

from faltung.errors import FaltungError, ModelError
from faltung.graph.graph import Array, Constant, Graph, Node, Value
from faltung.graph.shapes import SHAPES, infer
from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.keras_calls import standardized
from faltung.models.graphs.keras_islands import Island, finds_masks, heeds_mask, with_masks
from faltung.models.graphs.keras_variables import Watch, numbers

Shape = tuple[int, ...]
Names = list["Name"]

WHOLE = ("RNN", "Bidirectional", "MultiHeadAttention", "GroupedQueryAttention", "Attention", "AdditiveAttention")
"""Layers whose `call` is not worth a look: loops over time, and products of two inputs."""
BATCH = 2
"""The batch while a model is read: any will do, and 1 would hide what broadcasts."""


class Name(str):
    """The name of a value of the graph among the arguments of a call."""

    __slots__ = ()


class Reader:
    """Writes the nodes of a graph; functions of the tables are given it, the layer or operation, and its arguments."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.inputs: dict[str, Value] = {}
        self.nodes: list[Node | Island] = []
        self.constants: dict[str, Constant] = {}
        self.known: dict[str, Value] = {}
        """Shape and element type of every value."""
        self.watch = Watch()
        self._place = ""
        self._read: set[str] = set()

    # ---- walking

    def walk(self, given: Mapping[int, Name], outputs: Sequence[Any]) -> Names:
        """Read what lies between symbolic tensors, by their ids, and others; return the values of those."""
        scope = dict(given)
        for node in between(given, outputs):
            self._node(node, scope)
        return [scope[id(tensor)] for tensor in outputs]

    def _node(self, node: Any, scope: dict[int, Name]) -> None:
        place, written = self._place, len(self.nodes)
        constants, inputs = set(self.constants), dict(self.inputs)
        self._place = f"{place}/{node.operation.name}" if place else node.operation.name
        try:
            if finds_masks(node):
                raise NotCovered("what it computes depends on a mask")
            args, kwargs = node.arguments.fill_in(scope)
            found = self.operation(node.operation, args, kwargs)
            self._check(node, found)
        except (NotCovered, FaltungError) as reason:
            del self.nodes[written:]
            for name in self.constants.keys() - constants:
                del self.constants[name]
            self._restore(inputs)
            found = self._island(node, scope, str(reason))
        self._place = place
        scope.update(zip(map(id, node.outputs), found, strict=True))

    def _restore(self, inputs: dict[str, Value]) -> None:
        self.inputs = inputs
        self.known |= inputs

    def operation(self, operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Names:
        """Read one call of a layer, a model or an operation."""
        from faltung.models.graphs.keras_layers import table_entry  # whose functions take a Reader
        from faltung.models.graphs.keras_ops import TABLE

        if not isinstance(operation, keras.Layer):
            entry = TABLE.get(type(operation).__name__) if type(operation).__module__.startswith("keras.") else None
            if entry is None:
                raise NotCovered(f"no table knows the operation {type(operation).__name__}")
            return _names(entry(self, operation, *args, **kwargs))
        if kwargs.get("training"):
            raise NotCovered("it is called with training=True")
        given = {word: value for word, value in kwargs.items() if _is_given(value) and word != "training"}
        if "mask" in given:
            if heeds_mask(operation):
                raise NotCovered("what it computes depends on a mask")
            del given["mask"]
        if operation.quantization_mode:
            raise NotCovered(f"it is quantized to {operation.quantization_mode}")
        entry = table_entry(operation)
        if entry is not None and not given:
            return _names(entry(self, operation, *args))
        if is_functional(operation):
            return self._functional(operation, args[0])
        return self._traced(operation, args, given)

    def _functional(self, model: Any, given: Any) -> Names:
        inputs = standardized(model, given)
        return self.walk({id(tensor): name for tensor, name in zip(model.inputs, inputs, strict=True)}, model.outputs)

    def _traced(self, layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Names:
        """Read what a layer's `call` does; one of Keras's own that does more than the tables know is an island."""
        if any(kind.__name__ in WHOLE for kind in type(layer).__mro__):
            raise NotCovered("it is left to Keras")
        is_kerass = type(layer).__module__.startswith("keras.")
        options = {"training": False} if layer._call_has_training_arg else {}
        written = len(self.nodes)
        found = self.call(
            lambda *given, **words: layer.call(*given, **words, **options), args, kwargs, is_learned=bool(layer.weights)
        )
        islands = [each for each in self.nodes[written:] if isinstance(each, Island)]
        if is_kerass and islands:
            raise NotCovered(islands[0].reasons[0])
        return found

    def call(
        self,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None = None,
        *,
        is_learned: bool = False,
    ) -> Names:
        """Read what a function does with symbolic tensors in place of the values among its arguments."""
        symbols: dict[str, Any] = {}

        def symbol(leaf: Any) -> Any:
            if not isinstance(leaf, Name):
                return leaf
            value = self.known[leaf]
            made = keras.KerasTensor((None, *value.shape[1:]), dtype=value.dtype)
            return symbols.setdefault(leaf, made)

        given, words = tree.map_structure(symbol, (tuple(args), dict(kwargs or {})))
        try:
            outputs = tree.flatten(function(*given, **words))
        except Exception as error:  # whatever code of users and backends raises where it meets a symbolic tensor
            raise NotCovered(f"its call takes no symbolic tensors: {first_line(error)}") from None
        if not all(isinstance(output, keras.KerasTensor) for output in outputs):
            raise NotCovered("its call returns what does not depend on its input")
        scope = {id(tensor): Name(name) for name, tensor in symbols.items()}
        nodes = [node for node in between(scope, outputs)]
        try:
            if is_learned and any(map(_computes_aside, nodes)):
                raise NotCovered("its call computes with its weights outside of Keras's operations")
            return self.walk(scope, outputs)
        finally:
            _forget(nodes)

    def layer(self, layer: Any, x: Name) -> Name:
        """Read one call of a layer on one value."""
        (found,) = self.call(layer, (x,))
        return found

    def activated(self, function: Any, x: Name) -> Name:
        """Read a layer's activation as a layer of its own: one that no table knows alone is left to Keras."""
        if function is None or function is keras.activations.linear:
            return x
        return self.layer(keras.layers.Activation(function, dtype=self.dtype), x)

    def _check(self, node: Any, found: Names) -> None:
        """Refuse what has not the shape that Keras gives."""
        for tensor, name in zip(node.outputs, found, strict=True):
            shape = self.known[name].shape
            sizes = zip(tensor.shape[1:], shape[1:], strict=False)
            if len(tensor.shape) != len(shape) or any(given not in (None, size) for given, size in sizes):
                raise NotCovered(f"the table gives {shape}, Keras {tensor.shape}")
            if self.known[name].dtype != tensor.dtype and not tensor.dtype.startswith("float"):
                raise NotCovered(f"numbers of type {tensor.dtype}")

    def _island(self, node: Any, scope: dict[int, Name], reason: str) -> Names:
        steps = with_masks(node)
        last = self.nodes[-1] if self.nodes else None
        if not (isinstance(last, Island) and last.scope is scope and len(steps) == 1):
            last = Island(scope, self._place)
            self.nodes.append(last)
        return last.add(self, steps, reason)

    # ---- what the functions of the tables use

    def emit(self, op: str, *inputs: str, **attributes: Any) -> Name:
        """Append a node and return its value."""
        output = Name(f"{self._place}.{len(self.nodes)}")
        node = Node(op, tuple(map(str, inputs)), (str(output),), attributes, self._place)
        operands = [self.value(name) for name in inputs]
        (shape,) = SHAPES[op](node, *(operand.shape for operand in operands))
        self.nodes.append(node)
        self._read.update(inputs)
        self.known[output] = Value(shape, operands[1 if op == "embedding" else 0].dtype)
        return output

    def value(self, name: str) -> Value | Constant:
        """A value or a constant by its name."""
        return self.known[name] if name in self.known else self.constants[name]

    def shape(self, name: str) -> Shape:
        """The shape of a value, with a batch of BATCH."""
        return self.value(name).shape

    def map(self, formula: Callable[..., Any], *operands: Any) -> Name:
        """A map whose formula is given each operand as the number of an input, or as a constant number."""
        inputs: list[str] = []
        places: list[int | float] = []
        for operand in operands:
            if np.ndim(operand) == 0 and isinstance(operand, int | float | np.number | np.ndarray):
                places.append(float(operand))
                continue
            name = self.floats(operand)
            inputs += [] if name in inputs else [name]
            places.append(inputs.index(name))
        if not any(isinstance(name, Name) for name in inputs):
            raise NotCovered("it depends on no input")
        return self.emit("map", *inputs, expression=formula(*places))

    def floats(self, operand: Any) -> str:
        """A value or constant of the network's floating-point type, of a variable or an array if need be."""
        if not isinstance(operand, str):
            return self.constant(operand)
        if isinstance(operand, Name) and self.known[operand].dtype != self.dtype:
            self._retype(operand, self.dtype)
        return operand

    def indices(self, x: Name) -> Name:
        """A value of integers."""
        if "int" not in self.known[x].dtype:
            self._retype(x, "int32")
        return x

    def _retype(self, x: Name, dtype: str) -> None:
        """Take an input as another type from the start, as the first layer would cast it."""
        if x not in self.inputs or x in self._read:
            raise NotCovered(f"numbers of type {self.known[x].dtype}")
        self.inputs[x] = self.known[x] = Value(self.known[x].shape, dtype)

    def constant(self, of: Any, then: Callable[[Array], Array] = lambda array: array, label: str = "") -> str:
        """A variable, a tensor or an array as a constant, as `then` rearranges it."""
        if isinstance(of, Name):
            raise NotCovered("a weight that is computed from an input")
        if not isinstance(of, keras.Variable):
            array = then(np.asarray(numbers(of), self.dtype))
            name = f"{self._place}.constant{len(self.constants)}"
            self.constants[name] = Constant.of(array)
            return name
        return self.computed(of.path + label, lambda: then(numbers(of)), (of,))

    def computed(self, label: str, read: Callable[[], Array], variables: Sequence[Any]) -> str:
        """A constant that is computed from variables."""
        name = f"{label} {id(variables[0])}" if variables else label
        if name not in self.constants:
            for variable in variables:
                self.watch.add(variable)
            now = read()
            self.constants[name] = Constant(now.shape, now.dtype.name, read, self.watch.version)
        return name

    def reshape(self, x: Name, sizes: Sequence[int], batch: int = 0) -> Name:
        """A value with other sizes behind the batch; a batch of -1 takes what is left."""
        return self.emit("reshape", x, shape=(batch, *map(int, sizes)))

    def cut(self, x: Name, cuts: Mapping[int, slice]) -> Name:
        """A slice along some axes."""
        each = [cuts.get(axis, slice(None)) for axis in range(len(self.shape(x)))]
        starts, stops, steps = zip(*((s.start or 0, s.stop, s.step or 1) for s in each), strict=True)
        if min(steps) < 1:
            raise NotCovered("it goes backwards")
        return self.emit("slice", x, starts=starts, stops=stops, steps=steps)

    # ---- the end

    def graph(self, outputs: Names) -> Graph:
        """The graph, without what no output needs."""
        needed, kept = set(map(str, outputs)), []
        for each in reversed(self.nodes):
            node = each.node(self, needed) if isinstance(each, Island) else each
            if node is not None and needed.intersection(node.outputs):
                kept.append(node)
                needed |= set(node.inputs)
        kept.reverse()
        if kept and all(node.op == "island" for node in kept):
            raise ModelError(f"compile: nothing is left for faltung to compute: {kept[0].name}, {kept[0]['reason']}.")
        constants = {name: constant for name, constant in self.constants.items() if name in needed}
        return infer(Graph(self.inputs, constants, tuple(kept), tuple(map(str, outputs))))


def is_functional(layer: Any) -> bool:
    """Is it a model whose graph Keras holds, and whose call is to run that graph?"""
    graph = layer._functional if isinstance(layer, keras.Sequential) else layer
    is_kerass = type(layer).call.__module__.startswith("keras.src.models")
    return isinstance(layer, keras.Model) and isinstance(graph, keras.Function) and is_kerass


def between(given: Mapping[int, Any], outputs: Sequence[Any]) -> Iterator[Any]:
    """The nodes of Keras's graph between symbolic tensors, by their ids, and others, each after those it needs."""
    done: set[int] = set()
    stack = [(tensor, False) for tensor in reversed(outputs)]
    while stack:
        tensor, is_ready = stack.pop()
        operation, index, _ = getattr(tensor, "_keras_history", (None, 0, 0))
        if id(tensor) in given or operation is None:
            if id(tensor) not in given:
                raise NotCovered("it depends on a tensor that is no input")
            continue
        node = operation._inbound_nodes[index]
        if id(node) in done:
            continue
        if is_ready or node.is_input:
            if node.is_input:
                raise NotCovered(f"{operation.name} is no input of the model")
            done.add(id(node))
            yield node
        else:
            stack.append((tensor, True))
            stack += [(parent, False) for parent in reversed(node.input_tensors)]


def first_line(error: BaseException) -> str:
    """What an error says, in short."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _is_given(value: Any) -> bool:
    return any(leaf is not None for leaf in tree.flatten(value))


def _names(found: Any) -> Names:
    return list(found) if isinstance(found, list | tuple) else [found]


def _computes_aside(node: Any) -> bool:
    """Is an argument a tensor that was computed outside of the graph, maybe from weights, which then would be stale?"""
    leaves = tree.flatten((node.arguments.args, node.arguments.kwargs))
    return any(
        keras.ops.is_tensor(leaf) and not isinstance(leaf, keras.KerasTensor | keras.Variable) for leaf in leaves
    )


def _forget(nodes: Sequence[Any]) -> None:
    """Take what a trace has added out of Keras's own lists, so that `layer.output` means what it meant before."""
    for node in nodes:
        if node in node.operation._inbound_nodes:
            node.operation._inbound_nodes.remove(node)
        for tensor in node.input_tensors:
            operation = tensor._keras_history.operation
            if operation is not None and node in operation._outbound_nodes:
                operation._outbound_nodes.remove(node)
