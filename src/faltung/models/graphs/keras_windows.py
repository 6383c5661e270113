"""Keras's convolutions, pools and resizings, as layers and operations share them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras

from faltung.models.graphs.covered import NotCovered
from faltung.spec.geometry import resolve_padding, window_size
from faltung.spec.layout import layouts, spatial_axes

if TYPE_CHECKING:
    from faltung.models.graphs.keras_nodes import Name, Reader

Sizes = tuple[int, ...]


def layout_of(rank: int, data_format: str | None) -> str:
    """The order of axes: "NWC", "NCHW" … for one to three spatial axes."""
    data_format = data_format or keras.config.image_data_format()
    return layouts(rank)[0 if data_format == "channels_last" else 1]


def each(value: Any, rank: int) -> Sizes:
    """A number for each axis, as an int or several."""
    return tuple(map(int, value)) if isinstance(value, tuple | list) else (int(value),) * rank


def kernel_layout(rank: int, last: str = "IO") -> str:
    """Keras's order of a kernel's axes, "WIO", "HWIO" … in its letters."""
    return "".join(spatial_axes(rank)).upper() + last


def sizes_of(r: "Reader", x: str, layout: str) -> Sizes:
    """The spatial sizes of a value."""
    shape = r.shape(x)
    if len(shape) != len(layout):
        raise NotCovered(f"an input of {len(shape)} axes")
    return tuple(size for size, letter in zip(shape, layout, strict=True) if letter not in "NC")


def conv(
    r: "Reader",
    x: str,
    kernel: str,
    bias: str | None = None,
    *,
    layout: str,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str = "zeros",
) -> "Name":
    """A convolution whose kernel (*taps, C_in/groups, C_out) tells the groups."""
    rank = len(layout) - 2
    taps, stride, dilation = r.shape(kernel)[:rank], each(stride, rank), each(dilation, rank)
    sizes = sizes_of(r, x, layout)
    windows = tuple(map(window_size, taps, dilation))
    return r.emit(
        "conv",
        r.floats(x),
        kernel,
        *((bias,) if bias else ()),
        layout=layout,
        kernel_layout=kernel_layout(rank),
        stride=stride,
        dilation=dilation,
        groups=r.shape(x)[layout.index("C")] // r.shape(kernel)[-2],
        padding=resolve_padding(padding, sizes, windows, stride, layout),
        padding_mode=padding_mode,
        activation=None,
        has_bias=bias is not None,
        adds=False,
    )


def by_channel(kernel: Any) -> Any:
    """A kernel (*taps, C, multiplier) as that of C groups, (*taps, 1, C * multiplier)."""
    return kernel.reshape(*kernel.shape[:-2], 1, -1)


def conv_transpose(
    r: "Reader",
    x: str,
    kernel: str,
    bias: str | None,
    *,
    layout: str,
    stride: Any,
    dilation: Any,
    padding: Any,
    more: Any,
) -> "Name":
    """A transposed convolution; `more` is Keras's output_padding, None or numbers."""
    rank = len(layout) - 2
    taps, stride, dilation = r.shape(kernel)[:rank], each(stride, rank), each(dilation, rank)
    windows = tuple(map(window_size, taps, dilation))
    extra = (None,) * rank if more is None else each(more, rank)
    ends = [_cropped(*numbers) for numbers in zip(_by_axis(padding, rank), windows, stride, extra, strict=True)]
    return r.emit(
        "conv_transpose",
        r.floats(x),
        kernel,
        *((bias,) if bias else ()),
        layout=layout,
        kernel_layout=kernel_layout(rank, "OI"),
        stride=stride,
        dilation=dilation,
        groups=1,
        padding=tuple((low, max(high, 0)) for low, high in ends),
        output_padding=tuple(max(-high, 0) for _, high in ends),
        activation=None,
        has_bias=bias is not None,
    )


def _by_axis(padding: Any, rank: int) -> Sequence[Any]:
    return (padding,) * rank if isinstance(padding, str) else padding


def _cropped(padding: Any, window: int, stride: int, more: int | None) -> tuple[int, int]:
    """What is cut off the full result of (in - 1)*stride + window at both ends; negative: added.

    Keras's sizes: "valid" (in - 1)*stride + max(window, stride), "same" in*stride, and with output_padding
    (in - 1)*stride + window + more, or with "same" window % 2 in the window's place. "causal" and pairs are faltung's.
    """
    if padding == "valid":
        return 0, -(max(stride - window, 0) if more is None else more)
    if padding == "causal":
        return 0, window - stride
    if padding != "same":
        low, high = padding
        return low, high - (more or 0)
    total = window - stride if more is None else window - window % 2 - more
    low = max(total // 2, 0)
    return low, total - low


def pool(kind: str) -> Callable[..., "Name"]:
    """What reads a pool: padding counts in no average, and is never the greatest.

    On PyTorch, Keras makes padding of unequal ends by repeating what lies there, and averages over that.
    """

    def read(r: "Reader", op: Any, x: str) -> "Name":
        rank = len(r.shape(x)) - 2
        layout, size = layout_of(rank, op.data_format), each(op.pool_size, rank)
        stride = size if op.strides is None else each(op.strides, rank)
        padding = resolve_padding(op.padding, sizes_of(r, x, layout), size, stride, layout)
        x = r.floats(x)
        if kind == "average" and keras.backend.backend() == "torch" and any(low != high for low, high in padding):
            by_letter = dict(zip(layout.replace("N", "").replace("C", ""), padding, strict=True))
            pairs = tuple(by_letter.get(letter, (0, 0)) for letter in layout)
            x, padding = r.emit("pad", x, padding=pairs, mode="replicate", value=0.0), ((0, 0),) * rank
        return r.emit(
            "pool",
            x,
            kind=kind,
            layout=layout,
            kernel_size=size,
            stride=stride,
            dilation=(1,) * rank,
            padding=padding,
            ceil_mode=False,
            counts_padding=False,
        )

    return read


def adaptive_pool(kind: str) -> Callable[..., "Name"]:
    """What reads an adaptive pool."""

    def read(r: "Reader", op: Any, x: str) -> "Name":
        rank = len(r.shape(x)) - 2
        sizes = each(op.output_size, rank)
        return r.emit("adaptive_pool", r.floats(x), kind=kind, layout=layout_of(rank, op.data_format), out_size=sizes)

    return read


def upsampled(r: "Reader", x: str, layout: str, factors: Sizes) -> "Name":
    """Every position repeated along the spatial axes."""
    sizes = tuple(size * factor for size, factor in zip(sizes_of(r, x, layout), factors, strict=True))
    scale = tuple(map(float, factors))
    return r.emit(
        "resize", r.floats(x), layout=layout, out_size=sizes, scale=scale, mode="nearest", coordinates="asymmetric"
    )


def resized(r: "Reader", x: str, layout: str, sizes: Sizes, interpolation: str) -> "Name":
    """Linear resizing at half pixels, and repetition; in the rest Keras's backends differ."""
    before = sizes_of(r, x, layout)
    if interpolation == "bilinear":
        options = {"scale": None, "mode": "linear", "coordinates": "half_pixel"}
        return r.emit("resize", r.floats(x), layout=layout, out_size=sizes, **options)
    if interpolation == "nearest" and not any(out % size for out, size in zip(sizes, before, strict=True)):
        return upsampled(r, x, layout, tuple(out // size for out, size in zip(sizes, before, strict=True)))
    raise NotCovered(f"interpolation {interpolation!r}, which Keras's backends compute differently")


def _resize(r: "Reader", op: Any, x: str) -> "Name":
    if op.crop_to_aspect_ratio or op.pad_to_aspect_ratio or op.antialias or len(r.shape(x)) != 4:
        raise NotCovered("it smooths, or keeps the aspect ratio")
    return resized(r, x, layout_of(2, op.data_format), tuple(map(int, op.size)), op.interpolation)


def _conv(r: "Reader", op: Any, x: Any, kernel: Any) -> "Name":
    layout = layout_of(len(kernel.shape) - 2, op.data_format)
    options = {"layout": layout, "stride": op.strides, "dilation": op.dilation_rate, "padding": op.padding}
    return conv(r, x, r.constant(kernel), **options)


def _depthwise(r: "Reader", op: Any, x: Any, kernel: Any) -> "Name":
    layout = layout_of(len(kernel.shape) - 2, op.data_format)
    options = {"layout": layout, "stride": op.strides, "dilation": op.dilation_rate, "padding": op.padding}
    return conv(r, x, r.constant(kernel, by_channel, ".by_channel"), **options)


WINDOWS: dict[str, Callable[..., Any]] = {
    **{"Conv": _conv, "DepthwiseConv": _depthwise, "MaxPool": pool("max"), "AveragePool": pool("average")},
    "Resize": _resize,
}
"""Operations of windows."""
