"""TensorFlow's own tools on functions that call faltung: SavedModel and TFLite hold TensorFlow's operators."""

import subprocess
import sys

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
import faltung.tensorflow as ftf  # noqa: E402
from faltung.spec.options import ConvOptions  # noqa: E402
from faltung.tensorflow import operators, stock  # noqa: E402
from faltung.tensorflow.open_conv import OpenConv  # noqa: E402

RANDOM = np.random.default_rng(0)
X, KERNEL = RANDOM.normal(size=(2, 20, 4)).astype("f4"), RANDOM.normal(size=(3, 4, 8)).astype("f4")
PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
"""The operations that call back into the process that traced them."""


class Module(tf.Module):
    """A function of x with a variable kernel."""

    def __init__(self):
        self.kernel = tf.Variable(KERNEL)

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4))])
    def call(self, x):
        y = ftf.nn.conv1d(x, self.kernel, 2, "SAME", dilations=2)
        return ftf.nn.conv1d_transpose(y, self.kernel, [tf.shape(x)[0], tf.shape(x)[1], 4], 2)


def operations(function):
    """The kinds of all operations in a concrete function, those that it calls included."""
    graph = function.graph.as_graph_def()
    return {node.op for node in graph.node} | {node.op for each in graph.library.function for node in each.node_def}


@pytest.mark.parametrize("is_called_before", [False, True], ids=["new", "called before"])
def test_a_saved_model_runs_without_faltung(tmp_path, is_called_before):
    module = Module()
    if is_called_before:
        module.call(X)
    tf.saved_model.save(module, str(tmp_path / "model"))
    x = tf.constant(X)
    y = ftf.nn.conv1d(x, KERNEL, 2, "SAME", dilations=2)
    np.savez(tmp_path / "data.npz", x=X, y=ftf.nn.conv1d_transpose(y, KERNEL, [2, 20, 4], 2))
    program = """
import sys; sys.modules["faltung"] = None
import numpy as np, tensorflow as tf
data = np.load("data.npz")
model = tf.saved_model.load("model")
np.testing.assert_allclose(model.call(data["x"]), data["y"], rtol=1e-4, atol=1e-4)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


def test_functions_without_a_signature_are_traced_again(tmp_path):
    module = tf.Module()
    module.call = tf.function(lambda x: ftf.nn.conv1d(x, KERNEL, 2, "SAME"))
    y = module.call(tf.constant(X))
    tf.saved_model.save(module, str(tmp_path / "model"))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    assert not PYTHON & operations(loaded.call.concrete_functions[0])
    np.testing.assert_allclose(loaded.call(tf.constant(X)), y, rtol=1e-4, atol=1e-5)


def test_a_graph_of_this_process_is_refused_while_saving(tmp_path):
    function = tf.function(lambda x: ftf.nn.conv1d(x, KERNEL, 2, "SAME"))
    function(tf.constant(X))
    module, traced = tf.Module(), function.get_concrete_function(tf.TensorSpec(X.shape))
    assert PYTHON & operations(traced)
    with pytest.raises(ValueError) as caught:
        tf.saved_model.save(module, str(tmp_path / "model"), signatures=traced)
    assert "calls kernels that no file holds; got one with conv1d" in str(caught.value.__cause__)
    assert not (tmp_path / "model" / "saved_model.pb").exists()


def test_a_concrete_function_is_tensorflows_and_a_call_ours():
    @tf.function
    def function(x):
        return ftf.nn.conv1d(x, KERNEL, 1, "SAME")

    concrete = tf.function(function.python_function).get_concrete_function(tf.TensorSpec((2, 20, 4)))
    assert not PYTHON & operations(concrete)
    np.testing.assert_allclose(concrete(tf.constant(X)), function(tf.constant(X)), rtol=1e-4, atol=1e-5)
    assert PYTHON & operations(function.get_concrete_function(tf.TensorSpec((2, 20, 4))))


def test_tflite_converts_and_computes_the_same():
    @tf.function(input_signature=[tf.TensorSpec((2, 20, 4))])
    def function(x):
        return ftf.nn.conv1d(x, KERNEL, 2, "SAME")

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    with pytest.warns(UserWarning, match="tf.lite.Interpreter is deprecated"):
        interpreter = tf.lite.Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], X)
    interpreter.invoke()
    y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(y, ftf.nn.conv1d(X, KERNEL, 2, "SAME"), rtol=1e-4, atol=1e-5)


CASES = [
    (1, {"padding": "same", "stride": 3, "layout": "NCW"}),
    (1, {"padding": "causal", "dilation": 2, "stride": 2, "kernel_layout": "OIW"}),
    (1, {"padding": (2, 1), "padding_mode": "reflect", "groups": 2}),
    (1, {"padding": "same", "padding_mode": "circular", "groups": 4}),
    (2, {"padding": "same_lower", "stride": (1, 2), "padding_mode": "replicate", "groups": 4}),
    (2, {"padding": ((1, 0), (2, 3)), "dilation": (2, 1), "groups": 2, "layout": "NCHW", "kernel_layout": "OIHW"}),
    (3, {"padding": "same", "stride": 2, "dilation": 2, "groups": 2}),
]


@pytest.mark.parametrize("is_open", [False, True], ids=["known", "open"])
@pytest.mark.parametrize(("rank", "options"), CASES, ids=str)
def test_every_option_in_tensorflows_words(rank, options, is_open):
    options = ConvOptions(**options)
    conv = OpenConv("f", rank, options)
    groups = options.groups
    shape = (3, 4, *(7, 8, 9)[:rank]) if not conv.is_channels_last else (3, *(7, 8, 9)[:rank], 4)
    x = tf.constant(RANDOM.normal(size=shape))
    first = conv.is_kernel_outputs_first
    kernel_shape = (8, 4 // groups, *(2, 3, 2)[:rank]) if first else (*(2, 3, 2)[:rank], 4 // groups, 8)
    kernel = tf.constant(RANDOM.normal(size=kernel_shape))
    channel = len(shape) - 1 if conv.is_channels_last else 1
    signature = tf.TensorSpec(
        [None if is_open and axis != channel else size for axis, size in enumerate(shape)], x.dtype
    )
    y = operators.convolve(conv, x, kernel)
    ours = tf.function(lambda x: stock.convolve(conv, x, kernel), input_signature=[signature])
    np.testing.assert_allclose(ours(x), y, rtol=1e-9, atol=1e-9)
    if options.padding_mode == "zeros":
        dx = operators.input_gradient(conv, y, kernel, operators.Shape(shape, None))
        ours = tf.function(lambda y: stock.input_gradient(conv, y, kernel, shape))
        np.testing.assert_allclose(ours(y), dx, rtol=1e-9, atol=1e-9)
