"""PyTorch: the module as it is, compiled, and with our convolutions."""

from typing import Any, ClassVar

import faltung as ft
from faltung.bench.networks.peers.peer import Call, Peer, Work


class Torch(Peer):
    """`model(x)`, eager, without gradients."""

    hosts = ("torch",)
    packages: ClassVar[tuple[str, ...]] = ("torch",)

    def __init__(self, threads: int) -> None:
        import torch

        self.torch = torch
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)

    def prepare(self, work: Work) -> Call:
        """Return a call of the module on a tensor."""
        model = self.compiled(work.network.build())
        x = self.torch.from_numpy(work.inputs["x"])
        return lambda: model(x)

    def compiled(self, model: Any) -> Any:
        """Return the module as it is."""
        return model


class TorchCompile(Torch):
    """`torch.compile(model)(x)`, without gradients."""

    def compiled(self, model: Any) -> Any:
        """Compile the module; recompiling for other networks counts from zero."""
        self.torch.compiler.reset()
        return self.torch.compile(model, dynamic=False)


class Accelerated(Torch):
    """`ft.accelerate(model)`, then `model(x)` in PyTorch, without gradients."""

    def compiled(self, model: Any) -> Any:
        """Let the convolutions of the module run on faltung."""
        ft.accelerate(model)
        return model
