"""A problem: a convolution as planners and kernels see it, on arrays with any strides.

A forward ConvSpec is one problem; its input gradient is one for each polyphase component (see adjoint.py).
"""

from dataclasses import dataclass
from math import prod

from faltung.spec import ConvSpec
from faltung.spec.dtype import ITEM_BYTES as ITEM_BYTES  # which planners take from here
from faltung.spec.geometry import window_size


@dataclass(frozen=True, slots=True)
class Strides:
    """Strides of an array in elements, by axis: n, c and the spatial axes."""

    n: int
    c: int
    spatial: tuple[int, ...]

    @classmethod
    def of_contiguous(cls, is_channels_last: bool, channels: int, sizes: tuple[int, ...]) -> "Strides":
        """Strides of a C-contiguous array."""
        spatial, step = [], channels if is_channels_last else 1
        for size in reversed(sizes):
            spatial.append(step)
            step *= size
        c, n = (1, step) if is_channels_last else (step, step * channels)
        return cls(n, c, tuple(reversed(spatial)))


@dataclass(frozen=True, slots=True)
class KernelView:
    """How a problem reads the learned kernel: the number for (g, taps, in, out) lies at offset + the sum of steps."""

    offset: int
    group: int
    taps: tuple[int, ...]
    inner: int  # from one input channel to the next
    outer: int  # from one output channel to the next

    @classmethod
    def of(cls, spec: ConvSpec) -> "KernelView":
        """The kernel as the caller holds it."""
        inputs, outputs = spec.in_channels // spec.groups, spec.out_channels
        taps, step = [], 1 if spec.kernel_layout.startswith("OI") else inputs * outputs
        for k in reversed(spec.kernel_size):
            taps.append(step)
            step *= k
        if spec.kernel_layout.startswith("OI"):
            inner, outer = prod(spec.kernel_size), step * inputs
        else:
            inner, outer = outputs, 1
        return cls(0, outputs // spec.groups * outer, tuple(reversed(taps)), inner, outer)


@dataclass(frozen=True, slots=True)
class Problem:
    """y[n, o, out] = epilogue(sum of x[n, o * stride + k * dilation - low, in] * w[k, in, out] over k and in)."""

    text: str  # what is computed, for people
    num_samples: int
    in_size: tuple[int, ...]
    out_size: tuple[int, ...]
    in_channels: int
    out_channels: int
    groups: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    low: tuple[int, ...]  # negative where the first window begins inside
    padding_mode: str | None  # None where no window leaves the input
    is_channels_last: bool
    has_bias: bool
    activation: str | None
    activation_parameter: float | None
    precision: str
    dtype: str
    x: Strides
    y: Strides
    w: KernelView
    y_offset: int = 0  # elements from the beginning of y's array to its first position
    adds_result: bool = False  # what y holds before is added to the sums, ahead of the activation
    is_kernel_constant: bool = False  # it is packed once, for many calls

    @classmethod
    def of(cls, spec: ConvSpec, x: Strides | None = None) -> "Problem":
        """The forward problem; x tells the strides of an input that is not contiguous."""
        return cls(
            text=spec.to_text(),
            num_samples=spec.num_samples,
            in_size=spec.in_size,
            out_size=spec.out_size,
            in_channels=spec.in_channels,
            out_channels=spec.out_channels,
            groups=spec.groups,
            kernel_size=spec.kernel_size,
            stride=spec.stride,
            dilation=spec.dilation,
            low=tuple(low for low, _ in spec.padding),
            padding_mode=spec.padding_mode if any(map(any, spec.padding)) else None,
            is_channels_last=spec.is_channels_last,
            has_bias=spec.bias,
            activation=spec.activation,
            activation_parameter=spec.activation_parameter,
            precision=spec.precision,
            dtype=spec.dtype,
            x=x or Strides.of_contiguous(spec.is_channels_last, spec.in_channels, spec.in_size),
            y=Strides.of_contiguous(spec.is_channels_last, spec.out_channels, spec.out_size),
            w=KernelView.of(spec),
        )

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.in_size)

    @property
    def group_in(self) -> int:
        """Input channels of one group."""
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        """Output channels of one group."""
        return self.out_channels // self.groups

    @property
    def effective_kernel(self) -> tuple[int, ...]:
        """Inputs that a window spans on each axis."""
        return tuple(map(window_size, self.kernel_size, self.dilation))

    @property
    def is_multichannel(self) -> bool:
        """Are there several channels on either side, so that it matters whether they come first or last?"""
        return self.in_channels * self.out_channels > 1

    @property
    def is_interleaved(self) -> bool:
        """Do channels lie side by side, and are there several?"""
        return self.is_channels_last and self.is_multichannel

    @property
    def is_readable(self) -> bool:
        """Can the direct algorithm of the problem's layout read the input in place?"""
        if self.is_interleaved:
            return (self.x.c, self.x.spatial[-1]) == (1, self.in_channels)
        return self.x.spatial[-1] == 1

    @property
    def is_dense(self) -> bool:
        """Is y contiguous: no positions between those of this problem, no other axis order?"""
        return self.y == Strides.of_contiguous(self.is_channels_last, self.out_channels, self.out_size)

    @property
    def kernel_bytes(self) -> int:
        """Bytes of the kernel of one group."""
        return prod(self.kernel_size) * self.group_in * self.group_out * ITEM_BYTES[self.dtype]

    @property
    def output_bytes(self) -> int:
        """Bytes of the result."""
        return self.num_samples * self.out_channels * prod(self.out_size) * ITEM_BYTES[self.dtype]

    @property
    def bytes_moved(self) -> int:
        """Bytes of all arrays, each once."""
        inputs = self.num_samples * self.in_channels * prod(self.in_size) * ITEM_BYTES[self.dtype]
        return inputs + self.groups * self.kernel_bytes + self.output_bytes
