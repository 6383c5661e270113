"""faltung: a convolution compiler. Kernels for exactly your convolution on exactly this processor.

>>> import numpy as np
>>> import faltung as ft
>>> ft.conv1d(np.ones((32, 1000, 64), "f4"), np.ones((7, 64, 64), "f4"), padding="same").shape
(32, 1000, 64)
"""

from importlib import import_module
from typing import Any

from faltung import errors
from faltung.arrays.all_gradients import conv_gradients
from faltung.arrays.conv import conv, conv1d, conv2d, conv3d
from faltung.arrays.depthwise import depthwise_conv1d, depthwise_conv2d
from faltung.arrays.gradients import input_gradient, kernel_gradient
from faltung.arrays.separable import separable_conv1d, separable_conv2d
from faltung.arrays.transposed import conv1d_transpose, conv2d_transpose, conv3d_transpose
from faltung.errors import (
    CodegenError,
    DtypeError,
    FaltungError,
    ModelError,
    OutOfMemoryError,
    ShapeError,
    UnsupportedConvError,
)
from faltung.frontends import saved
from faltung.frontends.accelerate import accelerate
from faltung.frontends.compile import compile
from faltung.operators.convolution import Convolution
from faltung.runtime.buffers import empty_cache, set_cache_limit
from faltung.runtime.pool import get_num_threads, set_num_threads
from faltung.spec import ConvSpec
from faltung.spec.precision import precision

__version__ = "0.1.0"

__all__ = [
    "CodegenError",
    "ConvSpec",
    "Convolution",
    "DtypeError",
    "FaltungError",
    "ModelError",
    "Network",
    "OutOfMemoryError",
    "ShapeError",
    "UnsupportedConvError",
    "accelerate",
    "compile",
    "conv",
    "conv1d",
    "conv1d_transpose",
    "conv2d",
    "conv2d_transpose",
    "conv3d",
    "conv3d_transpose",
    "conv_gradients",
    "depthwise_conv1d",
    "depthwise_conv2d",
    "diagnose",
    "empty_cache",
    "explain",
    "explain_errors",
    "get_num_threads",
    "input_gradient",
    "kernel_gradient",
    "load",
    "precision",
    "separable_conv1d",
    "separable_conv2d",
    "set_cache_limit",
    "set_num_threads",
    "show",
    "stream",
]

_LATER = {
    "Network": "faltung.graph.network",
    "load": "faltung.graph.file",
    "diagnose": "faltung.diagnosis",
    "explain_errors": "faltung.diagnosis",
    "explain": "faltung.explanation",
    "show": "faltung.pages",
    "stream": "faltung.frontends.stream",
}
"""Names whose modules are imported when they are first used."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'faltung' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_LATER[name]), name)
    return found


def _explain_error(error: FaltungError) -> object:
    """Return the diagnosis of an error of our own; what makes it is imported when the first is asked for."""
    return import_module("faltung.diagnosis.own").of_error(error)


errors.explain_error = _explain_error
saved.make_known()
