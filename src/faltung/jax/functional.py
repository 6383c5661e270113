"""faltung's functions on JAX arrays: `faltung.conv1d` … with the same arguments, under jit, grad and vmap."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from faltung.jax import operators
from faltung.spec import spec_from_call
from faltung.spec.options import Padding, Sizes
from faltung.spec.transposed import adjoint_spec

CONVOLVE = """{name} of faltung on JAX arrays, with the same arguments; see `faltung.{name}`.

    To be used under jit, grad (of any order, forward and backward), vmap and on any device: on processors XLA calls
    faltung's kernel natively, elsewhere it is lax's convolution.

    Arguments:
        x: {x_shape}, float32 or float64; channels-last input may have more leading axes.
        kernel: {kernel_shape}, same element type.
        bias: (C_out,), added before the activation; default none.
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, precision: as there.

    Returns:
        {y_shape}.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    {example}
    """

TRANSPOSED = """{name} of faltung on JAX arrays, with the same arguments; see `faltung.{name}`.

    Arguments:
        x: {x_shape}, float32 or float64.
        kernel: {kernel_shape}, same element type.
        bias: (C_out,), added before the activation; default none.
        stride, padding, output_padding, dilation, groups, layout, kernel_layout, activation: as there.

    Returns:
        {y_shape}.

    Raises:
        ShapeError, DtypeError: while the function is traced, if sizes or options do not fit together.

    {example}
    """


def _convolution(rank: int | None, **words: str) -> Callable[..., Array]:
    name = f"conv{rank}d" if rank else "conv"

    def convolve(
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
        activation: str | tuple[str, float] | None = None,
        precision: str = "high",
    ) -> Array:
        arrays = _arrays(x, kernel, bias)
        spec = spec_from_call(
            name,
            *_described(arrays),
            rank=rank,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            layout=layout,
            kernel_layout=kernel_layout,
            padding_mode=padding_mode,
            activation=activation,
            precision=precision,
        )
        return operators.conv(spec, *arrays)

    convolve.__name__ = convolve.__qualname__ = name
    convolve.__doc__ = CONVOLVE.format(name=name, **words)
    return convolve


def _transposed(rank: int, **words: str) -> Callable[..., Array]:
    name = f"conv{rank}d_transpose"

    def convolve(
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
        activation: str | tuple[str, float] | None = None,
    ) -> Array:
        arrays = _arrays(x, kernel, bias)
        spec = adjoint_spec(
            name,
            *_described(arrays),
            rank=rank,
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            dilation=dilation,
            groups=groups,
            layout=layout,
            kernel_layout=kernel_layout,
            activation=activation,
        )
        return operators.conv_transpose(spec, *arrays)

    convolve.__name__ = convolve.__qualname__ = name
    convolve.__doc__ = TRANSPOSED.format(name=name, **words)
    return convolve


def _arrays(*values: ArrayLike | None) -> tuple[Any, ...]:
    return tuple(value if value is None or isinstance(value, Array) else jnp.asarray(value) for value in values)


def _described(arrays: tuple[Any, ...]) -> list[Any]:
    """Shape and element type of each array, None and None for none."""
    known = [(None, None) if array is None else (array.shape, array.dtype.name) for array in arrays]
    return [fact for facts in known for fact in facts]


conv1d = _convolution(
    1,
    x_shape="(N, W, C_in)",
    kernel_shape="(K, C_in/groups, C_out)",
    y_shape="(N, W_out, C_out)",
    example=""">>> conv1d(jnp.ones((8, 100, 16)), jnp.ones((7, 16, 32)), padding="causal", activation="relu").shape
    (8, 100, 32)""",
)
conv2d = _convolution(
    2,
    x_shape="(N, H, W, C_in)",
    kernel_shape="(KH, KW, C_in/groups, C_out)",
    y_shape="(N, H_out, W_out, C_out)",
    example=""">>> conv2d(jnp.ones((1, 32, 32, 3)), jnp.ones((3, 3, 3, 32)), stride=2, padding="same").shape
    (1, 16, 16, 32)""",
)
conv3d = _convolution(
    3,
    x_shape="(N, D, H, W, C_in)",
    kernel_shape="(KD, KH, KW, C_in/groups, C_out)",
    y_shape="(N, D_out, H_out, W_out, C_out)",
    example=""">>> conv3d(jnp.ones((1, 8, 8, 8, 2)), jnp.ones((3, 3, 3, 2, 4))).shape
    (1, 6, 6, 6, 4)""",
)
conv = _convolution(
    None,
    x_shape="(N, [[D,] H,] W, C_in)",
    kernel_shape="([[KD,] KH,] KW, C_in/groups, C_out)",
    y_shape="(N, [[D_out,] H_out,] W_out, C_out)",
    example=""">>> conv(jnp.ones((1, 32, 32, 3)), jnp.ones((3, 3, 3, 8))).shape
    (1, 30, 30, 8)""",
)
conv1d_transpose = _transposed(
    1,
    x_shape="(N, W, C_in)",
    kernel_shape="(K, C_out/groups, C_in)",
    y_shape="(N, W_out, C_out)",
    example=""">>> conv1d_transpose(jnp.ones((8, 50, 32)), jnp.ones((4, 16, 32)), stride=2, padding="same").shape
    (8, 100, 16)""",
)
conv2d_transpose = _transposed(
    2,
    x_shape="(N, H, W, C_in)",
    kernel_shape="(KH, KW, C_out/groups, C_in)",
    y_shape="(N, H_out, W_out, C_out)",
    example=""">>> conv2d_transpose(jnp.ones((1, 8, 8, 32)), jnp.ones((3, 3, 16, 32)), stride=2).shape
    (1, 17, 17, 16)""",
)
conv3d_transpose = _transposed(
    3,
    x_shape="(N, D, H, W, C_in)",
    kernel_shape="(KD, KH, KW, C_out/groups, C_in)",
    y_shape="(N, D_out, H_out, W_out, C_out)",
    example=""">>> conv3d_transpose(jnp.ones((1, 4, 4, 4, 8)), jnp.ones((3, 3, 3, 2, 8))).shape
    (1, 6, 6, 6, 2)""",
)
