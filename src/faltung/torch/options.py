"""The options of a call: as PyTorch's users spell them, as faltung computes with them, as the dispatcher takes them.

All of this front-end hands on one ConvOptions, whose kernel is always PyTorch's, "OIW". As spelled, an int may stand
for all axes and a word for padding, and `layout` is the order of the tensor's axes. As resolved, stride and dilation
have an entry for each axis, padding is (low, high) pairs, and `layout` is the order of the numbers in memory: tensors
themselves are then (N, C, *spatial).
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from faltung.spec import ConvSpec, named
from faltung.spec.geometry import output_size, resolve_padding, window_size
from faltung.spec.layout import RANKS, layouts, resolve_layout, spatial_axes
from faltung.spec.options import ConvOptions, options_of
from faltung.spec.rules import per_axis as checked_per_axis
from faltung.spec.transposed import transposed_size
from faltung.torch.tensors import is_channels_last

Ints = Sequence[int]

FIRST = {rank: layouts(rank)[1] for rank in RANKS}
"""PyTorch's order of axes, for each rank."""
LAST = {rank: layouts(rank)[0] for rank in RANKS}
"""The other one."""

SCHEMA = (
    "SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups, "
    "str padding_mode, bool channels_last, str precision"
)
"""Resolved options in the words of PyTorch's dispatcher; padding is flat, (low, high) of each axis in turn."""
NUM_IN_SCHEMA = 7


def lies_last(options: ConvOptions) -> bool:
    """Do the channels come last?"""
    return options.layout is None or options.layout.endswith("C")


def in_torchs_order(rank: int, x: Tensor, options: ConvOptions) -> Tensor:
    """The tensor as (N, C, *spatial), with whichever layout the options were spelled."""
    if options.layout == FIRST[rank]:
        return x
    if not resolve_layout(options.layout, rank).endswith("C"):
        return x
    return x.movedim(x.dim() - 1, x.dim() - 1 - rank)  # axes from 0: PyTorch's older ONNX exporter writes others as -1


def with_channels_last(rank: int, y: Tensor) -> Tensor:
    """The way back."""
    return y.movedim(y.dim() - 1 - rank, y.dim() - 1)


def per_axis(rank: int, value: Any) -> tuple[Any, ...]:
    """One entry for each spatial axis, as PyTorch reads an int or a list; a list of another length is refused later."""
    if isinstance(value, int) or not hasattr(value, "__len__"):
        return (value,) * rank
    return tuple(value) * rank if len(value) == 1 else tuple(value)


def spread(rank: int, options: ConvOptions, layout: str) -> ConvOptions:
    """Options with an entry for each axis, and this layout; words for padding stay."""
    stride, padding, dilation, groups, _, kernel_layout, padding_mode, activation, precision = options
    if not isinstance(padding, str):
        padding = per_axis(rank, padding)
    spread = (per_axis(rank, stride), padding, per_axis(rank, dilation))
    return ConvOptions(*spread, groups, layout, kernel_layout, padding_mode, activation, precision)


def with_memory_order(rank: int, x: Tensor, kernel: Tensor, options: ConvOptions) -> ConvOptions:
    """Options with an entry for each axis, and with the order in which x, (N, C, *spatial), is to lie in memory."""
    is_last = options.layout != FIRST[rank] and resolve_layout(options.layout, rank) != FIRST[rank]
    return spread(rank, options, LAST[rank] if is_last or is_channels_last(x, kernel) else FIRST[rank])


def resolve(rank: int, x: Tensor, kernel: Tensor, options: ConvOptions) -> ConvOptions:
    """Resolved options of a convolution of x, (N, C, *spatial)."""
    options = with_memory_order(rank, x, kernel, options)
    others: Any = options[2:]
    return ConvOptions(options.stride, padding_pairs(rank, x, kernel.shape[2:], options), *others)


def padding_pairs(rank: int, x: Tensor, kernel_size: Ints, options: ConvOptions) -> Any:
    """(low, high) for each spatial axis, from options with an entry for each axis."""
    sizes = windows = (0,) * rank  # of which only words ask
    steps: Any = options.stride
    with named(f"conv{rank}d"):
        if isinstance(options.padding, str):
            windows = windows_of(kernel_size, options)
            steps = checked_per_axis("stride", steps, spatial_axes(rank), minimum=1)
            sizes = (1,) * rank if set(steps) == {1} else tuple(x.shape[-rank:])  # the same for every size
        return resolve_padding(options.padding, sizes, windows, steps, FIRST[rank])


def of_spec(spec: ConvSpec) -> ConvOptions:
    """Resolved options of a spec without its activation."""
    return options_of(spec)._replace(kernel_layout="OIW", activation=None)


# ---- sizes that follow from resolved options; also where sizes are symbols of a traced program


def windows_of(kernel_size: Ints, options: ConvOptions) -> tuple[int, ...]:
    """The inputs that a window spans on each axis."""
    dilation: Any = options.dilation
    return tuple(map(window_size, kernel_size, dilation))


def output_sizes(sizes: Ints, kernel_size: Ints, options: ConvOptions) -> list[int]:
    """The sizes of the convolution of x of these sizes."""
    stride, padding = _pairs(options)
    return list(map(output_size, sizes, windows_of(kernel_size, options), stride, padding))


def transposed_sizes(sizes: Ints, kernel_size: Ints, options: ConvOptions) -> list[int]:
    """The least sizes of x whose convolution has these sizes."""
    stride, padding = _pairs(options)
    return list(map(transposed_size, sizes, windows_of(kernel_size, options), stride, padding))


def _pairs(options: ConvOptions) -> tuple[Any, Any]:
    return options.stride, options.padding


# ---- the dispatcher's edge: the only place where options are taken apart and put together again


def to_schema(options: ConvOptions) -> tuple[Any, ...]:
    """Resolved options in the order of SCHEMA.

    >>> to_schema(ConvOptions((2,), ((3, 4),), (1,), 8, "NCW", "OIW"))
    ([2], [3, 4], [1], 8, 'zeros', False, 'high')
    """
    stride, padding, dilation, groups, _, _, padding_mode, _, precision = options
    ends = [end for pair in padding for end in pair]  # type: ignore[union-attr]  # resolved: pairs
    return (list(stride), ends, list(dilation), groups, padding_mode, lies_last(options), precision)  # type: ignore[arg-type]


def from_schema(
    stride: Ints, padding: Ints, dilation: Ints, groups: int, padding_mode: str, channels_last: bool, precision: str
) -> ConvOptions:
    """The options that the dispatcher was given.

    >>> from_schema([2], [3, 4], [1], 8, "zeros", False, "high")[:5]
    ((2,), ((3, 4),), (1,), 8, 'NCW')
    """
    pairs = tuple(zip(padding[::2], padding[1::2], strict=True))
    layout = (LAST if channels_last else FIRST)[len(stride)]
    return ConvOptions(tuple(stride), pairs, tuple(dilation), groups, layout, "OIW", padding_mode, None, precision)
