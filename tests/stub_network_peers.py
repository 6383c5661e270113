"""Peers of networks that do what real ones do now and then; workers import this file by its name."""

import os
from typing import Any, ClassVar

import numpy as np

from faltung.bench.networks.peers.peer import Call, Peer, Work


class Right(Peer):
    """The host itself."""

    hosts = ("torch",)
    packages: ClassVar[tuple[str, ...]] = ("numpy", "no-such-distribution")

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch = torch

    def prepare(self, work: Work) -> Call:
        model, x = work.network.build(), self.torch.from_numpy(work.inputs["x"])
        return lambda: {"y": model(x)}


class OnlyKeras(Right):
    """Is asked for no network of PyTorch."""

    hosts = ("keras",)

    def __init__(self, threads: int) -> None: ...

    def prepare(self, work: Work) -> Call:
        os._exit(3)


class Wrong(Right):
    """Off by a little in one number; a second call would end the process."""

    def prepare(self, work: Work) -> Call:
        right, calls = super().prepare(work), []

        def call() -> Any:
            calls.append(1)
            if len(calls) > 1:
                os._exit(3)
            y = np.array(right()["y"])
            y.flat[-1] += 0.01
            return y

        return call


class CrashesOnBatches(Right):
    """Ends its process where there is more than one record."""

    def prepare(self, work: Work) -> Call:
        if len(work.inputs["x"]) > 1:
            os._exit(3)
        return super().prepare(work)


class Missing(Right):
    """Is not installed."""

    def __init__(self, threads: int) -> None:
        import no_such_library  # noqa: F401
