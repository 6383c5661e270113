"""Each pass does what its name says, and only where the numbers stay the same."""

from typing import Any

import numpy as np

from faltung.graph.graph import Constant, Graph, Node, Value
from faltung.graph.passes import simplified
from faltung.graph.shapes import infer

CONV = {
    "layout": "NCW",
    "kernel_layout": "OIW",
    "stride": (1,),
    "dilation": (1,),
    "groups": 1,
    "padding": ((1, 1),),
    "padding_mode": "zeros",
    "activation": None,
    "has_bias": False,
    "adds": False,
}
NORM = {"axis": 1, "epsilon": 1e-3, "has_scale": False, "has_shift": False}


def constants(**shapes: tuple[int, ...]) -> dict[str, Constant]:
    return {name: Constant.of(np.ones(shape, "f4")) for name, shape in shapes.items()}


def graph(*nodes: Node, outputs: tuple[str, ...] = ("y",)) -> Graph:
    known = constants(k=(8, 8, 3), mean=(8,), variance=(8,))
    return simplified(infer(Graph({"x": Value((2, 8, 20), "float32")}, known, nodes, outputs)))


def conv(x: str, y: str, **changes: Any) -> Node:
    return Node("conv", (x, "k"), (y,), CONV | changes)


def norm(x: str, y: str) -> Node:
    return Node("batch_norm", (x, "mean", "variance"), (y,), NORM)


def ops(found: Graph) -> list[str]:
    return [node.op for node in found.nodes]


def test_batch_norm_and_activation_go_into_the_convolution() -> None:
    found = graph(conv("x", "a"), norm("a", "b"), Node("map", ("b",), ("y",), {"expression": ("relu", 0)}))
    assert ops(found) == ["conv"]
    (node,) = found.nodes
    assert node["has_bias"] and node["activation"] == ("relu", None)


def test_a_batch_norm_before_a_padded_convolution_stays() -> None:
    assert ops(graph(norm("x", "a"), conv("a", "y"))) == ["map", "conv"]


def test_a_batch_norm_behind_what_others_read_stays() -> None:
    found = graph(conv("x", "a"), norm("a", "b"), Node("map", ("a", "b"), ("y",), {"expression": ("mul", 0, 1)}))
    assert ops(found) == ["conv", "map"]


def test_a_batch_norm_behind_an_activation_stays() -> None:
    assert ops(graph(conv("x", "a", activation=("relu", None)), norm("a", "y"))) == ["conv", "map"]


def test_a_pad_becomes_that_of_the_convolution() -> None:
    pad = {"padding": ((0, 0), (0, 0), (2, 0)), "mode": "constant", "value": 0.0}
    found = graph(Node("pad", ("x",), ("a",), pad), conv("a", "y", padding=((0, 0),)))
    assert ops(found) == ["conv"]
    assert found.nodes[0]["padding"] == ((2, 0),)


def test_a_pad_with_another_number_or_along_channels_stays() -> None:
    for pairs, value in ((((0, 0), (0, 0), (2, 0)), 1.0), (((0, 0), (1, -1), (0, 0)), 0.0)):
        pad = {"padding": pairs, "mode": "constant", "value": value}
        assert ops(graph(Node("pad", ("x",), ("a",), pad), conv("a", "y"))) == ["pad", "conv"]


def test_a_chomp_makes_a_convolution_causal() -> None:
    chomp = {"starts": (0, 0, 0), "stops": (None, None, -2), "steps": (1, 1, 1)}
    found = graph(conv("x", "a", padding=((2, 2),)), Node("slice", ("a",), ("y",), chomp))
    assert ops(found) == ["conv"]
    assert found.nodes[0]["padding"] == ((2, 0),)


def test_a_crop_of_more_than_the_padding_stays() -> None:
    chomp = {"starts": (0, 0, 0), "stops": (None, None, -3), "steps": (1, 1, 1)}
    assert ops(graph(conv("x", "a", padding=((2, 2),)), Node("slice", ("a",), ("y",), chomp))) == ["conv", "slice"]


def test_a_residual_is_added_by_the_convolution_before_its_activation() -> None:
    found = graph(
        conv("x", "a"),
        conv("a", "b"),
        Node("map", ("x", "b"), ("c",), {"expression": ("add", 0, 1)}),
        Node("map", ("c",), ("y",), {"expression": ("relu", 0)}),
    )
    assert ops(found) == ["conv", "conv"]
    assert found.nodes[1]["adds"] and found.nodes[1].inputs[-1] == "x"
    assert found.nodes[1]["activation"] == ("relu", None)


def test_elementwise_nodes_become_one() -> None:
    found = graph(
        Node("map", ("x",), ("a",), {"expression": ("tanh", 0)}),
        Node("map", ("x",), ("b",), {"expression": ("sigmoid", 0)}),
        Node("map", ("a", "b"), ("y",), {"expression": ("mul", 0, 1)}),
    )
    assert ops(found) == ["map"]
    assert found.nodes[0]["expression"] == ("mul", ("tanh", 0), ("sigmoid", 0))


def test_what_no_output_needs_is_gone() -> None:
    found = graph(conv("x", "y"), conv("x", "unused"))
    assert ops(found) == ["conv"]
    assert set(found.constants) == {"k"}
