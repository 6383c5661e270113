"""What all our layers share: a constructor that takes more than Keras's, a call that decides who computes, shapes."""

import inspect
from typing import Any, TypeVar

import keras
from keras import ops

from faltung.errors import ShapeError, UnsupportedConvError
from faltung.keras import backend
from faltung.keras.options import withhold
from faltung.keras.request import OpenShape, Request, Shape, output_shape
from faltung.spec import named
from faltung.spec.geometry import PADDING_MODES
from faltung.spec.layout import layouts
from faltung.spec.options import ConvOptions
from faltung.spec.precision import PRECISIONS, in_effect
from faltung.spec.rules import one_of

Class = TypeVar("Class", bound=type)

OURS: dict[type, type] = {}
"""Our class for each of Keras's."""


def registered(kind: Class) -> Class:
    """Make a class known: as ours for the class that it stands for, and to saved models by that class's name.

    Summaries show it with a star, the sign of convolution. Of what stands in a name, Keras ignores signs where it names
    layers and what it saves of them, so that weights go from its layers to ours and back.
    """
    stock = kind.stock  # type: ignore[attr-defined]
    OURS[stock] = kind
    kind.__name__ = f"{stock.__name__}*"
    known: Class = keras.saving.register_keras_serializable(package="faltung", name=stock.__name__)(kind)
    return known


class LayerByFaltung(keras.layers.Layer):
    """A layer that stands for one of Keras's, `stock`, over `rank` axes."""

    stock: Any
    rank: int
    padding_mode = "zeros"
    precision: str | None = None
    padding_modes: tuple[str, ...] = PADDING_MODES

    def __init__(
        self, *arguments: Any, padding_mode: str = "zeros", precision: str | None = None, **given: Any
    ) -> None:
        name = self.stock.__name__
        call = inspect.signature(super().__init__).bind(*arguments, **given)
        kept = withhold(call.arguments, self.rank, name, words=self.keras_paddings)
        super().__init__(*call.args, **call.kwargs)
        with named(name):
            kept["padding_mode"] = one_of("padding_mode", padding_mode, self.padding_modes)
            if precision is not None:
                kept["precision"] = one_of("precision", precision, PRECISIONS)
        for attribute, value in kept.items():
            setattr(self, attribute, value)
        self.supports_jit = self.supports_xla()

    @staticmethod
    def supports_xla() -> bool:
        """Can a compiled model call faltung? XLA in TensorFlow cannot call a kernel from outside."""
        return bool(keras.backend.backend() != "tensorflow")

    # ---- what the kinds of layers define

    def _operands(self) -> tuple[Any, ...]:
        """The weights that :meth:`_convolve` takes, those of Keras's layer."""
        return self.kernel, self.bias

    def _kernel_shape(self, channels: int) -> Shape:
        """The shape of the kernel as faltung sees it."""
        raise NotImplementedError

    def _convolve(self, inputs: Any, *weights: Any) -> Any:
        """Compute by faltung, activation included."""
        raise NotImplementedError

    def _request(self, channels: int) -> Request:
        """What is asked for, with so many channels of the input."""
        return self._request_of(self.strides, self.padding, self.dilation_rate)

    def _request_of(self, strides: Any, padding: Any, dilation_rate: Any) -> Request:
        """Ask for a convolution with these options and the layer's others."""
        options = ConvOptions(
            tuple(strides),
            padding,
            tuple(dilation_rate),
            layout=layouts(self.rank)[0 if self.is_last else 1],
            padding_mode=self.padding_mode,
            precision=in_effect(self.precision),
        )
        return Request(self.stock.__name__, self.rank, options)

    # ---- Keras's methods

    def call(self, inputs: Any) -> Any:
        """Compute the layer: by faltung, or by Keras's own call where faltung does not compute with such tensors."""
        if backend.is_exporting(inputs) and self._is_computed_by_keras(len(inputs.shape)):
            return super().call(inputs)
        weights = [None if weight is None else ops.convert_to_tensor(weight) for weight in self._operands()]
        reason = backend.refusal(inputs, *weights)
        if reason is None:
            with named(self.place):
                return self._convolve(inputs, *weights)
        if self._is_computed_by_keras(len(inputs.shape)):
            return super().call(inputs)
        return self._in_float32(reason, inputs, weights)

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
        return config | self.own_options()

    def own_options(self) -> dict[str, Any]:
        """Return the options that Keras has no word for, those that are not the default."""
        own = {"padding_mode": (self.padding_mode, "zeros"), "precision": (self.precision, None)}
        return {name: value for name, (value, default) in own.items() if value != default}

    # ---- who computes

    @property
    def place(self) -> str:
        """Where the layer is in its model and what it is, as errors name it."""
        return f"{self.path or self.name} ({self.stock.__name__})"

    @property
    def is_last(self) -> bool:
        """Whether channels come last."""
        return bool(self.data_format == "channels_last")

    @property
    def keras_paddings(self) -> tuple[str, ...]:
        """The words for padding that Keras's layer knows."""
        return ("valid", "same", "causal") if self.stock is keras.layers.Conv1D else ("valid", "same")

    def _is_known_to_keras(self, num_axes: int) -> bool:
        """Does Keras's layer know these options for an input of so many axes, on some backend?"""
        is_strided_and_dilated = max(self.strides) > 1 and max(self.dilation_rate) > 1
        is_usual = self.padding in self.keras_paddings and self.padding_mode == "zeros" and not is_strided_and_dilated
        return is_usual and num_axes == self.rank + 2

    def _is_computed_by_keras(self, num_axes: int) -> bool:
        """Does Keras's layer compute this on the backend at hand?"""
        is_dilated_back = self.rank > 1 and max(self.dilation_rate) > 1 and hasattr(self, "output_padding")
        is_beyond_tensorflow = not self.is_last or getattr(self, "groups", 1) > 1 or is_dilated_back
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
            with named(self.place):
                self._output_shape(input_shape)
        except ShapeError as ours:
            error.add_note(str(ours))
