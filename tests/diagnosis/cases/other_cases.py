"""Mistakes with JAX, ONNX Runtime and faltung's own functions."""

from functools import partial
from typing import Any

import jax
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

import faltung as ft
from cases.case import COMPOSED, Case


def f4(*shape: int) -> np.ndarray:
    return np.ones(shape, "f4")


def lax(*kernel: int, **options: Any) -> Any:
    rank = len(kernel) - 2
    return partial(
        jax.lax.conv_general_dilated, rhs=f4(*kernel), **{"window_strides": (1,) * rank, "padding": "VALID"} | options
    )


def session(shape: tuple[Any, ...], kernel: tuple[int, ...], **options: Any) -> onnxruntime.InferenceSession:
    """A session of one convolution whose input was declared with this shape."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], **options)
    weight = onnx.numpy_helper.from_array(f4(*kernel), "w")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in (("x", shape), ("y", None))]
    graph = helper.make_graph([node], "one", ends[:1], ends[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


CASES = [
    Case(
        "JAX: images channels last",
        "jax-ml/jax#3289",
        lambda: lax(16, 3, 3, 3),
        (8, 32, 32, 3),
        ("layout",),
        ('y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "OIHW", "NHWC"))',),
        (8, 32, 32, 3),
        (8, 30, 30, 16),
    ),
    Case(
        "JAX: kernel of TensorFlow and images of TensorFlow",
        COMPOSED,
        lambda: lax(3, 3, 3, 16),
        (8, 32, 32, 3),
        ("layout, kernel layout",),
        ('y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))',),
        (8, 32, 32, 3),
        (8, 30, 30, 16),
    ),
    Case(
        "JAX: kernel of TensorFlow",
        COMPOSED,
        lambda: lax(5, 5, 3, 40),
        (8, 3, 40, 40),
        ("kernel layout",),
        (
            'y = jax.lax.conv_general_dilated(x, kernel.transpose(3, 2, 0, 1), (1, 1), "VALID", '
            'dimension_numbers=("NCHW", "OIHW", "NCHW"))',
        ),
        (8, 3, 40, 40),
        (8, 40, 36, 36),
    ),
    Case(
        "JAX: an image without batch",
        "crackedaicode.com: 2-D Conv via lax.conv_general_dilated",
        lambda: lax(4, 3, 3, 3),
        (3, 32, 32),
        ("missing batch",),
        ("x = x[None]",),
        (1, 3, 32, 32),
        (1, 4, 30, 30),
    ),
    Case(
        "JAX: a plain matrix",
        "crackedaicode.com: 2-D Conv via lax.conv_general_dilated",
        lambda: lax(1, 1, 3, 3),
        (28, 28),
        ("missing batch and channels",),
        ("x = x[None, None]",),
        (1, 1, 28, 28),
        (1, 1, 26, 26),
    ),
    Case(
        "JAX: gray images without channels",
        "jax-ml/jax#3289",
        lambda: lax(8, 1, 3, 3),
        (64, 28, 28),
        ("missing channels",),
        ("x = x[:, None]",),
        (64, 1, 28, 28),
        (64, 8, 26, 26),
    ),
    Case(
        "JAX: integers",
        "v0lta/Jax-Wavelet-Toolbox#6",
        lambda: lax(8, 3, 5),
        lambda: np.zeros((4, 3, 50), "i4"),
        ("dtype",),
        ('x = x.astype("float32")',),
        (4, 3, 50),
        (4, 8, 46),
    ),
    Case(
        "ONNX Runtime: an image without batch",
        "open-mmlab/mmdetection#7836",
        lambda: session(("n", 3, 64, 64), (8, 3, 3, 3)),
        (3, 64, 64),
        ("missing batch",),
        ("x = x[None]",),
        (1, 3, 64, 64),
        (1, 8, 62, 62),
    ),
    Case(
        "ONNX Runtime: channels last",
        "microsoft/onnxruntime-inference-examples#109",
        lambda: session(("n", 3, 64, 64), (8, 3, 3, 3)),
        (2, 64, 64, 3),
        ("layout",),
        ("x = x.transpose(0, 3, 1, 2)",),
        (2, 3, 64, 64),
        (2, 8, 62, 62),
    ),
    Case(
        "ONNX Runtime: a volume without channels",
        "irimia-laboratory/USC_BA_estimator#1",
        lambda: session(("n", 1, 16, 16, 16), (4, 1, 3, 3, 3)),
        (2, 16, 16, 16),
        ("missing channels",),
        ("x = x[:, None]",),
        (2, 1, 16, 16, 16),
        (2, 4, 14, 14, 14),
    ),
    Case(
        "ONNX Runtime: a fixed number of frames",
        "Jamiroquai88/VBDiarization#21",
        lambda: session((1, 23, 100), (8, 23, 5)),
        (1, 23, 56),
        ("length",),
        ("x = np.pad(x, ((0, 0), (0, 0), (0, 44)))",),
        (1, 23, 100),
        (1, 8, 96),
    ),
    Case(
        "ONNX Runtime: a fixed batch",
        "onnx/models#255",
        lambda: session((1, 4, 100), (8, 4, 5)),
        (38, 4, 100),
        ("length",),
        ("x = x[:1]",),
        (1, 4, 100),
        (1, 8, 96),
    ),
    Case(
        "ONNX Runtime: float64",
        "microsoft/onnxruntime#7340",
        lambda: session(("n", 3, 50), (8, 3, 5)),
        lambda: np.zeros((4, 3, 50)),
        ("dtype",),
        ('x = x.astype("float32")',),
        (4, 3, 50),
        (4, 8, 46),
    ),
    Case(
        "faltung: channels first",
        "keras-team/keras#272",
        lambda: partial(ft.conv1d, kernel=f4(5, 3, 16)),
        (8, 3, 100),
        ("axes swapped",),
        ('y = ft.conv1d(x, kernel, layout="NCW")',),
        (8, 3, 100),
        (8, 16, 96),
    ),
    Case(
        "faltung: PyTorch's kernel",
        COMPOSED,
        lambda: partial(ft.conv2d, kernel=f4(16, 3, 5, 5)),
        (2, 28, 28, 3),
        ("kernel layout",),
        ("y = ft.conv2d(x, kernel.transpose(2, 3, 1, 0))",),
        (2, 28, 28, 3),
        (2, 24, 24, 16),
    ),
    Case(
        "faltung: input and kernel exchanged",
        "pytorch/pytorch#51225",
        lambda: partial(ft.conv1d, kernel=f4(8, 100, 3)),
        (5, 3, 4),
        ("input and kernel swapped",),
        ("y = ft.conv1d(kernel, x)",),
        (8, 100, 3),
        (8, 96, 4),
    ),
    Case(
        "faltung: a spec and channels-first data",
        "keras-team/keras#1005",
        lambda: ft.ConvSpec.from_text("conv1d n8 w100 ic16 oc32 kw7"),
        (8, 16, 100),
        ("axes swapped",),
        ('spec = ft.ConvSpec.from_text("conv1d n8 w100 ic16 oc32 kw7 ncw f32")',),
        (8, 16, 100),
        (8, 32, 94),
    ),
]
