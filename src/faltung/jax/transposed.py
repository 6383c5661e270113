"""faltung's transposed convolutions on JAX arrays, with the same arguments, under jit, grad and vmap."""

import jax.numpy as jnp  # noqa: F401  # for the examples
from jax import Array
from jax.typing import ArrayLike

from faltung.arrays.calls import facts_of
from faltung.jax import no_channels, open_sizes, operators
from faltung.jax.functional import arrays_of
from faltung.spec import ConvSpec
from faltung.spec.options import Activation, ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect
from faltung.spec.transposed import adjoint_spec


def conv1d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    output_padding: Sizes | None = None,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    activation: Activation = None,
    precision: str | None = None,
) -> Array:
    """`faltung.conv1d_transpose` on JAX arrays: the adjoint of conv1d.

    Arguments:
        x: (N, W, C_in), float32 or float64.
        kernel: (K, C_out/groups, C_in), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in `faltung.conv1d_transpose`.
        padding: as in `faltung.conv1d_transpose`.
        output_padding: as in `faltung.conv1d_transpose`.
        dilation: as in `faltung.conv1d_transpose`.
        groups: as in `faltung.conv1d_transpose`.
        layout: as in `faltung.conv1d_transpose`.
        kernel_layout: as in `faltung.conv1d_transpose`.
        activation: as in `faltung.conv1d_transpose`.
        precision: as in `faltung.conv1d_transpose`; XLA drops denormal numbers either way.

    Returns:
        (N, W_out, C_out), the sizes as there.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    >>> conv1d_transpose(jnp.ones((8, 50, 32)), jnp.ones((4, 16, 32)), stride=2, padding="same").shape
    (8, 100, 16)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, "zeros", activation, in_effect(precision)
    )
    return _convolve_transposed("conv1d_transpose", 1, x, kernel, bias, options, output_padding)


def conv2d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    output_padding: Sizes | None = None,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    activation: Activation = None,
    precision: str | None = None,
) -> Array:
    """`faltung.conv2d_transpose` on JAX arrays: the adjoint of conv2d.

    Arguments:
        x: (N, H, W, C_in), float32 or float64.
        kernel: (KH, KW, C_out/groups, C_in), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in `faltung.conv2d_transpose`.
        padding: as in `faltung.conv2d_transpose`.
        output_padding: as in `faltung.conv2d_transpose`.
        dilation: as in `faltung.conv2d_transpose`.
        groups: as in `faltung.conv2d_transpose`.
        layout: as in `faltung.conv2d_transpose`.
        kernel_layout: as in `faltung.conv2d_transpose`.
        activation: as in `faltung.conv2d_transpose`.
        precision: as in `faltung.conv2d_transpose`; XLA drops denormal numbers either way.

    Returns:
        (N, H_out, W_out, C_out), the sizes as there.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    >>> conv2d_transpose(jnp.ones((1, 8, 8, 32)), jnp.ones((3, 3, 16, 32)), stride=2).shape
    (1, 17, 17, 16)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, "zeros", activation, in_effect(precision)
    )
    return _convolve_transposed("conv2d_transpose", 2, x, kernel, bias, options, output_padding)


def conv3d_transpose(
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: Sizes = 1,
    padding: Padding = "valid",
    output_padding: Sizes | None = None,
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    activation: Activation = None,
    precision: str | None = None,
) -> Array:
    """`faltung.conv3d_transpose` on JAX arrays: the adjoint of conv3d.

    Arguments:
        x: (N, D, H, W, C_in), float32 or float64.
        kernel: (KD, KH, KW, C_out/groups, C_in), same element type.
        bias: (C_out,), added before the activation; default none.
        stride: as in `faltung.conv3d_transpose`.
        padding: as in `faltung.conv3d_transpose`.
        output_padding: as in `faltung.conv3d_transpose`.
        dilation: as in `faltung.conv3d_transpose`.
        groups: as in `faltung.conv3d_transpose`.
        layout: as in `faltung.conv3d_transpose`.
        kernel_layout: as in `faltung.conv3d_transpose`.
        activation: as in `faltung.conv3d_transpose`.
        precision: as in `faltung.conv3d_transpose`; XLA drops denormal numbers either way.

    Returns:
        (N, D_out, H_out, W_out, C_out), the sizes as there.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    >>> conv3d_transpose(jnp.ones((1, 4, 4, 4, 8)), jnp.ones((3, 3, 3, 2, 8))).shape
    (1, 6, 6, 6, 2)
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, "zeros", activation, in_effect(precision)
    )
    return _convolve_transposed("conv3d_transpose", 3, x, kernel, bias, options, output_padding)


def _convolve_transposed(
    function: str,
    rank: int,
    x: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None,
    options: ConvOptions,
    output_padding: Sizes | None,
) -> Array:
    arrays = arrays_of(x, kernel, bias)

    def compute(x: Array, kernel: Array, bias: Array | None) -> Array:
        _, *facts = facts_of(x, kernel, bias)

        def spec_of(shape: tuple[int, ...]) -> ConvSpec:
            return adjoint_spec(function, shape, *facts, rank=rank, options=options, output_padding=output_padding)

        if open_sizes.is_open(x):
            return open_sizes.conv_transpose(spec_of, x, kernel, bias)
        return operators.conv_transpose(spec_of(x.shape), x, kernel, bias)

    if no_channels.are_missing(arrays[0], arrays[1]):
        return no_channels.convolve(compute, arrays[0], arrays[1], arrays[2], options, is_transposed=True)
    return compute(*arrays)
