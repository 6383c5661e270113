"""What a network of the benchmark is, and how it is made."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Network:
    """A network: where it is made, what it reads, whose it is.

    `builder` is "module:function"; `shape` that of one input, without the batch; `host` the framework it is written in:
    "torch", "keras", or "onnx" for a file. `package` is the one that carries it, where it is none of ours.
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

    def inputs(self, batch: int) -> dict[str, Array]:
        """Return what it is run on, by name: normally distributed, (batch, *shape), always the same."""
        x = np.random.default_rng(batch).standard_normal((batch, *self.shape), np.float32)
        return file_inputs(self.build(), x) if self.host == "onnx" else {"x": x}


def file_inputs(path: Path, x: Array) -> dict[str, Array]:
    """Return x and what else an ONNX file reads: states, zero at first, and the sample rate of speech."""
    import onnx

    inputs: dict[str, Array] = {}
    for value in onnx.load(path).graph.input:
        declared = value.type.tensor_type
        sizes = [size.dim_value or len(x) for size in declared.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(declared.elem_type)
        if not inputs:
            inputs[value.name] = x
        elif np.issubdtype(dtype, np.integer):
            inputs[value.name] = np.full(sizes, 16_000, dtype)
        else:
            inputs[value.name] = np.zeros(sizes, dtype)
    return inputs
