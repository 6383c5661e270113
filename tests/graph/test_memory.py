"""What a call of a network takes: little more than what must live at once, and nothing new after the first call."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

import faltung as ft
from faltung.bench.networks import NETWORKS
from faltung.runtime import buffers

OURS = [name for name, network in NETWORKS.items() if network.host == "torch" and not network.package]


@pytest.fixture(scope="module")
def compiled() -> Any:
    """The networks, each compiled when it is first asked for."""
    pytest.importorskip("torch")
    made: dict[str, ft.Network] = {}

    def get(name: str) -> ft.Network:
        if name not in made:
            network = NETWORKS[name]
            made[name] = ft.compile(network.build(), (1, *network.shape))
        return made[name]

    return get


@pytest.mark.parametrize("name", OURS)
def test_the_arena_is_little_more_than_what_lives_at_once(compiled: Any, name: str) -> None:
    arena = compiled(name).example_program.arena
    assert arena.num_bytes <= 1.2 * arena.live_bytes


@pytest.mark.parametrize("name", ["conv-flatten-dense", "ecg-resnet", "wavenet"])
def test_calls_after_the_first_allocate_nothing(compiled: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = compiled(name), np.ones((8, *NETWORKS[name].shape), "f4")
    for _ in range(3):
        y = net(x)  # the result of one call lives while the next is computed
    program = net.program((x.shape,))
    contexts = list(program._contexts)
    pages: list[int] = []
    monkeypatch.setattr(buffers, "_mapped", pages.append)  # a call that needs fresh pages fails at once
    tracemalloc.start()
    try:
        for _ in range(50):
            y = net(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(contexts) == 1 and program._contexts == contexts  # its arena and scratch are those of the first call
    assert not pages and peak < 2 * y.nbytes + 16_000  # results, and what Python makes of a call
