"""A model that somebody names on the command line, as a network of the benchmark."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faltung.bench.networks.network import Array, Network
from faltung.bench.networks.peers import OURS, PEERS
from faltung.errors import FaltungError
from faltung.models.load import load

HOSTS = {
    "torch": ("torch", "onnxruntime", "openvino"),
    "keras": ("keras", "keras-predict", "onnxruntime", "openvino"),
    "onnx": ("onnxruntime", "openvino"),
}
"""Whom a model of each host is compared with: the host itself and the usual runtimes."""


@dataclass(frozen=True, slots=True)
class Given(Network):
    """A model by its name on the command line, which is the `builder`; every process loads it for itself.

    `names`, `shapes` and `dtypes` are those of its inputs; the first axis of each shape is the batch.
    """

    names: tuple[str, ...] = field(kw_only=True)
    shapes: tuple[tuple[int, ...], ...] = field(kw_only=True)
    dtypes: tuple[str, ...] = field(kw_only=True)

    def build(self) -> Any:
        """Return the model in eval mode; of an ONNX file its path."""
        if self.host == "onnx":
            return Path(self.builder)
        model = load(self.builder)
        return model.eval() if self.host == "torch" else model

    def inputs(self, batch: int) -> dict[str, Array]:
        """Return what it is run on, always the same: normally distributed, whole numbers 0 and 1."""
        random = np.random.default_rng(batch)
        return {
            name: random.standard_normal(shape).astype(dtype)
            if np.issubdtype(dtype, np.floating)
            else random.integers(0, 2, shape).astype(dtype)
            for name, shape, dtype in zip(self.names, self.shapes, self.dtypes, strict=True)
        }


def given(model: str, host: str, inputs: dict[str, tuple[tuple[int, ...], str]]) -> Given:
    """Return the network of a model; `inputs` are shapes and types by name.

    Raises:
        FaltungError: for several inputs of a model that is no ONNX file: peers of those are called with one.
    """
    if host != "onnx" and len(inputs) > 1:
        raise FaltungError(
            f"compile --bench: compares models of one input, and ONNX files of several; got {len(inputs)} inputs. "
            "Export the model to ONNX."
        )
    names = tuple(inputs) if host == "onnx" else ("x",)
    shapes, dtypes = zip(*inputs.values(), strict=True)
    return Given(model, shapes[0][1:], host, "given", model, names=names, shapes=shapes, dtypes=dtypes)


def peers_for(host: str) -> dict[str, str]:
    """Return where the peers of a host's models are, faltung first."""
    return {name: PEERS[name] for name in (OURS[0], *HOSTS[host])}
