"""`torch.fx.experimental.optimization.fuse` looks for classes by identity; ours are to be found too."""

import warnings
from collections.abc import Iterable
from typing import Any

from faltung.torch.modules import OURS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PyTorch, of its own TorchScript
    from torch.fx.experimental import optimization

_stock: Any = optimization.matches_module_pattern


def matches(pattern: Iterable[type], node: Any, modules: Any) -> bool:
    """Does a node with the one before it match, in PyTorch's classes or in ours?"""
    pattern = tuple(pattern)
    return _stock(pattern, node, modules) or _stock([OURS.get(kind, kind) for kind in pattern], node, modules)


def register() -> None:
    """Let PyTorch ask :func:`matches`."""
    optimization.matches_module_pattern = matches
