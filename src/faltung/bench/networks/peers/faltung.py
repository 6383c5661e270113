"""faltung itself: a network in one call."""

import os
from typing import ClassVar

import faltung as ft
from faltung.bench.networks.peers.peer import Call, Peer, Work


class Faltung(Peer):
    """`ft.compile(model, freeze=True)`, on NumPy arrays: peers that run files hold their weights as they were, too."""

    hosts = ("torch", "keras", "onnx")
    packages: ClassVar[tuple[str, ...]] = ("faltung", "numpy", "llvmlite")

    def __init__(self, threads: int) -> None:
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        ft.set_num_threads(threads)

    def prepare(self, work: Work) -> Call:
        """Return a call of the compiled network."""
        inputs = list(work.inputs.values())
        net = ft.compile(work.network.build(), inputs[0] if len(inputs) == 1 else inputs, freeze=True)
        return lambda: net(*inputs)
