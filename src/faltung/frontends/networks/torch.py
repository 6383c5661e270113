"""PyTorch modules as networks."""

from typing import Any

import torch

from faltung.errors import ModelError
from faltung.frontends.networks import examples_of, of_read, shape_of
from faltung.graph.network import Network, Shapes
from faltung.models.graphs.torch import read_torch


def network(module: torch.nn.Module, example: Any, *, is_frozen: bool, precision: str) -> Network:
    """The network of a module in eval mode."""
    if example is None:
        raise ModelError(
            "compile: a PyTorch module does not tell its input's shape. Give example=x or example=(1, 3, 100)."
        )
    tensors = tuple(_tensor(one, module) for one in examples_of(example))

    def reread(shapes: Shapes) -> Any:
        return read_torch(
            module, tuple(torch.zeros(shape, dtype=t.dtype) for shape, t in zip(shapes, tensors, strict=True))
        )

    read = read_torch(module, tensors)
    return of_read(read, reread, is_frozen=is_frozen, precision=precision, source=module)


def _tensor(example: Any, module: torch.nn.Module) -> torch.Tensor:
    shape = shape_of(example)
    if shape is not None:
        return torch.zeros(shape, dtype=next((p.dtype for p in module.parameters()), torch.float32))
    return example if isinstance(example, torch.Tensor) else torch.as_tensor(example)
