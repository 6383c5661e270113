"""Keras: the model called, its predict, jitted on JAX, and converted for LiteRT."""

import os
from typing import Any, ClassVar

from faltung.bench.networks.peers.peer import Call, Peer, Work


class Keras(Peer):
    """`model(x)` on KERAS_BACKEND, else on TensorFlow."""

    hosts = ("keras",)
    packages: ClassVar[tuple[str, ...]] = ("keras", "tensorflow-cpu", "tensorflow")

    def __init__(self, threads: int) -> None:
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        backend = keras.backend.backend()
        if backend == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        elif backend == "torch":
            import torch

            torch.set_num_threads(threads)
            torch.set_grad_enabled(False)

    def prepare(self, work: Work) -> Call:
        """Return a call of the model on a NumPy array."""
        model, x = work.network.build(), work.inputs["x"]
        return lambda: model(x, training=False)


class Predict(Keras):
    """`model.predict(x, verbose=0)` on KERAS_BACKEND, else on TensorFlow."""

    def prepare(self, work: Work) -> Call:
        """Return a call of predict on a NumPy array."""
        model, x = work.network.build(), work.inputs["x"]
        return lambda: model.predict(x, verbose=0)


class Jax(Keras):
    """`jax.jit` of the model on Keras's JAX backend, its weights constants."""

    packages: ClassVar[tuple[str, ...]] = ("keras", "jax", "jaxlib")

    def __init__(self, threads: int) -> None:
        os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
        super().__init__(threads)
        import jax  # its thread pool has as many threads as we may run on processors

        self.jax = jax

    def prepare(self, work: Work) -> Call:
        """Return a call of the jitted model that waits for its result."""
        model, x = work.network.build(), work.inputs["x"]
        jitted = self.jax.jit(lambda x: model(x, training=False))
        return lambda: jitted(x).block_until_ready()


class LiteRt(Keras):
    """The model converted by TensorFlow and run by LiteRT (XNNPACK)."""

    packages: ClassVar[tuple[str, ...]] = ("ai-edge-litert", "tensorflow-cpu", "tensorflow")

    def __init__(self, threads: int) -> None:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        from ai_edge_litert.interpreter import Interpreter

        super().__init__(threads)
        self.interpreter, self.threads = Interpreter, threads

    def prepare(self, work: Work) -> Call:
        """Return a call that copies x in, runs, and copies the result out."""
        import tensorflow as tf

        model, x = work.network.build(), work.inputs["x"]
        traced = tf.function(lambda x: model(x, training=False))
        concrete = traced.get_concrete_function(tf.TensorSpec(x.shape, tf.float32))
        converted = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model).convert()
        interpreter = self.interpreter(model_content=converted, num_threads=self.threads)
        interpreter.allocate_tensors()
        source, target = (
            details[0]["index"] for details in (interpreter.get_input_details(), interpreter.get_output_details())
        )

        def call() -> Any:
            interpreter.set_tensor(source, x)
            interpreter.invoke()
            return interpreter.get_tensor(target)

        return call
