"""Graphs that files hold get TensorFlow's own operators; those that call into this process are refused."""

import tensorflow as tf

from faltung.errors import UnsupportedConvError
from faltung.frontends.exporting import is_traced_to_be_written


def is_exporting() -> bool:
    """Is a function traced for a SavedModel, for TFLite, for a converter, or as a concrete function?"""
    return not tf.executing_eagerly() and is_traced_to_be_written()


def refuse_if_saved(function: str) -> None:
    """Refuse to save a graph that was traced for this process, where it calls our kernels.

    A SavedModel asks for the derivative of every operator that has one of its own, and only ours reach this line.
    """
    if is_exporting():
        rule = f"{function}: a graph that was traced for a call calls kernels that no file holds"
        remedy = "Save the tf.function, which is traced again, or get the concrete function before the first call"
        raise UnsupportedConvError(f"{rule}; got one with {function}. {remedy}.")
