"""Whole networks against their meaning in float64: random graphs, whole numbers, batches and threads bit by bit."""

import os

import numpy as np
import pytest

import faltung as ft
from faltung.graph.graph import Constant, Graph, Node, Value
from faltung.graph.network import Network
from faltung.graph.shapes import infer
from tests.graph.interpret import interpret
from tests.graph.random_graphs import EXACT_KINDS, KINDS, Builder, flatten_dense

NUM_GRAPHS = int(os.environ.get("FALTUNG_TEST_GRAPHS", "100"))


def network(graph: Graph, precision: str = "high") -> Network:
    return Network(graph, flatten=lambda given, _: list(given), assemble=tuple, precision=precision)


def data(graph: Graph, batch: int, *, is_integer: bool = False) -> np.ndarray:
    rng = np.random.default_rng(batch)
    shape = (batch, *graph.inputs["x"].shape[1:])
    return rng.integers(-2, 3, shape).astype("f4") if is_integer else rng.normal(size=shape).astype("f4")


def random_graph(seed: int) -> Graph:
    builder = Builder(seed)
    builder.grow(3 + seed % 8, KINDS)
    if seed % 3 == 0:
        flatten_dense(builder, builder.alive[-1])
    return builder.graph()


@pytest.mark.parametrize("seed", range(NUM_GRAPHS))
def test_random_networks_give_what_they_mean(seed: int) -> None:
    graph = random_graph(seed)
    x = data(graph, 3)
    wanted = interpret(graph, [x])
    roundings = [
        np.abs(y - want).max(initial=0.0) for y, want in zip(interpret(graph, [x], rounds=True), wanted, strict=True)
    ]
    for found, want, rounding in zip(network(graph)(x), wanted, roundings, strict=True):
        bound = max(3e-5 * np.abs(want).max(initial=1e-3), 8 * rounding)  # the latter where a difference cancels
        np.testing.assert_allclose(found, want, rtol=0, atol=bound, err_msg=f"seed {seed}")


@pytest.mark.parametrize("seed", range(NUM_GRAPHS * 3 // 10))
def test_whole_numbers_come_out_exactly(seed: int) -> None:
    builder = Builder(seed, is_integer=True)
    graph = builder.grow(4, EXACT_KINDS)
    x = data(graph, 2, is_integer=True)
    for found, want in zip(network(graph, "exact")(x), interpret(graph, [x]), strict=True):
        assert np.abs(want).max(initial=0) < 2**20  # or the test would ask for more digits than there are
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("seed", range(0, 40, 4))
def test_neither_batch_nor_threads_change_bits(seed: int) -> None:
    graph = random_graph(seed)
    net, x = network(graph), data(graph, 9)
    whole = net(x)
    apart = [np.concatenate(parts) for parts in zip(*(net(x[n : n + 3]) for n in range(0, 9, 3)), strict=True)]
    alone = [np.concatenate(parts) for parts in zip(*(net(x[n : n + 1]) for n in range(9)), strict=True)]
    threads = ft.get_num_threads()
    try:
        ft.set_num_threads(3)
        again = net(x)
    finally:
        ft.set_num_threads(threads)
    for a, b, c, d in zip(whole, apart, alone, again, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(a, d)


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 32), (4, 4, 64), (1, 32, 64), (16, 16, 16)])
def test_batches_of_small_images_keep_their_bits_though_some_tiles_are_summed_directly(
    height: int, width: int, channels: int
) -> None:
    shape = (5, channels, height, width)
    taps = (min(height, 3), 3)
    rng = np.random.default_rng(width)
    kernel = Constant.of(rng.normal(size=(channels, channels, *taps)).astype("f4"))
    attributes = {"layout": "NCHW", "kernel_layout": "OIHW", "stride": (1, 1), "dilation": (1, 1), "groups": 1}
    attributes |= {"padding": tuple((k // 2, k // 2) for k in taps), "padding_mode": "zeros"}
    node = Node("conv", ("x", "w"), ("y",), attributes | {"activation": None, "has_bias": False, "adds": False})
    graph = infer(Graph({"x": Value(shape, "float32")}, {"w": kernel}, (node,), ("y",)))
    net = network(graph)
    assert "winograd" in [step.plan.algorithm for step in net.program((shape,)).steps]
    x = rng.normal(size=shape).astype("f4")
    if height > 1:
        x[1::2, :, height // 2, ::5] *= 1e6  # these tiles are summed directly, their neighbours in a batch are not
    (whole,), (want,) = net(x), interpret(graph, [x])
    np.testing.assert_array_equal(whole, np.concatenate([net(x[n : n + 1])[0] for n in range(5)]))
    for sample, right in zip(whole, want, strict=True):
        np.testing.assert_allclose(sample, right, rtol=0, atol=3e-5 * np.abs(right).max())
