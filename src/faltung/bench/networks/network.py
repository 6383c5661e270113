"""What a network of the benchmark is, and how it is made."""

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Network:
    """A network: where it is made, what it reads, whose it is.

    `builder` is "module:function"; `shape` that of one input, without the batch; `host` the framework it is written in:
    "torch", "keras", or "onnx" for a file. `package` is the distribution that carries it, where it is none of ours.
    """

    builder: str
    shape: tuple[int, ...]
    host: str
    kind: str
    source: str
    package: str = ""

    def build(self) -> Any:
        """Return the model in eval mode, always with the same numbers; of a file its path."""
        module, _, function = self.builder.partition(":")
        return getattr(importlib.import_module(module), function)()

    def data(self, batch: int) -> Array:
        """Return what it is run on: normally distributed, (batch, *shape), always the same."""
        return np.random.default_rng(batch).standard_normal((batch, *self.shape), np.float32)
