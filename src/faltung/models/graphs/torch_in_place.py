"""Ops that write in place, as `nn.ReLU(inplace=True)` and `y += x` do, made ops that return a new value."""

from typing import Any

import torch
from torch import fx

from faltung.models.graphs import torch_arithmetic, torch_weighted, torch_windows
from faltung.models.graphs.torch_nodes import target_name

FRESH = {*torch_weighted.TABLE, *torch_windows.TABLE, *torch_arithmetic.TABLE, "cat.default"}
"""Ops whose result shares no memory with what they read."""


def without_writes(program: Any) -> Any:
    """Return the program with no op that writes.

    The common case, a fresh value that no view looks at, is a change of names. All else is PyTorch's, which traces the
    program once more and takes twice as long as the export.
    """
    nodes = list(program.graph.nodes)
    order = {node: place for place, node in enumerate(nodes)}
    for node in nodes:
        if node.op != "call_function" or target_name(node.target) == "getitem" or _is_size_op(node):
            continue
        if not isinstance(node.target, torch._ops.OpOverload):
            return program.run_decompositions({})
        if node.target._schema.is_mutable:
            returning = _returning(node.target)
            if returning is None or not _is_private(node, order):
                return program.run_decompositions({})
            node.target = returning
            written = node.args[0]
            written.replace_all_uses_with(node, delete_user_cb=lambda user, node=node: order[user] > order[node])
    return program


def _is_size_op(node: fx.Node) -> bool:
    return not isinstance(node.meta.get("val"), torch.Tensor | tuple | list)


def _returning(target: Any) -> Any:
    """add.Tensor for add_.Tensor; None where there is no such op."""
    base = target._schema.name.removeprefix("aten::")
    packet = getattr(torch.ops.aten, base.removesuffix("_"), None) if base.endswith("_") else None
    return getattr(packet, target._overloadname, None) if packet is not None else None


def _is_private(node: fx.Node, order: dict[fx.Node, int]) -> bool:
    """Does nobody see the value that is written but through its own name?"""
    written: Any = node.args[0]
    others = [user for user in written.users if order[user] < order[node]]
    return written.op == "call_function" and all(target_name(each.target) in FRESH for each in (written, *others))
