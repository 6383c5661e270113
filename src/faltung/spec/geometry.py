"""Where the window goes: padding in all its spellings, and the sizes that follow.

All functions treat one axis or all axes alike; nothing here knows of channels except the one spelling of
padding, TensorFlow's, that has entries for them.
"""

from typing import TYPE_CHECKING

from faltung.errors import ShapeError
from faltung.spec.layout import spatial_axes
from faltung.spec.rules import integer, one_of, plain, sequence, spoken

if TYPE_CHECKING:
    from faltung.spec.conv_spec import ConvSpec

PADDINGS = ("valid", "same", "causal", "same_lower")
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

Shape = tuple[int, ...]
Pair = tuple[int, int]


def window_size(kernel_size: int, dilation: int) -> int:
    """Return how many inputs a window spans, ``dilation*(k - 1) + 1``."""
    return dilation * (kernel_size - 1) + 1


def output_size(in_size: int, window: int, stride: int, pair: Pair) -> int:
    """Return the number of windows, ``floor((in + low + high - window)/stride) + 1``.

    >>> output_size(100, 7, 2, (3, 3))
    50
    """
    return (in_size + sum(pair) - window) // stride + 1


def same_pair(in_size: int, window: int, stride: int, *, odd_at_low: bool = False) -> Pair:
    """Return the padding that gives ``ceil(in/stride)`` outputs.

    The odd one goes to the high end (TensorFlow, Keras) or to the low end (ONNX's SAME_LOWER).

    >>> same_pair(100, 4, 1), same_pair(100, 4, 1, odd_at_low=True)
    ((1, 2), (2, 1))
    """
    outputs = -(-in_size // stride)
    total = max((outputs - 1) * stride + window - in_size, 0)
    less, more = total // 2, total - total // 2
    return (more, less) if odd_at_low else (less, more)


def padded_source(index: int, size: int, mode: str) -> int | None:
    """Return which input lies at an index of the padded axis, 0 the first input; None where zeros do.

    >>> [padded_source(index, 4, "reflect") for index in (-2, 0, 3, 5)], padded_source(-1, 4, "zeros")
    ([2, 0, 3, 1], None)
    """
    if mode == "zeros":
        return index if 0 <= index < size else None
    if mode == "reflect":
        return size - 1 - abs(size - 1 - abs(index))
    return min(max(index, 0), size - 1) if mode == "replicate" else index % size


def resolve_padding(padding: object, in_size: Shape, windows: Shape, stride: Shape, layout: str) -> tuple[Pair, ...]:
    """Return (low, high) for each spatial axis from any spelling of padding.

    Spellings: "valid", "same", "causal", "same_lower" (upper case too); an int for every end; an int or a
    (low, high) pair for each axis; for one axis also a bare (low, high); TensorFlow's list of pairs with
    entries for batch and channels, in the order of ``layout``.

    >>> resolve_padding("same", (100,), (7,), (1,), "NWC")
    ((3, 3),)
    >>> resolve_padding([(0, 0), (1, 2), (3, 4), (0, 0)], (9, 9), (3, 3), (1, 1), "NHWC")
    ((1, 2), (3, 4))
    """
    if isinstance(padding, str):
        return _from_word(one_of("padding", padding, PADDINGS), in_size, windows, stride)
    axes = layout.replace("N", "").replace("C", "").lower()
    entries = sequence(padding)
    if entries is None:
        return (padding_pair("padding", padding),) * len(axes)
    are_pairs = [sequence(entry) is not None for entry in entries]
    if len(entries) == len(layout) and all(are_pairs):
        by_axis = dict(zip(layout.lower(), entries, strict=True))
        for axis, name in (("n", "batch"), ("c", "channel")):
            if padding_pair(f"padding of the {name} axis", by_axis[axis]) != (0, 0):
                rule = f"padding of the {name} axis must be (0, 0) in layout {layout}"
                raise ShapeError(f"{rule}; got {plain(entries)}. Order the pairs as {' '.join(layout)}.")
        entries = tuple(by_axis[axis] for axis in axes)
    elif len(axes) == 1 and len(entries) == 2 and not any(are_pairs):
        entries = (entries,)
    if len(entries) != len(axes):
        rule = f"padding must be {spoken(PADDINGS)}, or one int, or an int or (low, high) for {spoken(axes, 'and')}"
        remedy = f"Give {len(axes)}, for example padding={plain(((1, 1),) * len(axes))}."
        raise ShapeError(f"{rule}; got {plain(entries)}. {remedy}")
    return tuple(padding_pair(f"padding of axis {axis}", entry) for axis, entry in zip(axes, entries, strict=True))


def _from_word(word: str, in_size: Shape, windows: Shape, stride: Shape) -> tuple[Pair, ...]:
    if word == "valid":
        return ((0, 0),) * len(in_size)
    if word == "causal":
        first, *others = ((window - 1, 0) for window in windows)
        if others:
            pairs = (first, *((0, 0) for _ in others))
            got = f"{len(windows)} spatial axes"
            raise ShapeError(f"padding 'causal' is for conv1d; got {got}. With time first use padding={pairs}.")
        return (first,)
    return tuple(
        same_pair(size, window, step, odd_at_low=word == "same_lower")
        for size, window, step in zip(in_size, windows, stride, strict=True)
    )


def padding_pair(what: str, entry: object) -> Pair:
    """Return an int or a pair as a pair of counts, (low, high); ``what`` names it in the message."""
    ends = sequence(entry)
    if ends is None:
        ends = (entry, entry)
    if len(ends) != 2:
        raise ShapeError(f"{what} must be an int or (low, high); got {plain(ends)}. Give two ends.")
    low, high = (integer(what, end) for end in ends)
    if low < 0 or high < 0:
        raise ShapeError(f"{what} must not be negative; got {plain((low, high))}. Slice the input instead.")
    return low, high


def of_padded_input(spec: "ConvSpec") -> "ConvSpec":
    """Return the convolution of the input with its padding written out."""
    padded = (low + size + high for size, (low, high) in zip(spec.in_size, spec.padding, strict=True))
    return spec.replace(in_size=tuple(padded), padding="valid", padding_mode="zeros")


def check_axis(spec: "ConvSpec", index: int) -> None:
    """Refuse padding for which an axis is too short, and a kernel longer than the padded axis."""
    axis, in_size = spatial_axes(spec.rank)[index], spec.in_size[index]
    pair = low, high = spec.padding[index]
    if low or high:
        _check_mode(axis, in_size, pair, spec.padding_mode)

    window, padded = spec.effective_kernel[index], low + in_size + high
    is_empty = in_size == 0 and output_size(in_size, window, spec.stride[index], pair) == 0
    if window > padded and not is_empty:
        raise ShapeError(_too_long(axis, in_size, pair, spec.kernel_size[index], spec.dilation[index]))


def _check_mode(axis: str, in_size: int, pair: Pair, mode: str) -> None:
    """Refuse to take padding from inputs that are not there."""
    if mode == "zeros":
        return
    if in_size == 0:
        raise ShapeError(f"padding_mode {mode!r} needs inputs; got length 0 on axis {axis}. Use 'zeros'.")
    limit = {"reflect": in_size - 1, "circular": in_size}.get(mode)
    if limit is not None and max(pair) > limit:
        rule = f"padding_mode {mode!r} pads axis {axis} of length {in_size} by at most {limit}"
        raise ShapeError(f"{rule}; got padding {pair}. Pad less, or use 'replicate' or 'zeros'.")


def _too_long(axis: str, in_size: int, pair: Pair, kernel_size: int, dilation: int) -> str:
    """Return the message for a kernel longer than the padded axis: both lengths and all that would fix it."""
    low, high = pair
    window, padded = window_size(kernel_size, dilation), low + in_size + high
    kernel_length = f"{window} ({kernel_size} taps, dilation {dilation})" if dilation > 1 else f"{window}"
    input_length = f"{padded} ({low} + {in_size} + {high})" if low or high else f"{padded}"
    fixes = ['padding="same"', f"an input of at least {window - low - high}"]
    if padded > 0:
        fixes.append(f"a kernel of at most {(padded - 1) // dilation + 1}")
    if padded >= kernel_size and dilation > 1:
        fixes.append(f"a dilation of at most {(padded - 1) // (kernel_size - 1)}")
    rule = f"the kernel must not be longer than the padded input on axis {axis}"
    return f"{rule}; got kernel length {kernel_length}, padded input length {input_length}. Use {spoken(fixes)}."
