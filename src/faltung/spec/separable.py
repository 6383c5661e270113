"""The kernels of depthwise and separable convolutions, as the grouped and pointwise kernels that they are."""

from faltung.errors import ShapeError
from faltung.spec.layout import Shape, layouts, resolve_kernel_layout, resolve_layout, spatial_axes, split_shape
from faltung.spec.request import check_x_rank
from faltung.spec.rules import plain


def depthwise_shape(
    x_shape: Shape, kernel_shape: Shape, rank: int, layout: object, kernel_layout: object
) -> tuple[Shape, int]:
    """Return the shape of a depthwise kernel as one of a grouped convolution, and its groups: the channels of x.

    >>> depthwise_shape((8, 100, 16), (5, 16, 2), 1, None, None)
    ((5, 1, 32), 16)
    """
    layout, is_first = resolve_layout(layout, rank), resolve_kernel_layout(kernel_layout, rank).startswith("O")
    taps = ", ".join(f"k{axis}" for axis in spatial_axes(rank))
    wanted = f"(channels*multiplier, 1, {taps})" if is_first else f"({taps}, channels, multiplier)"
    if len(kernel_shape) != rank + 2 or 0 in kernel_shape or (is_first and kernel_shape[1] != 1):
        remedy = f"Reshape it to {wanted}."
        if len(kernel_shape) == rank + 1:
            remedy = f"With one output for each channel use kernel[{':, None' if is_first else '..., None'}]."
        raise ShapeError(f"the depthwise kernel must have the axes {wanted}; got {plain(kernel_shape)}. {remedy}")
    held = kernel_shape[0] if is_first else kernel_shape[-2]
    check_x_rank(x_shape, layout, held)
    channels = split_shape(layout, x_shape)[1]
    if not channels or (held % channels if is_first else held != channels):
        axis = len(x_shape) - 1 if layout.endswith("C") else 1
        got = (
            f"{channels} on axis {axis} of x {plain(x_shape)}, {layout}, but {held} in the kernel {plain(kernel_shape)}"
        )
        other = layouts(rank)[layout.endswith("C")]
        is_turned = len(x_shape) == len(other) and split_shape(other, x_shape)[1] == held
        shape = (channels, 1, *kernel_shape[2:]) if is_first else (*kernel_shape[:-2], channels, kernel_shape[-1])
        remedy = f"layout={other!r}" if is_turned else f"a kernel of shape {plain(shape)}"
        raise ShapeError(f"x and the depthwise kernel must agree on channels; got {got}. Use {remedy}.")
    return (kernel_shape if is_first else (*kernel_shape[:-2], 1, channels * kernel_shape[-1])), channels


def check_pointwise(kernel_shape: Shape, rank: int, kernel_layout: object, channels: int) -> None:
    """Refuse a pointwise kernel that does not have one tap, and one input for each output of the depthwise kernel."""
    is_first = resolve_kernel_layout(kernel_layout, rank).startswith("O")
    ones, taps = (1,) * rank, ", ".join("1" * rank)
    is_right = kernel_shape[1:] == (channels, *ones) if is_first else kernel_shape[:-1] == (*ones, channels)
    if is_right and 0 not in kernel_shape:
        return
    wanted = f"(out_channels, {channels}, {taps})" if is_first else f"({taps}, {channels}, out_channels)"
    remedy = f"Give it an input for each of the {channels} outputs of the depthwise kernel."
    if len(kernel_shape) == 2 and kernel_shape[1 if is_first else 0] == channels:
        axes = ", ".join(["None"] * rank)
        remedy = f"Add the taps: pointwise_kernel[{f'..., {axes}' if is_first else axes}]."
    raise ShapeError(f"the pointwise kernel must have the axes {wanted}; got {plain(kernel_shape)}. {remedy}")
