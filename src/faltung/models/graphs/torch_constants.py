"""What of an exported program belongs to the network: parameters and buffers as they are now, and what they become."""

from collections.abc import Callable, Hashable, Mapping
from operator import attrgetter, getitem
from typing import Any, TypeAlias

import torch
from torch import fx
from torch.export.graph_signature import InputKind

from faltung.graph.graph import Array, Constant

Leaf: TypeAlias = tuple[Mapping[str, Any], str]
"""Who holds a tensor, and by which name: one that is put in its place is found too."""

_count = attrgetter("_version")


def leaves(program: Any, module: torch.nn.Module) -> dict[str, Leaf]:
    """Where each learned or lifted tensor is found, by the name of its placeholder."""
    found: dict[str, Leaf] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            found[spec.arg.name] = _member(module, spec.target)
        elif spec.kind is InputKind.CONSTANT_TENSOR:
            found[spec.arg.name] = (program.constants, spec.target)
    return found


def _member(module: torch.nn.Module, path: str) -> Leaf:
    *parents, name = path.split(".")
    owner = module.get_submodule(".".join(parents))
    return (owner._parameters if name in owner._parameters else owner._buffers), name


class Watch:
    """One look at all tensors of a module that a graph is made of. Every call looks: it is made of built-in loops.

    Version and identity tell; what is written behind PyTorch's back, through `.data` or NumPy, is not noticed.
    """

    def __init__(self) -> None:
        self.holders: list[Mapping[str, Any]] = []
        self.names: list[str] = []
        self.places: set[tuple[int, str]] = set()
        self.last: list[torch.Tensor] = []
        """What was seen last; while it is kept, no other tensor can have its address."""
        self.num_replaced = 0

    def add(self, leaf: Leaf) -> None:
        """Look at this one too."""
        held, name = leaf
        if (id(held), name) not in self.places:
            self.places.add((id(held), name))
            self.holders.append(held)
            self.names.append(name)

    def __call__(self) -> Hashable:
        """Equal while all are the same tensors with the same numbers."""
        tensors = list(map(getitem, self.holders, self.names))
        try:
            is_same = tensors == self.last  # lists ask for identity first, and only then compare numbers
        except RuntimeError:
            is_same = False
        if not is_same:
            self.last = tensors
            self.num_replaced += 1
        try:
            return (self.num_replaced, *map(_count, tensors))
        except RuntimeError:  # tensors of inference mode have no count
            return self.num_replaced


class Constants:
    """The nodes of a program that depend on no input; each can be computed again from what the module holds now."""

    def __init__(self, leaves: Mapping[str, Leaf]) -> None:
        self.leaves_by_name, self.watch = leaves, Watch()
        self.used: dict[fx.Node, tuple[Leaf, ...]] = {}
        """Constant nodes, each with the tensors of the module that it is made of."""

    def __contains__(self, node: object) -> bool:
        return node in self.used

    def admit(self, node: fx.Node) -> bool:
        """Take a node in if it is a constant, and say whether."""
        if node.op == "placeholder" and node.name in self.leaves_by_name:
            self.used[node] = (self.leaves_by_name[node.name],)
        elif node.op == "call_function" and all(parent in self for parent in node.all_input_nodes):
            if _is_random(node.target) or not _has_plain_shape(node.meta.get("val")):
                return False
            self.used[node] = tuple(leaf for parent in node.all_input_nodes for leaf in self.used[parent])
        return node in self

    def is_plain(self, node: fx.Node) -> bool:
        """Is it a constant that is no weight: indices, masks, a window? Whoever needs it takes it from here."""
        if node not in self:
            return False
        value = node.meta["val"]
        return not self.used[node] or value.dtype not in (torch.float32, torch.float64)

    def tensor(self, node: fx.Node) -> torch.Tensor:
        """What the node is now."""
        with torch.no_grad():
            return self._compute(node, {})  # type: ignore[no-any-return]

    def _compute(self, node: fx.Node, done: dict[fx.Node, Any]) -> Any:
        if node.op == "placeholder":
            held, name = self.leaves_by_name[node.name]
            return held[name].detach()
        if node not in done:
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda parent: self._compute(parent, done))
            done[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        return done[node]

    def constant(self, node: fx.Node, then: Callable[[Array], Array] = lambda array: array) -> Constant:
        """The node as a constant of a graph, as `then` rearranges it."""

        def read() -> Array:
            return then(self.tensor(node).cpu().resolve_conj().resolve_neg().numpy())

        now = read()
        if not self.used[node]:
            return Constant.of(now)
        for leaf in self.used[node]:
            self.watch.add(leaf)
        return Constant(now.shape, now.dtype.name, read, self.watch)


def _is_random(target: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(target, "tags", ())


def _has_plain_shape(value: Any) -> bool:
    """Is it a tensor, or several, of known size?"""
    parts = value if isinstance(value, tuple | list) else (value,)
    return all(isinstance(part, torch.Tensor) and all(type(size) is int for size in part.shape) for part in parts)
