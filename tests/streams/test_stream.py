"""Streams: chunks of any lengths give the bits of the whole signal; what needs the whole signal is refused by name."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import faltung as ft
from faltung.graph.graph import Constant, Graph, Node, Value
from faltung.graph.shapes import infer
from faltung.streams.flow import NotStreamable
from tests.streams.random_streams import chunking, in_chunks, network, networks

SEEDS = int(os.environ.get("FALTUNG_TEST_STREAMS", "60"))


def conv(x: str, kernel: str, out: str, padding: tuple[int, int], **other: object) -> Node:
    attributes = {
        **{"layout": "NWC", "kernel_layout": "WIO", "stride": (1,), "dilation": (1,), "groups": 1},
        **{"padding": (padding,), "padding_mode": "zeros", "activation": None, "has_bias": False, "adds": False},
    }
    return Node("conv", (x, kernel), (out,), attributes | other, name=f"layer {out}")


def graph_of(*nodes: Node, length: int = 60, channels: int = 4, taps: int = 5) -> Graph:
    rng = np.random.default_rng(3)
    kernel = Constant.of(rng.normal(size=(taps, channels, channels)).astype("f4"))
    return infer(Graph({"x": Value((1, length, channels), "float32")}, {"k": kernel}, nodes, (nodes[-1].output,)))


def signal(length: int = 60, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(batch, length, 4)).astype("f4")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_chunks_give_the_bits_of_the_whole(seed: int) -> None:
    for net, time, x in networks(seed):
        want = net(x)
        try:
            stream = ft.stream(net, axis=time, batch=len(x))
        except NotStreamable as refusal:
            assert "cannot run chunk by chunk" in str(refusal)
            continue
        for n in range(2):
            sizes = chunking(np.random.default_rng((seed, n)), x.shape[time])
            got = in_chunks(stream, x, time, sizes)
            for found, whole in zip(got, want, strict=True):
                np.testing.assert_array_equal(found, whole, strict=True, err_msg=f"seed {seed}, chunks {sizes}")
            stream.reset()


def test_random_networks_are_rarely_refused() -> None:
    refused = 0
    for seed in range(60):
        for net, time, x in networks(seed):
            try:
                ft.stream(net, axis=time, batch=len(x))
            except NotStreamable:
                refused += 1
    assert refused < 12


@pytest.mark.parametrize("seed", range(1, 40, 4))
def test_a_state_goes_on_where_it_was_taken(seed: int) -> None:
    for net, time, x in networks(seed):
        stream, other = (ft.stream(net, axis=time, batch=len(x)) for _ in range(2))
        cut = x.shape[time] // 2
        first, rest = np.split(x, [cut], time)
        stream(first)
        state = stream.state()
        want = [*stream(rest), *stream.flush()]
        other.restore(state)
        for found, whole in zip([*other(rest), *other.flush()], want, strict=True):
            np.testing.assert_array_equal(found, whole, strict=True)
        stream.restore(state)  # back in time
        np.testing.assert_array_equal(stream(rest)[0], want[0])


def test_a_state_goes_on_in_another_process(tmp_path: Path) -> None:
    net = network(graph_of(conv("x", "k", "y", (2, 2)), conv("y", "k", "z", (4, 0))))
    net.save(tmp_path / "net.npz")
    x = signal()
    stream = ft.stream(net)
    begin = stream(x[:, :23])
    np.savez(tmp_path / "state.npz", **stream.state())
    np.save(tmp_path / "rest.npy", x[:, 23:])
    program = """
import sys, numpy as np, faltung as ft
stream = ft.stream(ft.load("net.npz"))
stream.restore(np.load("state.npz"))
(middle,), (end,) = stream(np.load("rest.npy")), stream.flush()
np.save("out.npy", np.concatenate([middle, end], 1))
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    whole = np.concatenate([begin[0], np.load(tmp_path / "out.npy")], 1)
    np.testing.assert_array_equal(whole, net(x)[0])


def test_lookahead_and_buffers_are_those_of_the_formulas() -> None:
    centred = conv("x", "k", "y", (4, 4), dilation=(2,))
    stream = ft.stream(network(graph_of(centred, conv("y", "k", "z", (4, 0), stride=(3,)))))
    assert stream.rate.as_integer_ratio() == (1, 3)  # type: ignore[union-attr]
    assert (stream.latency, stream.receptive_field) == (4, 8 + 4 + 1)
    assert stream.delay == 6  # half of the 13 inputs from -8 to 4
    assert stream.min_input == 5
    assert stream(signal(4))[0].shape == (1, 0, 4)
    assert stream(signal(1))[0].shape == (1, 1, 4)
    text = stream.explain()
    assert "layer y conv" in text and "receptive field 13 inputs" in text and "1/3" in text


def test_memory_does_not_grow() -> None:
    stream = ft.stream(network(graph_of(conv("x", "k", "y", (4, 0)))))
    chunk = signal(3)
    for _ in range(20):
        stream(chunk)
    generation, steps = stream._memory.generation, len(stream._steps)
    for _ in range(500):
        stream(chunk)
    assert (stream._memory.generation, len(stream._steps)) == (generation, steps)
    assert stream.state_bytes == 4 * 4 * 4  # four steps of four channels


def test_returned_arrays_stay() -> None:
    stream = ft.stream(network(graph_of(conv("x", "k", "y", (4, 0)))))
    (first,) = stream(signal(5))
    kept = first.copy()
    for _ in range(10):
        stream(signal(5) * 2)
    np.testing.assert_array_equal(first, kept)


def test_a_flushed_stream_asks_for_reset() -> None:
    stream = ft.stream(network(graph_of(conv("x", "k", "y", (2, 2)))))
    (before,), (end,) = stream(signal(9)), stream.flush()
    assert (before.shape[1], end.shape[1]) == (7, 2)
    with pytest.raises(ft.ModelError, match="reset"):
        stream(signal(9))
    stream.reset()
    np.testing.assert_array_equal(stream(signal(9))[0], before)


def test_chunks_of_another_kind_are_refused() -> None:
    stream = ft.stream(network(graph_of(conv("x", "k", "y", (2, 2)))))
    with pytest.raises(ft.ShapeError, match=r"input 0 takes chunks of shape \(1, any, 4\); got \(1, 9, 3\)"):
        stream(np.zeros((1, 9, 3), "f4"))
    with pytest.raises(ft.DtypeError, match="complex64"):
        stream(np.zeros((1, 9, 4), "c8"))
    state = stream.state()
    stream(signal(9))
    with pytest.raises(ft.ShapeError, match="the state must hold x"):
        stream.restore({**stream.state(), "kept x": np.zeros((1, 2, 4), "f4")})
    stream.restore(state)
    assert stream(signal(9))[0].shape == (1, 7, 4)


REFUSED = {
    "needs the whole signal; pool": Node(
        "reduce", ("x",), ("y",), {"kind": "mean", "axes": (1,), "keeps_axes": False, "correction": 0}
    ),
    "flattens time": Node("reshape", ("x",), ("y",), {"shape": (0, -1)}),
    'padding "reflect"': conv("x", "k", "y", (2, 2), padding_mode="reflect"),
    "whose place depends on the length": Node(
        "slice", ("x",), ("y",), {"starts": (0, -5, 0), "stops": (None,) * 3, "steps": (1,) * 3}
    ),
    "use batch norm": Node(
        "group_norm", ("x",), ("y",), {"axis": 2, "groups": 2, "epsilon": 1e-3, "has_scale": False, "has_shift": False}
    ),
    "one signal behind the other": Node("concat", ("x", "x"), ("y",), {"axis": 1}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_needs_the_whole_signal_is_refused_with_a_way_out(reason: str) -> None:
    with pytest.raises(ft.ModelError, match=reason) as caught:
        ft.stream(network(graph_of(REFUSED[reason])), axis=1)
    assert REFUSED[reason].op in str(caught.value)


def test_a_spec_is_no_network() -> None:
    with pytest.raises(ft.ModelError, match="a single convolution is no network"):
        ft.stream(ft.ConvSpec.from_text("conv1d n1 w9 ic1 oc2 kw3 f32"))


def test_unequal_rates_do_not_join() -> None:
    fast, slow = conv("x", "k", "y", (0, 0)), conv("x", "k", "z", (0, 0), stride=(2,))
    up = Node("map", ("y", "z"), ("sum",), {"expression": ("add", 0, 1)})
    graph = graph_of(fast, slow, length=1, taps=1)
    joined = Graph(graph.inputs, graph.constants, (*graph.nodes, up), ("sum",))
    with pytest.raises(ft.ModelError, match="joins 1/2 and 1 outputs per input"):
        ft.stream(network(infer(joined)), axis=1)
