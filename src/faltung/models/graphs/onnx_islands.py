"""What no table covers: stretches of an ONNX graph that the format's reference implementation runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from faltung.errors import ModelError
from faltung.graph.graph import Array, Node

if TYPE_CHECKING:
    from faltung.models.graphs.onnx_nodes import Reader


class TiedToBatch(Exception):
    """The model names the size of its batch: it is to be read for that one only."""


Shape = tuple[int, ...]


def captured(node: Any) -> Iterator[str]:
    """The outer names that a node's branches read."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            graph = attribute.g
            inner = {tensor.name for tensor in [*graph.initializer, *graph.input]}
            for each in graph.node:
                yield from (name for name in [*each.input, *captured(each)] if name and name not in inner)
                inner.update(each.output)
            yield from (output.name for output in graph.output if output.name not in inner)


def submodel(
    proto: Any,
    nodes: Sequence[Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
    held: Mapping[str, Array] | None = None,
) -> Any:
    """Some nodes of a model as a model, with the weights that it holds."""
    graph = onnx.helper.make_graph(
        list(nodes),
        "island",
        [onnx.helper.make_empty_tensor_value_info(name) for name in inputs],
        [onnx.helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (held or {}).items()],
    )
    return onnx.helper.make_model(graph, opset_imports=list(proto.opset_import), ir_version=proto.ir_version)


class Island:
    """Neighbouring nodes, which can run as one. Each is tried when it joins, for its shapes."""

    def __init__(self, reader: "Reader") -> None:
        self.reader = reader
        self.steps: list[Any] = []
        self.reasons: list[str] = []

    def add(self, step: Any, reason: str) -> None:
        """Take a node in, with the reason."""
        reader = self.reader
        self.steps.append(step)
        self.reasons.append(reason)
        inputs, nodes = self._closed([step])
        evaluator = ReferenceEvaluator(submodel(reader.proto, nodes, inputs, list(filter(None, step.output))))
        for world in range(reader.num_worlds):
            try:
                results = evaluator.run(None, {name: self._sample(name, world) for name in inputs})
            except Exception as error:  # whatever NumPy says of a shape that the model does not take
                if reader.num_worlds > 1:
                    raise TiedToBatch from error
                raise ModelError(f"compile: onnx.reference cannot run {step.op_type}: {error}") from error
            for name, result in zip(filter(None, step.output), map(np.asarray, results), strict=True):
                shapes = [*reader.shapes.get(name, [])[:world], result.shape]
                reader.bind(name, shapes, result.dtype.name)

    def _closed(self, steps: list[Any]) -> tuple[list[str], list[Any]]:
        """What the steps read from outside, and the steps with those before them that compute sizes for the batch."""
        reader, nodes, inputs = self.reader, list(steps), dict[str, None]()
        made = {name for step in steps for name in step.output}
        waiting = [name for step in steps for name in [*step.input, *captured(step)] if name]
        while waiting:
            name = waiting.pop(0)
            if name in made or name in inputs:
                continue
            arrays = reader.known.get(name)
            if arrays and any(array is not arrays[0] for array in arrays):
                maker = reader.makers[name]
                made.update(maker.output)
                nodes.insert(0, maker)
                waiting += [each for each in maker.input if each]
            else:
                inputs[name] = None
        order = {id(node): n for n, node in enumerate(reader.sequence)}
        return list(inputs), sorted(nodes, key=lambda node: order[id(node)])

    def _sample(self, name: str, world: int) -> Array:
        """Something of the right shape to learn shapes from; ones, since some ops divide."""
        reader = self.reader
        if name in reader.known:
            return reader.known[name][world]
        value = reader.names[name]
        return np.ones(reader.shapes[value][world], reader.dtypes[value])

    def node(self, needed: set[str]) -> Node | None:
        """The island as a node that computes what is needed of it; None if nothing is."""
        steps, wanted = [], set(needed)
        for step in reversed(self.steps):
            if wanted.intersection(step.output):
                steps.append(step)
                wanted.update(self.reader.names.get(name, name) for name in [*step.input, *captured(step)] if name)
        steps.reverse()
        made = [name for step in steps for name in step.output if name]
        outputs = [name for name in made if name in needed]
        if not outputs:
            return None
        inputs, nodes = self._closed(steps)
        outer = dict.fromkeys(name for name in inputs if self._value(name) not in made)
        # a name that does nothing may stand between two steps: it is an Identity there
        same = [onnx.helper.make_node("Identity", [self._value(name)], [name]) for name in inputs if name not in outer]
        for alias in same:
            after = next(n for n, each in enumerate(nodes) if alias.input[0] in each.output)
            nodes.insert(after + 1, alias)
        held = {name: self.reader.array(name) for name in outer if name in self.reader.known}
        names = [name for name in outer if name not in held]
        evaluator = ReferenceEvaluator(submodel(self.reader.proto, nodes, names, outputs, held))

        dtypes = [self.reader.dtypes[self._value(name)] for name in names]

        def run(*arrays: Array) -> tuple[Array, ...]:
            given = {name: np.asarray(x, dtype) for name, x, dtype in zip(names, arrays, dtypes, strict=True)}
            results = evaluator.run(None, given)
            return tuple(np.asarray(result) for result in results)

        values = tuple(self._value(name) for name in names)
        return Node(
            "island",
            values,
            tuple(outputs),
            {
                "run": run,
                "description": ", ".join(dict.fromkeys(step.op_type for step in steps)),
                "reason": "; ".join(dict.fromkeys(self.reasons)),
                "shapes": self._shapes(values, outputs),
                "dtypes": tuple(self.reader.dtypes[name] for name in outputs),
            },
        )

    def _value(self, name: str) -> str:
        return self.reader.value(name) if name in self.reader.known else self.reader.names.get(name, name)

    def _shapes(self, inputs: tuple[str, ...], outputs: list[str]) -> Any:
        """Shapes of the outputs: where they hang on the batch, a straight line through the two that were tried."""
        reader = self.reader
        wanted = [list(zip(*reader.shapes[name], strict=True)) for name in outputs]
        if all(len(set(sizes)) == 1 for shape in wanted for sizes in shape):
            return tuple(tuple(sizes[0] for sizes in shape) for shape in wanted)
        read = [list(zip(*reader.shapes[name], strict=True)) if name in reader.shapes else [] for name in inputs]
        leading = [
            (n, axis, sizes) for n, shape in enumerate(read) for axis, sizes in enumerate(shape) if len(set(sizes)) > 1
        ]
        operand, axis, (first, second) = leading[0]

        def shapes(*given: Shape) -> tuple[Shape, ...]:
            steps = (given[operand][axis] - first) // (second - first)
            return tuple(tuple(sizes[0] + steps * (sizes[1] - sizes[0]) for sizes in shape) for shape in wanted)

        return shapes
