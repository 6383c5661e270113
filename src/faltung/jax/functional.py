"""faltung's functions on JAX arrays: `faltung.conv1d` … with the same arguments, under jit, grad and vmap."""

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from faltung.arrays.calls import facts_of
from faltung.jax import no_channels, open_sizes, operators
from faltung.spec import spec_from_call
from faltung.spec.options import Activation, ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect


def conv1d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
) -> Array:
    """`faltung.conv1d` on JAX arrays.

    To be used under jit, grad (of any order, forward and backward), vmap and on any device: on processors XLA calls
    faltung's kernel natively, elsewhere it is lax's convolution.

    Arguments:
        x: (N, W, C_in), float32 or float64; channels-last input may have more leading axes.
        kernel: (K, C_in/groups, C_out), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in `faltung.conv1d`.
        padding: as in `faltung.conv1d`.
        dilation: as in `faltung.conv1d`.
        groups: as in `faltung.conv1d`.
        layout: as in `faltung.conv1d`.
        kernel_layout: as in `faltung.conv1d`.
        padding_mode: as in `faltung.conv1d`.
        activation: as in `faltung.conv1d`.
        precision: as in `faltung.conv1d`; XLA drops denormal numbers either way.

    Returns:
        (N, W_out, C_out), the sizes as there.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    >>> conv1d(jnp.ones((8, 100, 16)), jnp.ones((7, 16, 32)), padding="causal", activation="relu").shape
    (8, 100, 32)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return _convolve("conv1d", 1, x, kernel, bias, options)


def conv2d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
) -> Array:
    """`faltung.conv2d` on JAX arrays.

    Under jit, grad and vmap and on any device, as conv1d.

    Arguments:
        x: (N, H, W, C_in), float32 or float64; channels-last input may have more leading axes.
        kernel: (KH, KW, C_in/groups, C_out), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in `faltung.conv2d`.
        padding: as in `faltung.conv2d`.
        dilation: as in `faltung.conv2d`.
        groups: as in `faltung.conv2d`.
        layout: as in `faltung.conv2d`.
        kernel_layout: as in `faltung.conv2d`.
        padding_mode: as in `faltung.conv2d`.
        activation: as in `faltung.conv2d`.
        precision: as in `faltung.conv2d`; XLA drops denormal numbers either way.

    Returns:
        (N, H_out, W_out, C_out), the sizes as there.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    >>> conv2d(jnp.ones((1, 32, 32, 3)), jnp.ones((3, 3, 3, 32)), stride=2, padding="same").shape
    (1, 16, 16, 32)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return _convolve("conv2d", 2, x, kernel, bias, options)


def conv3d(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
) -> Array:
    """`faltung.conv3d` on JAX arrays.

    Under jit, grad and vmap and on any device, as conv1d.

    Arguments:
        x: (N, D, H, W, C_in), float32 or float64; channels-last input may have more leading axes.
        kernel: (KD, KH, KW, C_in/groups, C_out), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in `faltung.conv3d`.
        padding: as in `faltung.conv3d`.
        dilation: as in `faltung.conv3d`.
        groups: as in `faltung.conv3d`.
        layout: as in `faltung.conv3d`.
        kernel_layout: as in `faltung.conv3d`.
        padding_mode: as in `faltung.conv3d`.
        activation: as in `faltung.conv3d`.
        precision: as in `faltung.conv3d`; XLA drops denormal numbers either way.

    Returns:
        (N, D_out, H_out, W_out, C_out), the sizes as there.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    >>> conv3d(jnp.ones((1, 8, 8, 8, 2)), jnp.ones((3, 3, 3, 2, 4))).shape
    (1, 6, 6, 6, 4)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return _convolve("conv3d", 3, x, kernel, bias, options)


def conv(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
) -> Array:
    """`faltung.conv` on JAX arrays.

    Under jit, grad and vmap and on any device, as conv1d.

    Arguments:
        x: (N, [[D,] H,] W, C_in), float32 or float64; channels-last input may have more leading axes.
        kernel: ([[KD,] KH,] KW, C_in/groups, C_out), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in `faltung.conv`.
        padding: as in `faltung.conv`.
        dilation: as in `faltung.conv`.
        groups: as in `faltung.conv`.
        layout: as in `faltung.conv`.
        kernel_layout: as in `faltung.conv`.
        padding_mode: as in `faltung.conv`.
        activation: as in `faltung.conv`.
        precision: as in `faltung.conv`; XLA drops denormal numbers either way.

    Returns:
        (N, [[D_out,] H_out,] W_out, C_out), the sizes as there.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    >>> conv(jnp.ones((1, 32, 32, 3)), jnp.ones((3, 3, 3, 8))).shape
    (1, 30, 30, 8)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    return _convolve("conv", None, x, kernel, bias, options)


def _convolve(
    function: str, rank: int | None, x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None, options: ConvOptions
) -> Array:
    arrays = arrays_of(x, kernel, bias)

    def compute(x: Any, kernel: Any, bias: Any) -> Array:
        if open_sizes.is_open(x):
            return open_sizes.conv(function, rank, x, kernel, bias, options)
        spec = spec_from_call(function, *facts_of(x, kernel, bias), rank=rank, options=options)
        return operators.conv(spec, x, kernel, bias)

    if no_channels.are_missing(arrays[0], arrays[1]):
        return no_channels.convolve(compute, arrays[0], arrays[1], arrays[2], options)
    return compute(*arrays)


def arrays_of(*values: ArrayLike | None) -> tuple[Any, ...]:
    """The values as JAX arrays, None as None."""
    return tuple(value if value is None or isinstance(value, Array) else jnp.asarray(value) for value in values)
