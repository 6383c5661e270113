"""One convolution on one sample, as the page shows it: all arrays channels first, everything about it in numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.arrays.conv import conv
from faltung.arrays.transposed import conv1d_transpose, conv2d_transpose, conv3d_transpose
from faltung.spec.geometry import window_size
from faltung.spec.transposed import transposed_size

Array = NDArray[Any]
Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """A convolution or a transposed one.

    Arguments:
        title: what the page calls it.
        names: of the spatial axes.
        x: one sample, ``(C_in, *size)``.
        kernel: ``(C_out, C_in/groups, *kernel_size)``, for a transposed convolution too.
        bias: ``(C_out,)`` or None.
        stride, dilation: for each axis.
        padding: pairs for each axis; for a transposed convolution what is cut off the full result.
        out_size: spatial sizes of the result.
        word: how the padding was said, "same" for example, "" for numbers.
        padding_mode, groups, activation, parameter: as in ConvSpec.
        is_transposed: whether each input spreads a copy of the kernel.
        notes: what the reader should know, in sentences.
    """

    title: str
    names: tuple[str, ...]
    x: Array
    kernel: Array
    bias: Array | None
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[Pair, ...]
    out_size: tuple[int, ...]
    word: str = ""
    padding_mode: str = "zeros"
    groups: int = 1
    activation: str | None = None
    parameter: float | None = None
    is_transposed: bool = False
    notes: tuple[str, ...] = ()

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return self.x.ndim - 1

    @property
    def in_size(self) -> tuple[int, ...]:
        """The spatial sizes of x."""
        return self.x.shape[1:]

    @property
    def kernel_size(self) -> tuple[int, ...]:
        """The taps on each axis."""
        return self.kernel.shape[2:]

    @property
    def window(self) -> tuple[int, ...]:
        """The inputs that a window spans on each axis."""
        return tuple(map(window_size, self.kernel_size, self.dilation))

    def result(self) -> Array:
        """Return what the library computes, ``(C_out, *out_size)``."""
        options: dict[str, Any] = {"stride": self.stride, "dilation": self.dilation, "groups": self.groups}
        options |= {"layout": f"NC{'DHW'[-self.rank :]}", "kernel_layout": "OIW"}
        if self.activation:
            has_parameter = self.parameter is not None
            options["activation"] = (self.activation, self.parameter) if has_parameter else self.activation
        x, kernel = np.ascontiguousarray(self.x[None]), np.ascontiguousarray(self.kernel)
        if not self.is_transposed:
            options |= {"padding": self.padding, "padding_mode": self.padding_mode}
            y: Array = conv(x, kernel, self.bias, **options)[0]
            return y
        transpose: Any = (conv1d_transpose, conv2d_transpose, conv3d_transpose)[self.rank - 1]
        weight = np.ascontiguousarray(exchanged(kernel, self.groups))
        y = transpose(x, weight, self.bias, padding=self.padding, output_padding=self.rest, **options)[0]
        return y

    @property
    def rest(self) -> tuple[int, ...]:
        """How much longer the result of a transposed convolution is than its copies, less what is cut off."""
        least = map(transposed_size, self.in_size, self.window, self.stride, self.padding)
        return tuple(out - size for out, size in zip(self.out_size, least, strict=True))


def exchanged(kernel: Array, groups: int) -> Array:
    """Return the kernel of a transposed convolution with inputs and outputs exchanged within each group.

    >>> exchanged(np.zeros((6, 4, 3)), 2).shape
    (8, 3, 3)
    """
    outputs, inputs, *taps = kernel.shape
    parts = kernel.reshape(groups, outputs // groups, inputs, *taps).swapaxes(1, 2)
    return parts.reshape(groups * inputs, outputs // groups, *taps)
