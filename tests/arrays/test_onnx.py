"""ONNX's own tests of its backends for Conv and ConvTranspose, which its wheel carries, by our functions on arrays.

All of them, without an exception.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import onnx.backend.test.case.node as node_cases
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.node import conv, convtranspose  # noqa: F401  # their import makes the cases

import faltung as ft

OPERATORS = ("Conv", "ConvTranspose")
LAYOUTS = {1: "NCW", 2: "NCHW", 3: "NCDHW"}
Case = tuple[onnx.NodeProto, list[Any], Any]


def cases() -> dict[str, Case]:
    """Name → node, its inputs, and the result that ONNX expects."""
    found = {}
    for case in node_cases._NodeTestCases:
        node = case.model.graph.node[0]
        if node.op_type in OPERATORS:
            (inputs, (expected,)), *_ = case.data_sets
            found[case.name] = node, list(inputs), expected
    data = Path(onnx.backend.test.__file__).parent / "data"
    for folder in sorted(data.glob("pytorch-*/test_*onv*")):
        model = onnx.load(folder / "model.onnx")
        found[folder.name] = of_model(model, folder / "test_data_set_0")
    return found


def of_model(model: onnx.ModelProto, folder: Path) -> Case:
    """The one node of a model whose weights may be initializers, inputs, or constants."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    fed = [value.name for value in model.graph.input if value.name not in arrays]
    for number, name in enumerate(fed):
        arrays[name] = tensor_of(folder / f"input_{number}.pb")
    (node,) = model.graph.node
    return node, [arrays[name] for name in node.input if name], tensor_of(folder / "output_0.pb")


def tensor_of(file: Path) -> Any:
    return numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes()))


def compute(node: onnx.NodeProto, x: Any, kernel: Any, bias: Any = None) -> Any:
    """What ONNX's node means, in our words."""
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    rank = x.ndim - 2
    stride, dilation = (attributes.pop(name, [1] * rank) for name in ("strides", "dilations"))
    pads, how = attributes.pop("pads", [0] * 2 * rank), attributes.pop("auto_pad", b"NOTSET").decode()
    assert list(attributes.pop("kernel_shape", kernel.shape[2:])) == list(kernel.shape[2:])
    options = {
        "stride": tuple(stride),
        "dilation": tuple(dilation),
        "groups": attributes.pop("group", 1),
        "layout": LAYOUTS[rank],
        "kernel_layout": "OIW",
    }
    padding: Any = tuple(zip(pads[:rank], pads[rank:], strict=True))
    if node.op_type == "Conv":
        assert not attributes
        if how == "SAME_LOWER":  # as "same", but of an odd number the low end has more
            spans = zip(x.shape[2:], stride, dilation, kernel.shape[2:], strict=True)
            totals = [max((-(-i // s) - 1) * s + d * (k - 1) + 1 - i, 0) for i, s, d, k in spans]
            padding = tuple((total - total // 2, total // 2) for total in totals)
        elif how != "NOTSET":
            padding = {"SAME_UPPER": "same", "VALID": "valid"}[how]
        return (ft.conv1d, ft.conv2d, ft.conv3d)[rank - 1](x, kernel, bias, padding=padding, **options)
    extra = attributes.pop("output_padding", [0] * rank)
    shape = attributes.pop("output_shape", None)
    if how == "SAME_UPPER" and shape is None:
        shape = [size * step for size, step in zip(x.shape[2:], stride, strict=True)]
    assert not attributes and (how == "NOTSET" or how == "SAME_UPPER")
    if shape is not None:
        # what is cut off, as the standard says; what is missing is added at the end
        whole = [
            (size - 1) * step + spread * (taps - 1) + 1 + more
            for size, step, spread, taps, more in zip(
                x.shape[2:], stride, dilation, kernel.shape[2:], extra, strict=True
            )
        ]
        cut = [max(full - wanted, 0) for full, wanted in zip(whole, shape, strict=True)]
        extra = [more + max(wanted - full, 0) for more, full, wanted in zip(extra, whole, shape, strict=True)]
        padding = tuple((c // 2, c - c // 2) if how == "SAME_UPPER" else (c - c // 2, c // 2) for c in cut)
    function = (ft.conv1d_transpose, ft.conv2d_transpose, ft.conv3d_transpose)[rank - 1]
    return function(x, kernel, bias, padding=padding, output_padding=tuple(extra), **options)


CASES = cases()


def test_the_wheel_carries_the_cases() -> None:
    counts = [sum(node.op_type == operator for node, _, _ in CASES.values()) for operator in OPERATORS]
    assert counts[0] >= 30 and counts[1] >= 12, counts


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_onnx(name: str) -> None:
    node, inputs, expected = CASES[name]
    y = compute(node, *inputs)
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)  # onnx's own rtol is 1e-3
