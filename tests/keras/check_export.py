"""Keras's own `export` on stock and accelerated models: the same files, and the same numbers."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import faltung as ft
import faltung.keras

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(2, 32, 4)).astype("f4")
# Of Keras's formats those that it writes on the backend with the packages at hand. A SavedModel on PyTorch, and
# OpenVINO on JAX, fail on stock models too; ONNX on TensorFlow needs tf2onnx, on JAX
# jax2onnx, LiteRT on PyTorch litert-torch.
FORMATS = {
    "tensorflow": ["tf_saved_model", "openvino", "litert"],
    "jax": ["tf_saved_model"],
    "torch": ["onnx", "openvino"],
}
SUFFIXES = {"tf_saved_model": "", "onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}


def new_model():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((32, 4)),
            keras.layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="relu"),
            keras.layers.SeparableConv1D(8, 3, padding="same", strides=2),
            keras.layers.DepthwiseConv1D(3, padding="same"),
            keras.layers.Conv1DTranspose(4, 3, strides=2, padding="same"),
        ]
    )


def run_tf_saved_model(path):
    program = f"""
import sys; sys.modules["faltung"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load({str(path)!r})
np.save({str(path) + ".npy"!r}, model.serve(np.load({str(path) + ".x.npy"!r})))
"""
    np.save(f"{path}.x.npy", X)
    subprocess.run([sys.executable, "-c", program], check=True)
    return np.load(f"{path}.npy")


def run_openvino(path):
    import openvino

    exact = {"INFERENCE_PRECISION_HINT": "f32"}  # some processors would take 16 bits
    return openvino.Core().compile_model(path, "CPU", exact)(X)[0]


def run_onnx(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: X})[0]


def run_litert(path):
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path))
    given = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(given, X.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given, X)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.filterwarnings("ignore")  # of exporters, about themselves
@pytest.mark.parametrize("kind", FORMATS[BACKEND])
def test_export(kind, tmp_path):
    model = ft.accelerate(new_model())
    expected = new_model().predict(X, verbose=0)
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-4, atol=1e-5)  # compiled, and ours
    path = tmp_path / f"model{SUFFIXES[kind]}"
    model.export(str(path), format=kind, verbose=False)
    np.testing.assert_allclose(globals()[f"run_{kind}"](path), expected, rtol=1e-4, atol=1e-5)


if BACKEND == "tensorflow":

    @pytest.mark.filterwarnings("ignore")
    def test_tensorflows_own_tools(tmp_path):
        import tensorflow as tf

        model = ft.accelerate(new_model())
        expected = model.predict(X, verbose=0)
        tf.saved_model.save(model, str(tmp_path / "model"))
        assert (tmp_path / "model" / "saved_model.pb").exists()
        (tmp_path / "model.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        np.testing.assert_allclose(run_litert(tmp_path / "model.tflite"), expected, rtol=1e-4, atol=1e-5)


if "tf_saved_model" in FORMATS[BACKEND]:

    @pytest.mark.filterwarnings("ignore")
    def test_options_of_ours_are_exported_too(tmp_path):
        layers = [keras.Input((32, 4)), faltung.keras.Conv1D(8, 5, padding="same", padding_mode="circular", strides=2)]
        model = keras.Sequential(layers)
        model.export(tmp_path / "model", format="tf_saved_model", verbose=False)
        np.testing.assert_allclose(
            run_tf_saved_model(tmp_path / "model"), model.predict(X, verbose=0), rtol=1e-4, atol=1e-5
        )
