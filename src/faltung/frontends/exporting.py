"""Is a function traced to be written? Then it holds its host's own operators: a reader need not have faltung."""

import sys

EXPORTERS = (
    *("tensorflow.python.saved_model.", "tensorflow.lite.", "keras.src.export."),
    *("tf2onnx.", "jax2onnx.", "openvino.", "jax.experimental.jax2tf."),
)
"""The packages that trace functions to write them."""


def is_traced_to_be_written() -> bool:
    """Does an exporter, or who asks for a concrete function, stand among the callers?

    TensorFlow and Keras say nowhere else that they export. Frames are looked at while a function is traced only.
    """
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(EXPORTERS) or frame.f_code.co_name == "get_concrete_function":
            return True
        frame = frame.f_back  # type: ignore[assignment]  # the outermost has none
    return False
