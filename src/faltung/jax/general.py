"""`jax.lax.conv_general_dilated`, computed by faltung in the cases that are convolutions of its kind."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from faltung.jax import operators
from faltung.jax.open_sizes import is_open
from faltung.spec import ConvOptions, spec_from_call
from faltung.spec.dtype import COMPUTED
from faltung.spec.geometry import output_size, window_size
from faltung.spec.layout import RANKS, kernel_layouts, layouts
from faltung.spec.precision import in_effect

HIGHEST = ("highest", "float32")
"""JAX's words for `lax.Precision.HIGHEST`."""


def conv_general_dilated(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Array:
    """Convolve, as `jax.lax.conv_general_dilated` does and with its arguments; :func:`why` says by whom.

    >>> x, kernel = jnp.ones((8, 100, 16)), jnp.ones((7, 16, 32))
    >>> conv_general_dilated(x, kernel, (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")).shape
    (8, 50, 32)
    """
    lhs, rhs = jnp.asarray(lhs), jnp.asarray(rhs)
    asked = (window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers, feature_group_count)
    more = (batch_group_count, precision, preferred_element_type)
    if refusal(lhs, rhs, *asked, *more, out_sharding) is not None:
        sharding = {} if out_sharding is None else {"out_sharding": out_sharding}  # older versions do not know it
        return lax.conv_general_dilated(lhs, rhs, *asked, *more, **sharding)
    layout, kernel_layout, _ = _layouts(lhs, rhs, dimension_numbers)
    options = ConvOptions(
        stride=tuple(window_strides),
        padding=padding if isinstance(padding, str) else tuple((low, high) for low, high in padding),
        dilation=1 if rhs_dilation is None else tuple(rhs_dilation),
        groups=feature_group_count,
        layout=layout,
        kernel_layout=kernel_layout,
        precision=_precision(precision),
    )
    spec = spec_from_call(
        "conv_general_dilated",
        *(lhs.shape, lhs.dtype.name, rhs.shape, rhs.dtype.name),
        rank=lhs.ndim - 2,
        options=options,
    )
    return operators.conv(spec, lhs, rhs)


def _precision(asked: Any) -> str:
    """Return "exact" where lax's highest precision is asked for, of either operand or by JAX's own default."""
    if asked is None:
        asked = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]  # JAX adds its options by name
    each = asked if isinstance(asked, tuple | list) else (asked,)
    is_highest = any(one == lax.Precision.HIGHEST or one in HIGHEST for one in each)
    return in_effect("exact" if is_highest else None)


def why(lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int], padding: Any, *more: Any, **options: Any) -> str:
    """Say who computes :func:`conv_general_dilated` with these arguments on a processor, and why if not faltung.

    >>> x, kernel = jnp.ones((8, 16, 100)), jnp.ones((32, 16, 7))
    >>> why(x, kernel, (1,), "SAME")
    'faltung.'
    >>> why(x.astype("bfloat16"), kernel.astype("bfloat16"), (1,), "SAME")
    'lax: lhs is bfloat16, and faltung computes in float32 and float64.'
    """
    reason = refusal(jnp.asarray(lhs), jnp.asarray(rhs), window_strides, padding, *more, **options)
    return "faltung." if reason is None else f"lax: {reason}."


def refusal(
    lhs: Array,
    rhs: Array,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> str | None:
    """Return why lax's own convolution computes this; None where faltung does."""
    for name, array in (("lhs", lhs), ("rhs", rhs)):
        if array.dtype.name not in COMPUTED:
            return f"{name} is {array.dtype.name}, and faltung computes in float32 and float64"
    if lhs.dtype != rhs.dtype or preferred_element_type not in (None, lhs.dtype):
        return "more than one element type is asked for"
    if lhs.ndim != rhs.ndim or lhs.ndim - 2 not in RANKS:
        return f"lhs has {lhs.ndim} axes and rhs {rhs.ndim}, and faltung convolves over one, two or three"
    if lhs_dilation is not None and set(lhs_dilation) != {1}:
        return "lhs_dilation is asked for, which in faltung is a transposed convolution"
    if batch_group_count != 1 or out_sharding is not None:
        return "batch_group_count or out_sharding is asked for"
    if is_open(lhs) or is_open(rhs):
        return "some sizes are open"
    if 0 in rhs.shape:
        return "there are no channels or no taps"
    layout, kernel_layout, out_layout = _layouts(lhs, rhs, dimension_numbers)
    if layout is None or kernel_layout is None or out_layout != layout:
        return "dimension_numbers name an order of axes that no kernel of faltung reads"
    if not isinstance(padding, str):
        if any(end < 0 for pair in padding for end in pair):
            return "padding is negative, which cuts the input"
        if _has_no_windows(lhs, rhs, layout, kernel_layout, padding, rhs_dilation):
            return "the kernel is longer than the padded input"
    return None


def _layouts(lhs: Array, rhs: Array, dimension_numbers: Any) -> tuple[str | None, str | None, str | None]:
    """The layouts of lhs, rhs and the result in faltung's words; None for one that it does not have."""
    rank = lhs.ndim - 2
    numbers = lax.conv_dimension_numbers(lhs.shape, rhs.shape, dimension_numbers)
    last, first = layouts(rank)
    spatial = tuple(range(1, rank + 1))
    data = {(0, 1, *(axis + 1 for axis in spatial)): first, (0, rank + 1, *spatial): last}
    io, oi = kernel_layouts(rank)
    kernel = {(0, 1, *(axis + 1 for axis in spatial)): oi, (rank + 1, rank, *range(rank)): io}
    return data.get(tuple(numbers.lhs_spec)), kernel.get(tuple(numbers.rhs_spec)), data.get(tuple(numbers.out_spec))


def _has_no_windows(
    lhs: Array, rhs: Array, layout: str, kernel_layout: str, padding: Any, dilation: Sequence[int] | None
) -> bool:
    sizes = [lhs.shape[axis] for axis, letter in enumerate(layout) if letter not in "NC"]
    taps = [rhs.shape[axis] for axis, letter in enumerate(kernel_layout) if letter not in "IO"]
    axes = zip(sizes, taps, padding, dilation or [1] * len(sizes), strict=False)
    return any(output_size(size, window_size(k, d), 1, tuple(pair)) < 1 for size, k, pair, d in axes)
