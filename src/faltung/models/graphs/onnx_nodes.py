"""An ONNX graph, node by node: each through its table, what no table covers into islands."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from faltung.errors import FaltungError
from faltung.graph.graph import Array, Constant, Graph, Node, Value
from faltung.graph.shapes import infer
from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.onnx_islands import Island, TiedToBatch, captured, submodel

Shape = tuple[int, ...]
Size: TypeAlias = int | Shape
"""A size: a number, or one for each batch that is read for."""

RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")


class Reader:
    """Writes the nodes of a graph. Functions of the tables are given it and a node's inputs; `said`: its attributes."""

    def __init__(self, proto: Any, table: Mapping[str, Callable[..., Any]], num_worlds: int) -> None:
        self.proto, self.table, self.num_worlds = proto, table, num_worlds
        self.opset = next(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))
        self.known: dict[str, list[Array]] = {}
        """What depends on no numbers of the input: weights, shapes, what is made of them. An array for each batch."""
        self.makers: dict[str, Any] = {}
        """Which node computes what is known: an island may have to run it again."""
        self.names: dict[str, str] = {}
        """The value of each name, which is another where a node does nothing."""
        self.nodes: list[Node | Island] = []
        self.constants: dict[str, Constant] = {}
        self.shapes: dict[str, list[Shape]] = {}
        self.dtypes: dict[str, str] = {}
        self.sequence: list[Any] = []
        """All nodes in the order in which they were read, branches too."""
        self.node: Any = None
        self.said: dict[str, Any] = {}

    def bind(self, name: str, shapes: list[Shape], dtype: str) -> None:
        """Note a value under its own name."""
        self.names[name], self.shapes[name], self.dtypes[name] = name, shapes, dtype

    def read(self, graph: Any) -> None:
        """Read all nodes of a graph, or of the branch that is taken."""
        for tensor in graph.initializer:
            self.known[tensor.name] = [numpy_helper.to_array(tensor)] * self.num_worlds
        for node in graph.node:
            self.node = node
            self.sequence.append(node)
            self.said = {each.name: _plain(onnx.helper.get_attribute_value(each)) for each in node.attribute}
            if not (self._branches() or self._knows()):
                self._convert()

    def _branches(self) -> bool:
        """Read the branch of an If that is always taken."""
        node, said = self.node, self.said
        if node.op_type != "If" or node.input[0] not in self.known:
            return False
        taken = {bool(array.item()) for array in self.known[node.input[0]]}
        if len(taken) > 1:
            raise TiedToBatch
        branch = said["then_branch" if taken.pop() else "else_branch"]
        self.read(branch)
        for outer, inner in zip(node.output, (output.name for output in branch.output), strict=True):
            if inner in self.known:
                self.known[outer], self.makers[outer] = self.known[inner], self.makers.get(inner)
            else:
                self.names[outer] = self.names[inner]
        return True

    def _knows(self) -> bool:
        """Compute what needs no numbers of the input."""
        node = self.node
        if node.op_type == "Shape" and node.input[0] in self.names:
            shapes = self.shapes[self.names[node.input[0]]]
            ends = slice(self.said.get("start", 0), self.said.get("end"))
            results: list[Any] = [[np.array(shape[ends], np.int64)] for shape in shapes]
        elif node.op_type == "Size" and node.input[0] in self.names:
            results = [[np.array(np.prod(shape), np.int64)] for shape in self.shapes[self.names[node.input[0]]]]
        elif node.op_type in RANDOM or not all(name in self.known for name in [*node.input, *captured(node)] if name):
            return False
        else:
            given = [name for name in dict.fromkeys([*node.input, *captured(node)]) if name]
            evaluator = ReferenceEvaluator(submodel(self.proto, [node], given, list(node.output)))
            worlds = [{name: self.known[name][world] for name in given} for world in range(self.num_worlds)]
            is_same = all(worlds[0][name] is other[name] for other in worlds for name in given)
            results = (
                [evaluator.run(None, worlds[0])] * len(worlds) if is_same else [evaluator.run(None, w) for w in worlds]
            )
        for n, name in enumerate(node.output):
            arrays = [np.asarray(result[n]) for result in results]
            if all(np.array_equal(arrays[0], other) for other in arrays):
                arrays = [arrays[0]] * len(arrays)
            self.known[name], self.makers[name] = arrays, node
        return True

    def _convert(self) -> None:
        node, written, known = self.node, len(self.nodes), set(self.constants)
        try:
            if node.domain not in ("", "ai.onnx") or node.op_type not in self.table:
                raise NotCovered(f"no table knows {node.op_type}")
            if any(node.output[1:]) and node.op_type not in ("Split",):
                self._refuse_further_outputs()
            given = list(node.input)
            while given and not given[-1]:
                given.pop()
            names = self.table[node.op_type](self, *(name or None for name in given))
            self._note(names if isinstance(names, tuple) else (names,), self.nodes[written:])
        except (NotCovered, FaltungError) as reason:
            del self.nodes[written:]
            for name in self.constants.keys() - known:
                del self.constants[name]
            island = self.nodes[-1] if self.nodes else None
            if not isinstance(island, Island):
                island = Island(self)
                self.nodes.append(island)
            island.add(node, str(reason))

    def _refuse_further_outputs(self) -> None:
        """A pool's indices, statistics of a norm: tables compute the first output alone."""
        read = {name for other in self.proto.graph.node for name in [*other.input, *captured(other)]}
        read |= {output.name for output in self.proto.graph.output}
        if read.intersection(filter(None, self.node.output[1:])):
            raise NotCovered(f"further outputs of {self.node.op_type}")

    def _note(self, names: tuple[str, ...], nodes: Sequence[Any]) -> None:
        """Note the shapes of what was written, for each batch."""
        written = {name for node in nodes for name in node.outputs}
        read = {name for node in nodes for name in node.inputs if name in self.shapes}
        for world in range(self.num_worlds):
            given = {name: Value(self.shapes[name][world], self.dtypes[name]) for name in read - written}
            found = infer(Graph(given, self.constants, tuple(nodes), ()))
            for name, value in found.values.items():
                self.shapes[name] = [*self.shapes.get(name, ())[:world], value.shape]
                self.dtypes[name] = value.dtype
        for output, name in zip(filter(None, self.node.output), names, strict=False):
            self.names[output] = name

    # What the functions of the tables use.

    def value(self, name: str) -> str:
        """The value of a name; a constant joins the graph with its first use."""
        if name not in self.known:
            return self.names[name]
        self.constants.setdefault(name, Constant.of(self.array(name)))
        return name

    def constant(self, label: str, array: Array) -> str:
        """A constant that is made here."""
        name = f"{self.node.output[0]}.{label}"
        self.constants[name] = Constant.of(array)
        return name

    def array(self, name: str | None) -> Array:
        """Numbers that belong to the network."""
        if name not in self.known:
            raise NotCovered(f"{self.node.op_type} with {name} computed from the input")
        first, *others = self.known[name]
        if any(other is not first for other in others):
            raise NotCovered(f"{self.node.op_type} with {name} that hangs on the batch")
        return first

    def numbers(self, name: str | None, attribute: str = "") -> list[Any] | None:
        """A list that an attribute or, since some opset, an input tells; None where nobody does."""
        if name is not None:
            return list(np.ravel(self.array(name)).tolist())
        said = self.said.get(attribute)
        return None if said is None else list(said) if isinstance(said, list | tuple) else [said]

    def shape(self, name: str) -> tuple[Size, ...]:
        """The shape; sizes that hang on the batch have a number for each."""
        if name in self.known:
            return self.array(name).shape
        worlds = self.shapes[self.names.get(name, name)]
        return tuple(sizes[0] if len(set(sizes)) == 1 else sizes for sizes in zip(*worlds, strict=True))

    def rank(self, name: str) -> int:
        """The number of axes."""
        return len(self.shape(name))

    def emit(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node and return its value; inputs are names of the model or values."""
        names = tuple(self.names[name] if name in self.names else self._known_or_made(name) for name in inputs)
        last = self.nodes[-1].outputs[0] if self.nodes and isinstance(self.nodes[-1], Node) else ""
        mine = self.node.output[0]
        output = (
            f"{mine}.{int(last[len(mine) + 1 :] or 0) + 1}" if last == mine or last.startswith(f"{mine}.") else mine
        )
        self.nodes.append(Node(op, names, (output,), attributes, self.node.name))
        return output

    def _known_or_made(self, name: str) -> str:
        return self.value(name) if name in self.known else name

    def map(self, formula: Callable[..., Any], *operands: Any) -> str:
        """A map whose formula is given each operand as an input or as a number; lone constants are numbers."""
        inputs: list[str] = []
        places: list[int | float] = []
        for operand in operands:
            if (
                isinstance(operand, str)
                and operand in self.known
                and self.array(operand).size == 1
                and len(operands) > 1
            ):
                if self.array(operand).ndim > max(self.rank(each) for each in operands if self._is_noted(each)):
                    raise NotCovered("a number of more axes than what it meets")
                operand = float(self.array(operand).item())
            if isinstance(operand, str):
                inputs += [] if operand in inputs else [operand]
                places.append(inputs.index(operand))
            else:
                places.append(float(operand))
        types = {self._dtype(name) for name in inputs if name in self.known or self._is_noted(name)}
        if len(types) > 1 or not all(dtype.startswith("float") for dtype in types):
            raise NotCovered(f"arithmetic of type {' and '.join(sorted(types))}")
        return self.emit("map", inputs, expression=formula(*places))

    def _is_noted(self, operand: Any) -> bool:
        """Is it a value that another node has made?"""
        return isinstance(operand, str) and operand in self.names

    def _dtype(self, name: str) -> str:
        return self.array(name).dtype.name if name in self.known else self.dtypes[self.names[name]]

    def graph(self, inputs: Mapping[str, Value], outputs: Sequence[str]) -> Graph:
        """The graph, without what no output needs."""
        results = tuple(self.value(name) for name in outputs)
        needed: set[str] = set(results)
        kept = []
        for each in reversed(self.nodes):
            node = each.node(needed) if isinstance(each, Island) else each
            if node and needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        constants = {name: constant for name, constant in self.constants.items() if name in needed}
        return infer(Graph(inputs, constants, tuple(reversed(kept)), results))


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
