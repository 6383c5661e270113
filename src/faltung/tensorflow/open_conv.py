"""A convolution whose sizes may still be open: a graph is traced once for batches and lengths that only a run knows."""

from dataclasses import dataclass

from faltung.spec import ConvSpec, spec_from_call
from faltung.spec.layout import kernel_layouts, split_kernel_shape
from faltung.spec.options import ConvOptions, options_of
from faltung.tensorflow.tensors import Sizes

OPEN = 1 << 24
"""Stands for a size that is not known, in a spec that only says which the others are; any kernel fits into it."""


@dataclass(frozen=True)
class OpenConv:
    """The options of a convolution of this rank; `function` is the name that messages begin with."""

    function: str
    rank: int
    options: ConvOptions

    @classmethod
    def of(cls, spec: ConvSpec) -> "OpenConv":
        """The convolution of a spec without its sizes and activation; its padding, as pairs, holds for every size."""
        return cls(spec.name, spec.rank, options_of(spec)._replace(activation=None))

    def activated_by(self, activation: str | None) -> "OpenConv":
        """The same with this activation, or without any."""
        return OpenConv(self.function, self.rank, self.options._replace(activation=activation))

    @property
    def is_channels_last(self) -> bool:
        """Is the channel the last axis of x?"""
        return (self.options.layout or "NWC").upper().endswith("C")

    @property
    def is_kernel_outputs_first(self) -> bool:
        """Is the output channel the first axis of the kernel?"""
        return self._kernel_layout.startswith("O")

    def kernel_size(self, kernel: tuple[int, ...]) -> tuple[int, ...]:
        """The taps of a kernel of this shape."""
        return split_kernel_shape(self._kernel_layout, kernel)[0]

    @property
    def _kernel_layout(self) -> str:
        return (self.options.kernel_layout or kernel_layouts(self.rank)[0]).upper()

    def output_shape(self, x: Sizes, kernel: Sizes, x_dtype: str, kernel_dtype: str) -> Sizes:
        """The sizes of the result that follow from the sizes known, or one error that explains what is wrong."""
        channel = len(x) - 1 if self.is_channels_last else 1
        inputs = kernel[1 if self.is_kernel_outputs_first else -2]
        groups = self.options.groups
        channels = (inputs or 1) * groups if isinstance(groups, int) else 1
        filled = tuple(
            size if size is not None else channels if axis == channel else OPEN for axis, size in enumerate(x)
        )
        taps = tuple(1 if size is None else size for size in kernel)
        spec = self.spec(filled, x_dtype, taps, kernel_dtype)
        known = [size is not None or axis == channel for axis, size in enumerate(x)]
        if None in kernel:
            known = [k and axis < len(spec.batch) for axis, k in enumerate(known)]
        return tuple(size if is_known else None for size, is_known in zip(spec.output_shape, known, strict=True))

    def spec(self, x: tuple[int, ...], x_dtype: str, kernel: tuple[int, ...], kernel_dtype: str) -> ConvSpec:
        """The spec of this convolution with all sizes known."""
        return spec_from_call(self.function, x, x_dtype, kernel, kernel_dtype, rank=self.rank, options=self.options)
