"""What all our layers share: a constructor that takes more than Keras's, a call that decides who computes, shapes."""

import inspect
import re
from typing import Any, TypeVar

import keras
from keras import ops

from faltung.errors import ShapeError, UnsupportedConvError
from faltung.frontends.keras import backend
from faltung.frontends.keras.options import withhold
from faltung.frontends.keras.request import OpenShape, Request, Shape, output_shape
from faltung.spec import named
from faltung.spec.geometry import PADDING_MODES
from faltung.spec.rules import one_of

Class = TypeVar("Class", bound=type)

OURS: dict[type, type] = {}
"""Our class for each of Keras's."""


def registered(kind: Class) -> Class:
    """Make a class known: as ours for the class that it stands for, and to saved models by that class's name."""
    stock = kind.stock  # type: ignore[attr-defined]
    OURS[stock] = kind
    known: Class = keras.saving.register_keras_serializable(package="faltung", name=stock.__name__)(kind)
    return known


class LayerByFaltung(keras.layers.Layer):
    """A layer that stands for one of Keras's, `stock`, over `rank` axes."""

    stock: Any
    rank: int
    padding_mode = "zeros"
    padding_modes: tuple[str, ...] = PADDING_MODES

    def __init__(self, *arguments: Any, padding_mode: str = "zeros", **given: Any) -> None:
        name = self.stock.__name__
        if given.get("name") is None and type(self) in OURS.values():
            given["name"] = _next_name(name)
        call = inspect.signature(super().__init__).bind(*arguments, **given)
        kept = withhold(call.arguments, self.rank, name, knows_causal=self._knows_causal)
        super().__init__(*call.args, **call.kwargs)
        with named(name):
            kept["padding_mode"] = one_of("padding_mode", padding_mode, self.padding_modes)
        for attribute, value in kept.items():
            setattr(self, attribute, value)
        if keras.backend.backend() == "tensorflow":
            self.supports_jit = False  # XLA in TensorFlow cannot call a kernel from outside

    # ---- what the kinds of layers define

    def _operands(self) -> tuple[Any, ...]:
        """The weights that :meth:`_convolve` takes, those of Keras's layer."""
        return self.kernel, self.bias

    def _kernel_shape(self, channels: int) -> Shape:
        """The shape of the kernel as faltung sees it."""
        raise NotImplementedError

    def _convolve(self, inputs: Any, *weights: Any) -> Any:
        """Compute by faltung, without the activation."""
        raise NotImplementedError

    def _request(self, channels: int) -> Request:
        """What is asked for, with so many channels of the input."""
        return Request(
            self.stock.__name__,
            self.rank,
            tuple(self.strides),
            self.padding,
            tuple(self.dilation_rate),
            is_last=self.is_last,
            padding_mode=self.padding_mode,
        )

    # ---- Keras's methods

    def call(self, inputs: Any) -> Any:
        """Compute the layer: by faltung, or by Keras's own call where faltung does not compute with such tensors."""
        weights = [None if weight is None else ops.convert_to_tensor(weight) for weight in self._operands()]
        reason = backend.refusal(inputs, *weights)
        if reason is None:
            y = self._convolve(inputs, *weights)
        elif self._is_computed_by_keras(len(inputs.shape)):
            return super().call(inputs)
        else:
            y = self._in_float32(reason, inputs, weights)
        return y if self.activation is None else self.activation(y)

    def compute_output_shape(self, input_shape: OpenShape) -> OpenShape:
        """Return the shape of the result; sizes that are None stay None."""
        if not self._is_known_to_keras(len(input_shape)):
            return self._output_shape(tuple(input_shape))
        try:
            shape: OpenShape = super().compute_output_shape(input_shape)
        except ValueError as error:
            self._explain(error, tuple(input_shape))
            raise
        return shape

    def get_config(self) -> dict[str, Any]:
        """Return Keras's config, and what it has no word for only where it is used."""
        config: dict[str, Any] = super().get_config()
        return config if self.padding_mode == "zeros" else config | {"padding_mode": self.padding_mode}

    # ---- who computes

    @property
    def is_last(self) -> bool:
        """Whether channels come last."""
        return bool(self.data_format == "channels_last")

    @property
    def _knows_causal(self) -> bool:
        return self.stock is keras.layers.Conv1D

    def _is_known_to_keras(self, num_axes: int) -> bool:
        """Does Keras's layer know these options for an input of so many axes, on some backend?"""
        words = ("valid", "same", "causal") if self._knows_causal else ("valid", "same")
        is_strided_and_dilated = max(self.strides) > 1 and max(self.dilation_rate) > 1
        is_usual = self.padding in words and self.padding_mode == "zeros" and not is_strided_and_dilated
        return is_usual and num_axes == self.rank + 2

    def _is_computed_by_keras(self, num_axes: int) -> bool:
        """Does Keras's layer compute this on the backend at hand?"""
        is_beyond_tensorflow = not self.is_last or getattr(self, "groups", 1) > 1
        is_refused = keras.backend.backend() == "tensorflow" and is_beyond_tensorflow
        return self._is_known_to_keras(num_axes) and not is_refused

    def _in_float32(self, reason: str, inputs: Any, weights: list[Any]) -> Any:
        """Compute in float32 what neither Keras nor faltung can in the type of the inputs."""
        wide = [None if tensor is None else ops.cast(tensor, "float32") for tensor in (inputs, *weights)]
        if backend.refusal(*wide) is not None:
            rule = "only faltung computes these options, and not these tensors"
            raise UnsupportedConvError(f"{self.stock.__name__}: {rule}; {reason}. Use options that Keras knows.")
        return ops.cast(self._convolve(*wide), inputs.dtype)

    # ---- shapes

    def _output_shape(self, input_shape: OpenShape) -> OpenShape:
        channels = input_shape[-1 if self.is_last else 1]
        if channels is None:
            rule = "the channels of the input must be known"
            raise ShapeError(f"{self.stock.__name__}: {rule}; got shape {input_shape}. Give their number.")
        return output_shape(self._request(channels), input_shape, self._kernel_shape(channels))

    def _explain(self, error: ValueError, input_shape: OpenShape) -> None:
        """Add our remedy to an error of Keras's, if we would refuse the request too."""
        try:
            self._output_shape(input_shape)
        except ShapeError as ours:
            error.add_note(str(ours))


def _next_name(stock: str) -> str:
    """Return the name that Keras would give its own layer, counted together with its own: conv1d, then conv1d_1."""
    prefix = re.sub(r"(?<=[a-zD])(?=[A-Z][a-z])", "_", stock).lower()
    count = keras.backend.get_uid(prefix)
    return prefix if count == 1 else f"{prefix}_{count - 1}"
