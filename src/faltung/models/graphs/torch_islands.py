"""What no table covers: stretches of an exported program that PyTorch runs, without gradients."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sympy  # type: ignore[import-untyped]
import torch
from torch import fx

from faltung.graph.graph import Array, Node

if TYPE_CHECKING:
    from faltung.models.graphs.torch_nodes import Reader


class Island:
    """Nodes of a program that stand one after the other, so that they can run as one.

    Values are known by their names in the graph: a dropout between two of its nodes is no node at all.
    """

    def __init__(self) -> None:
        self.steps: list[fx.Node] = []
        self.reasons: list[str] = []

    def add(self, step: fx.Node, reason: str) -> None:
        """Take a node in, with the reason."""
        self.steps.append(step)
        if not _is_state(step):
            self.reasons.append(reason)

    def node(self, reader: "Reader", needed: set[str]) -> Node | None:
        """The island as a node that computes what is needed of it; None if nothing is."""
        steps, wanted = [], set(needed)
        for step in reversed(self.steps):
            if wanted.intersection(_names(reader, step)):
                steps.append(step)
                outer = (parent for parent in parents(step) if parent not in reader.consts)
                wanted.update(name for parent in outer for name in _names(reader, parent))
        steps.reverse()
        made = [name for step in steps for name in _names(reader, step)]
        outputs = tuple(name for name in made if name in needed)
        if not outputs:
            return None
        outer = (parent for step in steps for parent in parents(step) if not reader.consts.is_plain(parent))
        read = (name for parent in outer for name in _names(reader, parent))
        inputs = tuple(dict.fromkeys(name for name in read if name not in made))
        return Node(
            "island",
            inputs,
            outputs,
            {
                "run": _run(reader, steps, inputs, outputs),
                "description": ", ".join(dict.fromkeys(map(_spoken, [s for s in steps if not _is_state(s)] or steps))),
                "reason": "; ".join(dict.fromkeys(self.reasons)) or "numbers that are made for each call",
                "shapes": _shapes(reader, inputs, outputs),
                "dtypes": tuple(reader.dtypes[name] for name in outputs),
            },
        )


def parents(node: fx.Node) -> Iterator[fx.Node]:
    """The tensors that a node reads, directly or for the sake of a size."""
    for parent in node.all_input_nodes:
        if _is_size(parent):
            yield from parents(parent)
        elif parent.op != "get_attr":
            yield parent


def _is_state(node: fx.Node) -> bool:
    """Does it read nothing but sizes, as the zeros that an LSTM begins with? Such are there for the sake of others."""
    return all(map(_is_size, node.all_input_nodes))


def _spoken(node: fx.Node) -> str:
    return str(node.target).removeprefix("aten.").removesuffix(".default")


def _is_size(node: fx.Node) -> bool:
    return isinstance(node.meta.get("val"), torch.SymInt | torch.SymFloat | torch.SymBool | int | float)


def _names(reader: "Reader", node: fx.Node) -> tuple[str, ...]:
    names = reader.name(node)
    return names if isinstance(names, tuple) else (names,)


def _run(
    reader: "Reader", steps: list[fx.Node], inputs: tuple[str, ...], outputs: tuple[str, ...]
) -> Callable[..., tuple[Array, ...]]:
    """What runs the steps on arrays."""

    def run(*arrays: Array) -> tuple[Array, ...]:
        values = dict(zip(inputs, map(_tensor, arrays), strict=True))

        def value(node: fx.Node) -> Any:
            if node.op == "get_attr":
                return getattr(node.graph.owning_module, str(node.target))
            if reader.consts.is_plain(node):
                return reader.consts.tensor(node)
            return compute(node) if _is_size(node) else values[reader.name(node)]

        def compute(node: fx.Node) -> Any:
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), value)
            return node.target(*args, **kwargs)  # type: ignore[operator]

        with torch.no_grad():
            for step in steps:
                result = compute(step)
                results = result if isinstance(result, tuple | list) else (result,)
                values.update(zip(_names(reader, step), results, strict=True))
        return tuple(values[name].numpy() for name in outputs)

    return run


def _tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array if array.flags.writeable else array.copy())  # PyTorch warns of arrays that are not


def _shapes(reader: "Reader", inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    """The shapes of the outputs; where they hang on the batch, as a function of the inputs' shapes."""
    wanted = [reader.shapes[name] for name in outputs]
    if all(isinstance(size, int) for shape in wanted for size in shape):
        return tuple(wanted)
    read = [reader.shapes.get(name, ()) for name in inputs]  # constants tell nothing of the batch

    def shapes(*given: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        known: dict[Any, int] = {}
        for expressions, numbers in zip(read, given, strict=True):
            for expression, size in zip(expressions, numbers, strict=False):
                if isinstance(expression, sympy.Expr):
                    known |= _solved(expression, size)
        return tuple(tuple(int(sympy.sympify(size).subs(known)) for size in shape) for shape in wanted)

    return shapes


def _solved(expression: sympy.Expr, size: int) -> Mapping[Any, int]:
    """The batch of which `expression` is `size`; nothing where it is no multiple of a batch."""
    (symbol, *others) = expression.free_symbols
    factor = expression.coeff(symbol)
    return {symbol: size // factor} if not others and expression == factor * symbol else {}
