"""An exported program, node by node: each through its table, what no table covers into islands."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import sympy  # type: ignore[import-untyped]
import torch
from torch import fx

from faltung.errors import FaltungError
from faltung.graph.graph import Array, Constant, Graph, Node, Value
from faltung.graph.shapes import infer
from faltung.models.graphs.covered import NotCovered
from faltung.models.graphs.torch_constants import Constants, Leaf
from faltung.models.graphs.torch_islands import Island

Size: TypeAlias = int | sympy.Expr
"""A size as exported: a number, or an expression in the open batch."""

PLAIN = (torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def dtype_name(dtype: torch.dtype) -> str:
    """A type of numbers by NumPy's name."""
    return str(dtype).removeprefix("torch.")


def sizes(value: torch.Tensor) -> tuple[Size, ...]:
    """The shape of an exported tensor."""
    found = (size.node.expr if isinstance(size, torch.SymInt) else size for size in value.shape)
    return tuple(int(size) if not isinstance(size, int) and size.is_number else size for size in found)


class Reader:
    """Writes the nodes of a graph, by a table: name of the op → a function of the Reader and the op's arguments."""

    def __init__(self, leaves: Mapping[str, Leaf], table: Mapping[str, Callable[..., Any]]) -> None:
        self.table = table
        self.consts = Constants(leaves)
        self.names: dict[fx.Node, Any] = {}
        """The value of each node, or a tuple of values (None for one that nothing may read)."""
        self.nodes: list[Node | Island] = []
        self.constants: dict[str, Constant] = {}
        self.shapes: dict[str, tuple[Size, ...]] = {}
        self.dtypes: dict[str, str] = {}
        self.node: Any = None  # the one that is being read

    def read(self, module: fx.GraphModule, inputs: Sequence[str]) -> Sequence[fx.Node]:
        """Read all nodes and return those whose values the program returns."""
        for node in module.graph.nodes:
            self.node = node
            if node.op == "output":
                return list(node.args[0])
            if self.consts.admit(node) or node.op == "get_attr":
                continue
            if node.op == "placeholder":
                if node.name in inputs:
                    self._bind(node, node.name)
            elif _is_tensor(node.meta.get("val")):
                self._convert(node)
        raise AssertionError("an exported program ends with its outputs")

    def _convert(self, node: fx.Node) -> None:
        written, known = len(self.nodes), set(self.constants)
        try:
            self._check_types(node)
            names = self._through_table(node)
            self._check_shapes(_by_name(names, node.meta["val"]), self.nodes[written:])
        except (NotCovered, FaltungError) as reason:
            del self.nodes[written:]
            for name in self.constants.keys() - known:
                del self.constants[name]
            several = isinstance(node.meta["val"], tuple | list)
            names = tuple(f"{node.name}.{n}" for n in range(len(node.meta["val"]))) if several else node.name
            island = self.nodes[-1] if self.nodes else None
            if not isinstance(island, Island):
                island = Island()
                self.nodes.append(island)
            island.add(node, str(reason))
        self._bind(node, names)

    def _through_table(self, node: fx.Node) -> Any:
        name = target_name(node.target)
        if name == "getitem":
            source: Any = node.args[0]
            index = node.args[1]
            return self.names[source][index]
        if name not in self.table:
            raise NotCovered(f"no table knows {name}")
        schema = node.target._schema.arguments  # type: ignore[union-attr]
        given = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
        given |= dict(zip((argument.name for argument in schema), node.args, strict=False)) | node.kwargs
        names = self.table[name](
            self, **{("input" if each == "self" else each): value for each, value in given.items()}
        )
        parts = names if isinstance(names, tuple) else ()
        if parts and any(parts[user.args[1]] is None for user in node.users if user.users):  # type: ignore[index]
            raise NotCovered(f"the table does not compute all of {name}")
        return names

    def _check_types(self, node: fx.Node) -> None:
        """Graphs know real numbers only; booleans and complex numbers stay with the host."""
        values = [node.meta["val"], *(parent.meta.get("val") for parent in node.all_input_nodes)]
        for value in (part for each in values for part in (each if isinstance(each, tuple | list) else (each,))):
            if isinstance(value, torch.Tensor) and value.dtype not in PLAIN:
                raise NotCovered(f"numbers of type {dtype_name(value.dtype)}")

    def _check_shapes(self, expected: Mapping[str, torch.Tensor], nodes: Sequence[Any]) -> None:
        """What was written must have PyTorch's shapes and types, for two batches."""
        read = {name for node in nodes for name in node.inputs if name in self.shapes}
        for batch in (2, 5):
            known = {
                name: Value(at(self.shapes[name], batch), self.dtypes[name])
                for name in read | expected.keys()
                if name in self.shapes
            }
            found = infer(Graph(known, self.constants, tuple(nodes), ()))
            for name, value in expected.items():
                got, shape, dtype = found.value(name), at(sizes(value), batch), dtype_name(value.dtype)
                if got.dtype != dtype:
                    raise NotCovered(f"{target_name(self.node.target)} makes {got.dtype} {dtype}")
                if got.shape != shape:
                    raise NotCovered(f"{target_name(self.node.target)} gives {shape}, not {got.shape}")

    def _bind(self, node: fx.Node, names: Any) -> None:
        """Note the values of a node, or of a placeholder."""
        self.names[node] = names
        for name, value in _by_name(names, node.meta["val"]).items():
            self.shapes[name], self.dtypes[name] = sizes(value), dtype_name(value.dtype)

    # What the functions of the tables use.

    def name(self, node: Any, dtype: str | None = None) -> str:
        """The value of a node; a constant joins the graph with its first use."""
        if node not in self.consts:
            return self.names[node]  # type: ignore[no-any-return]
        if dtype is None or dtype == dtype_name(node.meta["val"].dtype):
            return self._constant(node.name, lambda: self.consts.constant(node))
        return self._constant(
            f"{node.name}.{dtype}", lambda: self.consts.constant(node, lambda array: array.astype(dtype))
        )

    def rearranged(self, node: Any, label: str, then: Callable[[Array], Array]) -> str:
        """A constant that is a node's numbers in another shape."""
        return self._constant(f"{node.name}.{label}", lambda: self.consts.constant(node, then))

    def _constant(self, name: str, make: Callable[[], Constant]) -> str:
        if name not in self.constants:
            self.constants[name] = make()
        return name

    def is_constant(self, node: Any) -> bool:
        """Does it belong to the network?"""
        return node in self.consts

    def shape(self, node: fx.Node) -> tuple[Size, ...]:
        """The shape, with expressions in the batch."""
        return sizes(node.meta["val"])

    def emit(self, op: str, inputs: Sequence[Any], **attributes: Any) -> str:
        """Append a node and return its value; inputs are nodes of the program or values."""
        names = tuple(each if isinstance(each, str) else self.name(each) for each in inputs)
        stack = self.node.meta.get("nn_module_stack") or {}
        layer = next(reversed(stack.values()), ("", None))[0] if stack else ""
        last = self.nodes[-1].outputs[0] if self.nodes and isinstance(self.nodes[-1], Node) else ""
        name, _, number = last.partition(".")
        output = f"{name}.{int(number or 0) + 1}" if name == self.node.name else self.node.name
        self.nodes.append(Node(op, names, (output,), attributes, layer))
        return output

    def map(self, formula: Callable[..., Any], *operands: Any) -> str:
        """A map whose formula is given each operand as an input or as a number."""
        dtype = dtype_name(self.node.meta["val"].dtype)
        if not dtype.startswith("float"):
            raise NotCovered(f"arithmetic of type {dtype}")
        inputs: list[str] = []
        places: list[int | float] = []
        for operand in operands:
            if isinstance(operand, str) or (isinstance(operand, fx.Node) and _is_tensor(operand.meta["val"])):
                name = operand if isinstance(operand, str) else self.name(operand, dtype)
                inputs += [] if name in inputs else [name]
                places.append(inputs.index(name))
            else:
                places.append(float(number(operand)))
        return self.emit("map", inputs, expression=formula(*places))

    def graph(self, inputs: Mapping[str, Value], outputs: tuple[str, ...]) -> Graph:
        """The graph, without what no output needs."""
        needed: set[str] = set(outputs)
        kept = []
        for each in reversed(self.nodes):
            node = each.node(self, needed) if isinstance(each, Island) else each
            if node and needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        constants = {name: constant for name, constant in self.constants.items() if name in needed}
        return infer(Graph(inputs, constants, tuple(reversed(kept)), outputs))


def number(value: Any) -> Any:
    """A number of an argument; sizes that hang on the batch are none."""
    if isinstance(value, fx.Node):
        value = value.meta["val"]
    if isinstance(value, torch.SymInt | torch.SymFloat):
        value = value.node.expr
    if isinstance(value, sympy.Expr):
        if not value.is_number:
            raise NotCovered("an argument hangs on the batch")
        value = int(value) if value.is_integer else float(value)
    return value


def at(shape: Sequence[Size], batch: int) -> tuple[int, ...]:
    """A shape for a batch."""
    return tuple(
        size if isinstance(size, int) else int(size.subs(dict.fromkeys(size.free_symbols, batch))) for size in shape
    )


def _by_name(names: Any, value: Any) -> dict[str, torch.Tensor]:
    pairs = zip(names, value, strict=True) if isinstance(names, tuple) else [(names, value)]
    return {name: part for name, part in pairs if name is not None}


def _is_tensor(value: Any) -> bool:
    """Is it a tensor, or several?"""
    if isinstance(value, tuple | list):
        return bool(value) and any(isinstance(part, torch.Tensor) for part in value)
    return isinstance(value, torch.Tensor)


def target_name(target: Any) -> str:
    """An op of ATen as "conv1d.padding", any other function by its name."""
    if isinstance(target, torch._ops.OpOverload):
        return str(target).removeprefix("aten.")
    return getattr(target, "__name__", str(target))
