"""Layers that are `keras.layers.Conv1D` and its kin, computed by faltung: same constructor, config and weights.

More than Keras's: strides together with dilation_rate; data_format and groups on every backend; more than one batch
axis; padding "causal" for every layer over one axis, an int, or (low, high) pairs; `padding_mode`; and `precision`,
"high" or "exact", which admits direct summation only, in the gradients too. No class adds state to its parent's: a
layer may change its class.
"""

from dataclasses import replace
from typing import Any

import keras
from keras import ops

from faltung.keras import backend
from faltung.keras.base import LayerByFaltung, registered
from faltung.keras.request import OpenShape, Request, Shape


class _Convolution(LayerByFaltung):
    """Dense and grouped convolutions."""

    def _kernel_shape(self, channels: int) -> Shape:
        return (*self.kernel_size, channels // self.groups, self.filters)

    def _request(self, channels: int) -> Request:
        return super()._request(channels).with_options(groups=self.groups)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve without bias: what Keras lets those redefine who change the kernel."""
        kernel = ops.convert_to_tensor(kernel)
        if backend.refusal(inputs, kernel) is not None:
            return super().convolution_op(inputs, kernel)
        return backend.convolve(inputs, kernel, None, self._request(0))

    def _convolve(self, inputs: Any, kernel: Any, bias: Any | None) -> Any:
        if type(self).convolution_op is _Convolution.convolution_op:
            return backend.convolve(inputs, kernel, bias, self._request(0), self.activation)
        y = self.convolution_op(inputs, kernel)
        if bias is not None:
            y = ops.add(y, bias if self.is_last else ops.reshape(bias, (-1, *(1,) * self.rank)))
        return y if self.activation is None else self.activation(y)


class _Transposed(LayerByFaltung):
    """Transposed convolutions; they cut off padding, so there is nothing for a padding mode to fill."""

    padding_modes = ("zeros",)

    def _kernel_shape(self, channels: int) -> Shape:
        return (*self.kernel_size, self.filters, channels)

    def _request(self, channels: int) -> Request:
        return replace(super()._request(channels), is_transposed=True, output_padding=self.output_padding)

    def _convolve(self, inputs: Any, kernel: Any, bias: Any | None) -> Any:
        return backend.convolve_transposed(inputs, kernel, bias, self._request(0), self.activation)


class _ByChannel(LayerByFaltung):
    """Convolutions of each channel with kernels of its own: as many groups as channels."""

    def _kernel_shape(self, channels: int) -> Shape:
        return (*self.kernel_size, 1, channels * self.depth_multiplier)

    def _request(self, channels: int) -> Request:
        return super()._request(channels).with_options(groups=channels)

    def _by_channel(self, inputs: Any, kernel: Any, bias: Any | None, activation: backend.Activation) -> Any:
        """Convolve with Keras's kernel (*kernel_size, C_in, depth_multiplier)."""
        channels = kernel.shape[-2]
        kernel = ops.reshape(kernel, self._kernel_shape(channels))
        return backend.convolve(inputs, kernel, bias, self._request(channels), activation)


class _Depthwise(_ByChannel):
    """Depthwise convolutions: that, then bias and activation."""

    def _convolve(self, inputs: Any, kernel: Any, bias: Any | None) -> Any:
        return self._by_channel(inputs, kernel, bias, self.activation)


class _Separable(_ByChannel):
    """A depthwise convolution, and a dense one with a single tap after it."""

    def _operands(self) -> tuple[Any, ...]:
        return self.depthwise_kernel, self.pointwise_kernel, self.bias

    def _output_shape(self, input_shape: OpenShape) -> OpenShape:
        shape = super()._output_shape(input_shape)
        return (*shape[:-1], self.filters) if self.is_last else (shape[0], self.filters, *shape[2:])

    def _convolve(self, inputs: Any, depthwise: Any, pointwise: Any, bias: Any | None) -> Any:
        ones = (1,) * self.rank
        inner = self._by_channel(inputs, depthwise, None, None)
        return backend.convolve(inner, pointwise, bias, self._request_of(ones, "valid", ones), self.activation)


@registered
class Conv1D(_Convolution, keras.layers.Conv1D):
    """`keras.layers.Conv1D`, computed by faltung: convolve sequences.

    >>> import numpy as np
    >>> tuple(Conv1D(32, 5, strides=2, dilation_rate=2, padding="causal")(np.ones((8, 100, 3))).shape)
    (8, 50, 32)
    """

    stock, rank = keras.layers.Conv1D, 1


@registered
class Conv2D(_Convolution, keras.layers.Conv2D):
    """`keras.layers.Conv2D`, computed by faltung: convolve images.

    >>> import numpy as np
    >>> tuple(Conv2D(32, 3, padding="same", padding_mode="circular")(np.ones((1, 32, 32, 3))).shape)
    (1, 32, 32, 32)
    """

    stock, rank = keras.layers.Conv2D, 2


@registered
class Conv3D(_Convolution, keras.layers.Conv3D):
    """`keras.layers.Conv3D`, computed by faltung: convolve volumes.

    >>> import numpy as np
    >>> tuple(Conv3D(4, 3, padding=((2, 0), (1, 1), (1, 1)))(np.ones((1, 8, 8, 8, 2))).shape)
    (1, 8, 8, 8, 4)
    """

    stock, rank = keras.layers.Conv3D, 3


@registered
class Conv1DTranspose(_Transposed, keras.layers.Conv1DTranspose):
    """`keras.layers.Conv1DTranspose`, computed by faltung: convolve sequences transposed.

    >>> import numpy as np
    >>> tuple(Conv1DTranspose(16, 4, strides=2, padding="causal")(np.ones((8, 50, 32))).shape)
    (8, 100, 16)
    """

    stock, rank = keras.layers.Conv1DTranspose, 1


@registered
class Conv2DTranspose(_Transposed, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose`, computed by faltung: convolve images transposed.

    >>> import numpy as np
    >>> tuple(Conv2DTranspose(16, 3, strides=2, padding="same")(np.ones((1, 8, 8, 32))).shape)
    (1, 16, 16, 16)
    """

    stock, rank = keras.layers.Conv2DTranspose, 2


@registered
class Conv3DTranspose(_Transposed, keras.layers.Conv3DTranspose):
    """`keras.layers.Conv3DTranspose`, computed by faltung: convolve volumes transposed.

    >>> import numpy as np
    >>> tuple(Conv3DTranspose(2, 3)(np.ones((1, 4, 4, 4, 8))).shape)
    (1, 6, 6, 6, 2)
    """

    stock, rank = keras.layers.Conv3DTranspose, 3


@registered
class DepthwiseConv1D(_Depthwise, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D`, computed by faltung: convolve each channel of sequences by itself.

    >>> import numpy as np
    >>> tuple(DepthwiseConv1D(7, padding="causal")(np.ones((8, 100, 16))).shape)
    (8, 100, 16)
    """

    stock, rank = keras.layers.DepthwiseConv1D, 1


@registered
class DepthwiseConv2D(_Depthwise, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D`, computed by faltung: convolve each channel of images by itself.

    >>> import numpy as np
    >>> tuple(DepthwiseConv2D(3, strides=2, depth_multiplier=2)(np.ones((1, 9, 9, 8))).shape)
    (1, 4, 4, 16)
    """

    stock, rank = keras.layers.DepthwiseConv2D, 2


@registered
class SeparableConv1D(_Separable, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D`, computed by faltung: convolve each channel of sequences by itself.

    The channels are mixed afterwards.

    >>> import numpy as np
    >>> tuple(SeparableConv1D(32, 7, padding="causal")(np.ones((8, 100, 16))).shape)
    (8, 100, 32)
    """

    stock, rank = keras.layers.SeparableConv1D, 1


@registered
class SeparableConv2D(_Separable, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D`, computed by faltung: convolve each channel of images by itself.

    The channels are mixed afterwards.

    >>> import numpy as np
    >>> tuple(SeparableConv2D(32, 3)(np.ones((1, 9, 9, 8))).shape)
    (1, 7, 7, 32)
    """

    stock, rank = keras.layers.SeparableConv2D, 2
