"""ONNX models read as graphs: every op of the tables and its traps, against ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from models.graphs.reading import assert_close, islands, ops, outputs
from onnx import TensorProto, helper, numpy_helper

import faltung
from faltung.errors import ModelError, ShapeError
from faltung.models.graphs import ReadModel
from faltung.models.graphs.onnx import read_onnx

LINE, PICTURE, VOLUME = (4, 11), (4, 9, 7), (2, 5, 6, 7)
FLOAT = TensorProto.FLOAT


def drawn(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def model(nodes: Sequence[Any], shape: Sequence[Any], *, opset: int, **weights: Any) -> Any:
    """A model of x, of shape (batch, *shape), and weights; it returns what the last node computes first."""
    graph = helper.make_graph(
        list(nodes),
        "model",
        [helper.make_tensor_value_info("x", FLOAT, ["batch", *shape])],
        [helper.make_empty_tensor_value_info(nodes[-1].output[0])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(made)


def run(proto: Any, *inputs: Any) -> Any:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {entry.name: x for entry, x in zip(session.get_inputs(), inputs, strict=True)})[0]


def check(
    proto: Any, shape: Sequence[int], expected: tuple[str, ...] = (), *, batches: Sequence[int] = (1, 4)
) -> ReadModel:
    read = read_onnx(proto)
    for batch in batches:
        assert batch in read.holds_for
        x = drawn(batch, *shape)
        found = outputs(read.graph, read.flatten((x,), {}))
        assert_close(read.assemble(found), run(proto, x), 3e-6)
    assert islands(read.graph) == list(expected)
    return read


def one(
    op: str, shape: Sequence[int], *, opset: int = 17, expected: tuple[str, ...] = (), said: Any = (), **weights: Any
) -> ReadModel:
    """A model of a single node, its inputs x and the weights in order; None leaves one out."""
    names = ["x", *(name if array is not None else "" for name, array in weights.items())]
    given = {name: array for name, array in weights.items() if array is not None}
    proto = model([helper.make_node(op, names, ["y"], **dict(said))], shape, opset=opset, **given)
    return check(proto, shape, expected)


CONVS = {
    "plain": (LINE, (6, 4, 3), {}),
    "strides, dilations": (LINE, (6, 4, 3), {"strides": [2], "dilations": [2], "pads": [1, 3]}),
    "groups": (LINE, (8, 1, 3), {"group": 4}),
    "same upper": (LINE, (6, 4, 4), {"auto_pad": "SAME_UPPER", "strides": [2]}),
    "same lower": (LINE, (6, 4, 4), {"auto_pad": "SAME_LOWER", "strides": [2]}),
    "valid": (LINE, (6, 4, 4), {"auto_pad": "VALID"}),
    "2d": (PICTURE, (6, 2, 3, 2), {"group": 2, "pads": [1, 0, 0, 2]}),
    "3d": (VOLUME, (3, 2, 3, 3, 3), {"strides": [1, 2, 2]}),
}


@pytest.mark.parametrize("name", CONVS)
@pytest.mark.parametrize("has_bias", [True, False])
def test_convolution(name: str, has_bias: bool) -> None:
    shape, kernel, said = CONVS[name]
    one("Conv", shape, said=said, w=drawn(*kernel), **({"b": drawn(kernel[0])} if has_bias else {}))


TRANSPOSED = {
    "plain": (LINE, (4, 6, 3), {}),
    "pads, output padding": (LINE, (4, 6, 3), {"strides": [3], "pads": [1, 0], "output_padding": [2]}),
    "groups, dilations": (LINE, (4, 3, 3), {"group": 2, "dilations": [2], "strides": [2]}),
    "same upper": (LINE, (4, 6, 4), {"auto_pad": "SAME_UPPER", "strides": [3]}),
    "same lower": (LINE, (4, 6, 4), {"auto_pad": "SAME_LOWER", "strides": [3]}),
    "output shape": (LINE, (4, 6, 4), {"output_shape": [23], "strides": [2]}),
    "2d": (PICTURE, (4, 2, 3, 2), {"strides": [2, 1], "pads": [1, 0, 1, 1]}),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name: str) -> None:
    shape, kernel, said = TRANSPOSED[name]
    one("ConvTranspose", shape, said=said, w=drawn(*kernel), b=drawn(kernel[1] * said.get("group", 1)))


@pytest.mark.parametrize("said", [{}, {"transB": 1}, {"alpha": 0.5, "beta": 2.0}])
@pytest.mark.parametrize("shift", [(5,), (1, 5), (1,), None])
def test_gemm(said: dict[str, Any], shift: Any) -> None:
    weights = {"w": drawn(5, 4) if "transB" in said else drawn(4, 5)}
    one("Gemm", (4,), said=said, **weights, **({} if shift is None else {"c": drawn(*shift)}))


def test_products() -> None:
    assert ops(one("MatMul", LINE, w=drawn(11, 3)).graph) == ["dense"]
    one("MatMul", LINE, w=drawn(1, 11, 3), expected=("MatMul",))


NORMS = {
    "batch norm": ("BatchNormalization", PICTURE, [4] * 4, {"epsilon": 0.01}, 15),
    "batch norm, old": ("BatchNormalization", (4,), [4] * 4, {}, 9),
    "layer norm": ("LayerNormalization", LINE, [11, 11], {}, 17),
    "layer norm, no shift": ("LayerNormalization", LINE, [11], {"epsilon": 0.1}, 17),
    "layer norm of two axes": ("LayerNormalization", LINE, [LINE, LINE], {"axis": 1}, 17),
    "instance norm": ("InstanceNormalization", PICTURE, [4, 4], {"epsilon": 0.01}, 17),
    "group norm": ("GroupNormalization", PICTURE, [4, 4], {"num_groups": 2}, 21),
    "group norm, numbers of groups": ("GroupNormalization", PICTURE, [2, 2], {"num_groups": 2}, 18),
}


@pytest.mark.parametrize("name", NORMS)
def test_norm(name: str) -> None:
    op, shape, sizes, said, opset = NORMS[name]
    weights = {f"w{n}": abs(drawn(*np.atleast_1d(size), seed=n)) + 0.1 for n, size in enumerate(sizes)}
    one(op, shape, opset=opset, said=said, **weights)


CEIL = {"kernel_shape": [3], "strides": [2], "pads": [1, 1], "ceil_mode": 1}
POOLS: dict[str, tuple[str, tuple[int, ...], dict[str, Any], int]] = {
    "max": ("MaxPool", LINE, {"kernel_shape": [3]}, 12),
    "max, ceil": ("MaxPool", (4, 12), CEIL, 12),
    "max, dilations": ("MaxPool", LINE, {"kernel_shape": [3], "dilations": [2], "strides": [2]}, 12),
    "max, same upper": ("MaxPool", PICTURE, {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, 12),
    "max, same lower": ("MaxPool", PICTURE, {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"}, 12),
    "max 3d": ("MaxPool", VOLUME, {"kernel_shape": [2, 2, 2]}, 12),
    "average": ("AveragePool", LINE, {"kernel_shape": [3], "strides": [2], "pads": [1, 0]}, 19),
    "average, padding counts": ("AveragePool", LINE, {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1}, 19),
    "average, ceil": ("AveragePool", (4, 12), CEIL, 19),
    "average, ceil, padding counts": ("AveragePool", (4, 12), {**CEIL, "count_include_pad": 1}, 19),
    "average, dilations": ("AveragePool", LINE, {"kernel_shape": [3], "dilations": [2], "pads": [1, 1]}, 19),
    "average, same lower": ("AveragePool", PICTURE, {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}, 11),
    "global average": ("GlobalAveragePool", PICTURE, {}, 12),
    "global maximum": ("GlobalMaxPool", LINE, {}, 12),
}


@pytest.mark.parametrize("name", POOLS)
def test_pool(name: str) -> None:
    op, shape, said, opset = POOLS[name]
    one(op, shape, opset=opset, said=said)


def test_indices_of_a_pool_stay_with_the_host() -> None:
    pool = helper.make_node("MaxPool", ["x"], ["p", "i"], kernel_shape=[2], strides=[2])
    cast = helper.make_node("Cast", ["i"], ["f"], to=FLOAT)
    proto = model([pool, cast, helper.make_node("Add", ["p", "f"], ["y"])], (4, 8), opset=12)
    read = read_onnx(proto)
    x = drawn(1, 4, 8)
    assert_close(outputs(read.graph, [x])[0], run(proto, x), 1e-6)
    assert islands(read.graph) == ["MaxPool, Cast"]


FLOOR = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


def linear(coordinates: str) -> dict[str, str]:
    return {"mode": "linear", "coordinate_transformation_mode": coordinates}


RESIZES: dict[str, tuple[Any, Any, Any, int]] = {
    "nearest": ({}, [1, 1, 2, 3], None, 13),
    "nearest by a fraction": (FLOOR, [1, 1, 1.5, 0.5], None, 13),
    "nearest to a size": (FLOOR, None, [17, 5], 13),
    "linear": ({"mode": "linear"}, [1, 1, 2, 1.5], None, 13),
    "linear of PyTorch": (linear("pytorch_half_pixel"), None, [17, 5], 13),
    "linear, aligned corners": (linear("align_corners"), None, [17, 5], 13),
    "linear, asymmetric": (linear("asymmetric"), [1, 1, 2, 2], None, 13),
    "cubic": ({"mode": "cubic"}, [1, 1, 2, 1.5], None, 13),
}


@pytest.mark.parametrize("name", RESIZES)
def test_resize(name: str) -> None:
    said, scales, sizes, opset = RESIZES[name]
    if sizes is None:
        one("Resize", PICTURE, opset=opset, said=said, roi=None, scales=np.array(scales, np.float32))
        return
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", "zero", "two"], ["kept"]),
        helper.make_node("Concat", ["kept", "wanted"], ["sizes"], axis=0),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **said),
    ]
    given = {"zero": np.array([0]), "two": np.array([2]), "wanted": np.array(sizes)}
    check(model(nodes, PICTURE, opset=opset, **given), PICTURE)


def test_resizes_that_no_rule_of_ours_covers_are_islands() -> None:
    said = {"nearest_mode": "ceil"}
    one("Resize", LINE, opset=13, said=said, roi=None, scales=np.array([1, 1, 1.7], np.float32), expected=("Resize",))


def test_upsample() -> None:
    one("Upsample", PICTURE, opset=9, said={"mode": "nearest"}, scales=np.array([1, 1, 2, 3], np.float32))
    one("Upsample", PICTURE, opset=9, said={"mode": "linear"}, scales=np.array([1, 1, 2, 2], np.float32))
    one("Resize", PICTURE, opset=10, said={"mode": "linear"}, scales=np.array([1, 1, 2, 2], np.float32))


@pytest.mark.parametrize(("opset", "axis"), [(11, 1), (11, 2), (11, -1), (13, 1), (13, -1)])
@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_softmax_means_another_thing_before_opset_13(op: str, opset: int, axis: int) -> None:
    one(op, PICTURE, opset=opset, said={"axis": axis})


@pytest.mark.parametrize(
    "op", ["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceSumSquare"]
)
def test_reduction(op: str) -> None:
    axes = np.array([1, -1])
    if op == "ReduceSum":
        one(op, PICTURE, opset=13, axes=axes)
    one(op, PICTURE, opset=11, said={"axes": [2], "keepdims": 0})
    one(op, PICTURE, opset=18, said={"keepdims": 0}, axes=axes)


ACTIVATIONS: dict[str, tuple[str, dict[str, Any], int]] = {
    **{
        op: (op, {}, 17)
        for op in ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Exp", "Neg", "Abs", "Sin", "Erf")
    },
    **{op: (op, {}, 17) for op in ("LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "ThresholdedRelu")},
    "LeakyRelu, steep": ("LeakyRelu", {"alpha": 0.3}, 17),
    "Elu of another alpha": ("Elu", {"alpha": 0.4}, 17),
    "Celu of another alpha": ("Celu", {"alpha": 0.4}, 17),
    "Selu of other numbers": ("Selu", {"alpha": 0.4, "gamma": 2.0}, 17),
    "HardSigmoid of PyTorch": ("HardSigmoid", {"alpha": 1 / 6}, 17),
    "HardSigmoid, steep": ("HardSigmoid", {"alpha": 0.4, "beta": 0.3}, 17),
    "ThresholdedRelu at 0.3": ("ThresholdedRelu", {"alpha": 0.3}, 17),
    "Mish": ("Mish", {}, 18),
    "Gelu": ("Gelu", {}, 20),
    "Gelu by tanh": ("Gelu", {"approximate": "tanh"}, 20),
    "Clip, old": ("Clip", {"min": -0.5, "max": 0.7}, 9),
    "Clip, old, one bound": ("Clip", {"min": -0.5}, 9),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    op, said, opset = ACTIVATIONS[name]
    assert ops(one(op, LINE, opset=opset, said=said).graph) == ["map"]


@pytest.mark.parametrize("slope", [(1,), (4, 1), (4, 11)])
def test_prelu(slope: tuple[int, ...]) -> None:
    one("PRelu", LINE, slope=drawn(*slope))


def scalar(number: float) -> Any:
    return np.array(number, np.float32)


def test_arithmetic() -> None:
    for op in ("Add", "Sub", "Mul", "Div"):
        one(op, LINE, w=scalar(2.5))
        one(op, LINE, w=drawn(4, 1))
    one("Clip", LINE, low=scalar(-0.5), high=scalar(0.7))
    one("Clip", LINE, low=scalar(0), high=scalar(6))
    one("Clip", LINE, low=None, high=scalar(0.3))
    one("Pow", LINE, p=scalar(2))
    one("Pow", LINE, p=scalar(3))
    for op in ("Max", "Min", "Sum", "Mean"):
        one(op, LINE, a=drawn(4, 11, seed=2), b=drawn(4, 1, seed=3))
    chain = [helper.make_node("Abs", ["x"], ["a"])]
    chain += [helper.make_node("Add", ["a", "one"], ["b"]), helper.make_node("Log", ["b"], ["c"])]
    chain += [helper.make_node("Sqrt", ["c"], ["d"]), helper.make_node("Add", ["d", "one"], ["e"])]
    check(model([*chain, helper.make_node("Reciprocal", ["e"], ["y"])], LINE, opset=17, one=scalar(1)), LINE)


PADS = np.array([0, 1, 2, 0, 0, 1])


def test_padding() -> None:
    one("Pad", LINE, pads=PADS)
    one("Pad", LINE, pads=PADS, value=scalar(2.5))
    one("Pad", LINE, pads=-PADS)
    for mode in ("reflect", "edge"):
        one("Pad", LINE, said={"mode": mode}, pads=PADS)
    one("Pad", LINE, opset=19, said={"mode": "wrap"}, pads=PADS)
    one("Pad", LINE, opset=18, pads=np.array([3, 1]), value=None, axes=np.array([-1]))
    one("Pad", LINE, opset=9, said={"pads": PADS.tolist(), "value": 1.5})


def test_slices() -> None:
    ends = np.array([2**63 - 1, -1])
    one("Slice", LINE, starts=np.array([1, 0]), ends=ends, axes=np.array([1, 2]))
    one("Slice", LINE, starts=np.array([-50, 2]), ends=ends, axes=np.array([1, -1]), steps=np.array([1, 3]))
    one("Slice", LINE, opset=9, said={"starts": [1], "ends": [9], "axes": [2]})
    one(
        "Slice",
        LINE,
        starts=np.array([-1]),
        ends=np.array([-50]),
        axes=np.array([2]),
        steps=np.array([-1]),
        expected=("Slice",),
    )


def test_splits_and_joins() -> None:
    for opset, said, sizes in ((11, {"split": [2, 4, 5]}, None), (13, {}, [2, 4, 5]), (18, {"num_outputs": 3}, None)):
        split = helper.make_node("Split", ["x"] + (["n"] if sizes else []), ["a", "b", "c"], axis=2, **said)
        nodes = [split, helper.make_node("Concat", ["c", "x", "a"], ["y"], axis=-1)]
        check(model(nodes, LINE, opset=opset, **({"n": np.array(sizes)} if sizes else {})), LINE)


def test_views() -> None:
    one("Flatten", PICTURE)
    one("Flatten", PICTURE, said={"axis": 2})
    one("Reshape", PICTURE, to=np.array([0, 2, 2, -1]))
    one("Reshape", PICTURE, to=np.array([-1, 7]))
    one("Transpose", PICTURE, said={"perm": [0, 2, 3, 1]})
    one("Transpose", LINE)
    one("Unsqueeze", LINE, opset=11, said={"axes": [1, -1]})
    one("Unsqueeze", LINE, axes=np.array([0]))
    one("Squeeze", (4, 1, 3), axes=np.array([2]))
    one("Expand", (4, 1), to=np.array([1, 4, 6]))
    one("Tile", LINE, repeats=np.array([1, 2, 3]))
    one("Gather", LINE, said={"axis": 2}, at=np.array(-1))
    one("Gather", LINE, said={"axis": 1}, at=np.array([2]))
    one("DepthToSpace", (8, 2, 3), said={"blocksize": 2})
    one("DepthToSpace", (8, 2, 3), said={"blocksize": 2, "mode": "CRD"})
    one("SpaceToDepth", (2, 4, 6), said={"blocksize": 2})
    one("Identity", LINE)
    one("Dropout", LINE)


def test_sizes_that_are_computed_leave_the_batch_open() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["y"]),
    ]
    given = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1])}
    read = check(model(nodes, PICTURE, opset=13, **given), PICTURE)
    (node,) = read.graph.nodes
    assert node["shape"] == (0, -1)


def test_a_model_that_was_exported_for_one_sample() -> None:
    proto = model([helper.make_node("Reshape", ["x", "s"], ["y"])], LINE, opset=13, s=np.array([1, -1]))
    read = read_onnx(proto, [(1, *LINE)])
    assert [batch in read.holds_for for batch in (1, 2)] == [True, False]
    assert_close(outputs(read.graph, [drawn(1, *LINE)])[0], run(proto, drawn(1, *LINE)), 1e-6)
    squeeze = model([helper.make_node("Squeeze", ["x"], ["y"])], LINE, opset=13)
    assert 1 not in read_onnx(squeeze, [(2, *LINE)]).holds_for


def test_islands_are_run_by_the_reference() -> None:
    """An LSTM whose state of zeros is made for the batch, with a Dropout between two nodes that no table knows."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[2, 0, 1]),
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Concat", ["one", "n", "three"], ["size"], axis=0),
        helper.make_node("ConstantOfShape", ["size"], ["h"]),
        helper.make_node("LSTM", ["t", "w", "r", "", "", "h", "h"], ["", "state"], hidden_size=3),
        helper.make_node("Dropout", ["state"], ["d"]),
        helper.make_node("CumSum", ["d", "axis"], ["c"]),
        helper.make_node("Relu", ["c"], ["y"]),
    ]
    given = {"zero": np.array([0]), "one": np.array([1]), "three": np.array([3]), "axis": np.array(2)}
    proto = model(nodes, LINE, opset=14, w=drawn(1, 12, 4), r=drawn(1, 12, 3), **given)
    read = check(proto, LINE, ("LSTM, CumSum",))
    x = drawn(3, *LINE)
    assert_close(faltung.compile(proto)(x), run(proto, x), 1e-5)
    assert "no table knows LSTM" in next(node["reason"] for node in read.graph.nodes if node.op == "island")
    assert ops(read.graph) == ["transpose", "island", "map"]


def test_a_branch_that_is_always_taken_is_read() -> None:
    def branch(name: str, op: str) -> Any:
        result = [helper.make_tensor_value_info(name, FLOAT, None)]
        return helper.make_graph([helper.make_node(op, ["x"], [name])], name, [], result)

    nodes = [
        helper.make_node("If", ["yes"], ["z"], then_branch=branch("a", "Relu"), else_branch=branch("b", "Neg")),
        helper.make_node("Tanh", ["z"], ["y"]),
    ]
    assert ops(check(model(nodes, LINE, opset=17, yes=np.array(True)), LINE).graph) == ["map", "map"]


def test_constants_are_folded() -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(drawn(6, 4, 3))),
        helper.make_node("Mul", ["c", "g"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    assert ops(check(model(nodes, LINE, opset=17, g=drawn(6, 1, 1)), LINE).graph) == ["conv"]


def test_embedding_and_several_inputs() -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "indices"], ["e"]),
            helper.make_node("Add", ["e", "shift"], ["y"]),
            helper.make_node("Neg", ["y"], ["z"]),
        ],
        "model",
        [info("indices", TensorProto.INT64, ["n", 5]), info("shift", FLOAT, ["n", 5, 3])],
        [info("y", FLOAT, None), info("z", FLOAT, None)],
        [numpy_helper.from_array(drawn(7, 3), "table")],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    read = read_onnx(proto)
    indices, shift = np.random.default_rng(0).integers(0, 7, (2, 5)), drawn(2, 5, 3)
    for call in (((indices, shift), {}), ((indices,), {"shift": shift}), (({"shift": shift, "indices": indices},), {})):
        y, z = read.assemble(outputs(read.graph, read.flatten(*call)))
        assert_close(y, run(proto, indices, shift), 1e-6)
        assert_close(z, -y)
    with pytest.raises(ShapeError, match="inputs are indices, shift; got indices"):
        read.flatten((indices,), {})


def test_a_file_and_what_it_does_not_tell(tmp_path: Path) -> None:
    proto = model([helper.make_node("Relu", ["x"], ["y"])], (4, "time"), opset=17)
    onnx.save(proto, tmp_path / "model.onnx")
    with pytest.raises(ModelError, match=r"input x has the shape \('batch', 4, 'time'\)\. Give example"):
        read_onnx(tmp_path / "model.onnx")
    assert read_onnx(tmp_path / "model.onnx", [(3, 4, 20)]).graph.inputs["x"].shape == (3, 4, 20)
    with pytest.raises(ShapeError, match="has 1 inputs; got 2 examples"):
        read_onnx(proto, [(1, 4, 20), (1,)])
