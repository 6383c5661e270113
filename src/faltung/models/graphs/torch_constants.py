"""What of an exported program belongs to the network: parameters and buffers as they are now, and what they become."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import fx
from torch.export.graph_signature import InputKind

from faltung.graph.graph import Array, Constant

Leaf = Callable[[], torch.Tensor]


def leaves(program: Any, module: torch.nn.Module) -> dict[str, Leaf]:
    """How each learned or lifted tensor is found now, by the name of its placeholder."""
    found: dict[str, Leaf] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER):
            found[spec.arg.name] = _member(module, spec.target)
        elif spec.kind is InputKind.CONSTANT_TENSOR:
            found[spec.arg.name] = lambda tensor=program.constants[spec.target]: tensor
    return found


def _member(module: torch.nn.Module, path: str) -> Leaf:
    """A parameter or buffer, looked up anew each time: one that was put in its place is seen."""
    *parents, name = path.split(".")
    owner = module.get_submodule(".".join(parents))
    held = owner._parameters if name in owner._parameters else owner._buffers
    return lambda: held[name]  # type: ignore[return-value]


def state(tensor: torch.Tensor) -> Hashable:
    """Equal while the tensor holds the same numbers; what is written through `.data` or NumPy is not noticed."""
    if tensor.is_inference():
        return id(tensor), tensor.data_ptr()
    return id(tensor), tensor._version, tensor.data_ptr()


class Constants:
    """The nodes of a program that depend on no input; each can be computed again from what the module holds now."""

    def __init__(self, leaves: Mapping[str, Leaf]) -> None:
        self.leaves_by_name = leaves
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
            self.used[node] = tuple(
                dict.fromkeys(leaf for parent in node.all_input_nodes for leaf in self.used[parent])
            )
        return node in self

    def tensor(self, node: fx.Node) -> torch.Tensor:
        """What the node is now."""
        with torch.no_grad():
            return self._compute(node, {})  # type: ignore[no-any-return]

    def _compute(self, node: fx.Node, done: dict[fx.Node, Any]) -> Any:
        if node.op == "placeholder":
            return self.leaves_by_name[node.name]().detach()
        if node not in done:
            args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), lambda parent: self._compute(parent, done))
            done[node] = node.target(*args, **kwargs)  # type: ignore[operator]
        return done[node]

    def constant(self, node: fx.Node, then: Callable[[Array], Array] = lambda array: array) -> Constant:
        """The node as a constant of a graph, as `then` rearranges it."""
        used = self.used[node]

        def read() -> Array:
            return then(self.tensor(node).cpu().resolve_conj().resolve_neg().numpy())

        now = read()
        if not used:
            return Constant.of(now)
        if len(used) == 1:
            (leaf,) = used
            return Constant(now.shape, now.dtype.name, read, lambda: state(leaf()))
        return Constant(now.shape, now.dtype.name, read, lambda: tuple(state(leaf()) for leaf in used))


def _is_random(target: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(target, "tags", ())


def _has_plain_shape(value: Any) -> bool:
    """Is it a tensor, or several, of known size?"""
    parts = value if isinstance(value, tuple | list) else (value,)
    return all(isinstance(part, torch.Tensor) and all(type(size) is int for size in part.shape) for part in parts)
