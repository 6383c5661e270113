"""ConvSpec: one convolution, described completely. Everything in faltung starts from it."""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from faltung.errors import ShapeError
from faltung.spec import text as text_form
from faltung.spec.activation import resolve_activation
from faltung.spec.dtype import ITEM_BYTES, check_dtype
from faltung.spec.geometry import PADDING_MODES, check_axis, output_size, resolve_padding, window_size
from faltung.spec.layout import (
    RANKS,
    join_kernel_shape,
    join_shape,
    resolve_kernel_layout,
    resolve_layout,
    spatial_axes,
)
from faltung.spec.options import Activation, Padding, Sizes
from faltung.spec.precision import PRECISIONS
from faltung.spec.rules import brief, check_groups, integer, named, one_of, per_axis, plain, sequence


@dataclass(frozen=True, slots=True, init=False, repr=False)
class ConvSpec:
    """A convolution with all its sizes and options; equal specs compute the same thing with the same code.

    ``y[n, w, o] = activation(bias[o] + sum(x[n, w*stride + k*dilation - low, i] * kernel[k, i, o] for k, i))``,
    a cross-correlation as in every framework, over one, two or three spatial axes; ``i`` runs over the
    channels of the group that ``o`` belongs to.

    The constructor takes every usual spelling and keeps one: sizes as tuples, padding as (low, high) pairs,
    layouts in upper case, activation by its own name. A wrong request raises ShapeError or DtypeError.

    Arguments:
        in_size: ``(W,)``, ``(H, W)`` or ``(D, H, W)``; its length decides the rank.
        in_channels, out_channels: channels of input and output.
        kernel_size: taps, for all axes or for each.
        batch: leading axes; one for channels-first layouts, one or more for channels-last.
        stride: step of the window, for all axes or for each.
        padding: "valid", "same", "causal" (1-D), "same_lower"; an int; an int or a (low, high) pair for each axis.
        dilation: spacing of taps, 1 is dense, for all axes or for each.
        groups: independent parts that channels are split into.
        layout: "NWC" (default), "NCW", "NHWC" (default), "NCHW", "NDHWC" (default), "NCDHW".
        kernel_layout: "WIO" (default) or "OIW", for every rank; also with the axes spelled out, "HWIO".
        padding_mode: "zeros", "reflect", "replicate", "circular"; kept as "zeros" where nothing is padded.
        bias: whether there is one.
        activation: a name, or (name, parameter); see activation.py.
        activation_parameter: slope of leaky_relu (default 0.2, as Keras), alpha of elu (default 1).
        precision: "high" admits fast algorithms, "exact" direct summation only, with denormal numbers.
        dtype: "float32" or "float64".

    >>> spec = ConvSpec(in_size=100, in_channels=16, out_channels=32, kernel_size=7, batch=8, stride=2, padding="same")
    >>> spec.input_shape, spec.kernel_shape, spec.output_shape
    ((8, 100, 16), (7, 16, 32), (8, 50, 32))
    >>> spec
    ConvSpec.from_text('conv1d n8 w100 ic16 oc32 kw7 sw2 pw2:3 f32')
    """

    in_size: tuple[int, ...]
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    batch: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int
    layout: str
    kernel_layout: str
    padding_mode: str
    bias: bool
    activation: str | None
    activation_parameter: float | None
    precision: str
    dtype: str

    def __init__(
        self,
        *,
        in_size: Sizes,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        batch: Sizes = 1,
        stride: Sizes = 1,
        padding: Padding = "valid",
        dilation: Sizes = 1,
        groups: int = 1,
        layout: str | None = None,
        kernel_layout: str | None = None,
        padding_mode: str = "zeros",
        bias: bool = False,
        activation: Activation = None,
        activation_parameter: float | None = None,
        precision: str = "high",
        dtype: str = "float32",
    ) -> None:
        put = partial(object.__setattr__, self)  # the way into a frozen dataclass
        with named("ConvSpec"):
            put("in_size", _in_size(in_size))
            axes = spatial_axes(self.rank)
            put("in_channels", integer("in_channels", in_channels, minimum=1))
            put("out_channels", integer("out_channels", out_channels, minimum=1))
            put("kernel_size", per_axis("kernel_size", kernel_size, axes, minimum=1))
            put("stride", per_axis("stride", stride, axes, minimum=1))
            put("dilation", per_axis("dilation", dilation, axes, minimum=1))
            put("groups", integer("groups", groups, minimum=1))
            check_groups(self.groups, self.in_channels, self.out_channels)

            put("layout", resolve_layout(layout, self.rank))
            put("kernel_layout", resolve_kernel_layout(kernel_layout, self.rank))
            put("batch", _batch(batch, self.layout))

            window = self.effective_kernel
            put("padding", resolve_padding(padding, self.in_size, window, self.stride, self.layout))
            mode = one_of("padding_mode", padding_mode, PADDING_MODES)
            put("padding_mode", mode if any(map(any, self.padding)) else "zeros")
            for index in range(self.rank):
                check_axis(self, index)

            if not isinstance(bias, bool):
                raise ShapeError(f"bias must be True or False; got {brief(bias)}. The numbers go to the call.")
            put("bias", bias)
            name, parameter = resolve_activation(activation, activation_parameter)
            put("activation", name)
            put("activation_parameter", parameter)
            put("precision", one_of("precision", precision, PRECISIONS))
            put("dtype", check_dtype("dtype", dtype))

    def replace(self, **changes: Any) -> "ConvSpec":
        """Return a spec with some fields changed.

        Padding stays as pairs: pass ``padding="same"`` again where a new size should have new padding.

        >>> ConvSpec.from_text("conv1d n1 w20 ic3 oc16 kw3").replace(batch=8, activation="relu")
        ConvSpec.from_text('conv1d n8 w20 ic3 oc16 kw3 relu f32')
        """
        if "activation" in changes:
            changes.setdefault("activation_parameter", None)
        return replace(self, **changes)

    @property
    def rank(self) -> int:
        """The number of spatial axes."""
        return len(self.in_size)

    @property
    def name(self) -> str:
        """The function that computes it: "conv1d", "conv2d" or "conv3d"."""
        return f"conv{self.rank}d"

    @property
    def num_samples(self) -> int:
        """The product of the leading axes, ``n``."""
        return math.prod(self.batch)

    @property
    def is_channels_last(self) -> bool:
        """Whether the channels of one position lie side by side."""
        return self.layout.endswith("C")

    @property
    def effective_kernel(self) -> tuple[int, ...]:
        """The inputs that a window spans on each axis, ``dilation*(k - 1) + 1``."""
        return tuple(map(window_size, self.kernel_size, self.dilation))

    @property
    def receptive_field(self) -> tuple[int, ...]:
        """The inputs that one output sees on each axis: the usual name, for one layer, of :attr:`effective_kernel`."""
        return self.effective_kernel

    @property
    def out_size(self) -> tuple[int, ...]:
        """The spatial sizes of the output."""
        return tuple(map(output_size, self.in_size, self.effective_kernel, self.stride, self.padding))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of x in the layout of the spec."""
        return join_shape(self.layout, self.batch, self.in_channels, self.in_size)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """The shape of the kernel in its layout."""
        inputs = self.in_channels // self.groups
        return join_kernel_shape(self.kernel_layout, self.kernel_size, inputs, self.out_channels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the result in the layout of the spec."""
        return join_shape(self.layout, self.batch, self.out_channels, self.out_size)

    @property
    def macs(self) -> int:
        """Multiply-adds of direct summation, those with padded zeros included."""
        return math.prod(self.output_shape) * math.prod(self.kernel_size) * (self.in_channels // self.groups)

    @property
    def flops(self) -> int:
        """Twice the multiply-adds."""
        return 2 * self.macs

    @property
    def input_bytes(self) -> int:
        """The size of x."""
        return math.prod(self.input_shape) * ITEM_BYTES[self.dtype]

    @property
    def kernel_bytes(self) -> int:
        """The size of the kernel."""
        return math.prod(self.kernel_shape) * ITEM_BYTES[self.dtype]

    @property
    def output_bytes(self) -> int:
        """The size of the result."""
        return math.prod(self.output_shape) * ITEM_BYTES[self.dtype]

    @property
    def bytes_moved(self) -> int:
        """The bytes of all arrays, each counted once, the bias included."""
        bias_bytes = self.out_channels * ITEM_BYTES[self.dtype] if self.bias else 0
        return self.input_bytes + self.kernel_bytes + bias_bytes + self.output_bytes

    def size_formula(self, axis: str | int = -1) -> str:
        """Return how the output size of an axis, by letter or number, comes about.

        >>> ConvSpec.from_text("conv1d n1 w1000 ic1 oc1 kw7 same").size_formula("w")
        'w: floor((1000 + 3 + 3 - 1*(7 - 1) - 1) / 1) + 1 = 1000'
        """
        axes = spatial_axes(self.rank)
        index = axes.index(one_of("axis", axis, axes)) if isinstance(axis, str) else range(self.rank)[axis]
        low, high = self.padding[index]
        taps = f"{self.dilation[index]}*({self.kernel_size[index]} - 1) - 1"
        numerator = f"{self.in_size[index]} + {low} + {high} - {taps}"
        return f"{axes[index]}: floor(({numerator}) / {self.stride[index]}) + 1 = {self.out_size[index]}"

    def to_text(self) -> str:
        """Return the one line that names this spec in tests, benchmarks, caches and reports; see text.py."""
        return text_form.print_spec(self)

    @classmethod
    def from_text(cls, text: str) -> "ConvSpec":
        """Return the spec that a line describes; see text.py for the words.

        >>> ConvSpec.from_text("conv2d n1 h32 w32 ic3 oc32 kh3 kw3 same relu f32").output_shape
        (1, 32, 32, 32)
        """
        with named("ConvSpec.from_text"):
            return cls(**text_form.parse_spec(text))

    def __repr__(self) -> str:
        return f"ConvSpec.from_text({self.to_text()!r})"

    def __str__(self) -> str:
        return self.to_text()


def _in_size(in_size: object) -> tuple[int, ...]:
    entries = sequence(in_size)
    if entries is None:
        entries = (in_size,)
    if len(entries) not in RANKS:
        rule = "in_size must have one, two or three entries"
        raise ShapeError(f"{rule}; got {plain(entries)}. Leave out batch and channels.")
    return tuple(integer("in_size", entry, minimum=0) for entry in entries)


def _batch(batch: object, layout: str) -> tuple[int, ...]:
    entries = sequence(batch)
    if entries is None:
        entries = (batch,)
    if not entries or (len(entries) > 1 and not layout.endswith("C")):
        rule = f"layout {layout} takes one batch axis" + (" or more" if layout.endswith("C") else "")
        remedy = "Use batch=1." if not entries else "Merge the leading axes into one."
        raise ShapeError(f"{rule}; got batch={plain(entries)}. {remedy}")
    return tuple(integer("batch", entry, minimum=0) for entry in entries)
