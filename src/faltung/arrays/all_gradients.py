"""All gradients of a convolution with bias and activation on NumPy arrays."""

from dataclasses import dataclass
from typing import Any

import numpy as np  # noqa: F401  # for the examples
from numpy.typing import ArrayLike, NDArray

from faltung.arrays.calls import Calls, also, arrays_of, copied, copies_of, facts_of, key_of
from faltung.arrays.gradients import check_dy
from faltung.arrays.memory import check_memory
from faltung.operators.convolution import Convolution, compile_spec
from faltung.operators.epilogue_gradient import EpilogueGradient, epilogue_gradient_of
from faltung.operators.gradients import InputGradient, KernelGradient, input_gradient_of, kernel_gradient_of
from faltung.spec import spec_from_call
from faltung.spec.activation import shows_slope
from faltung.spec.options import Activation, ConvOptions, Padding, Sizes
from faltung.spec.precision import in_effect

Array = NDArray[Any]

_calls: "Calls[_PreparedAll]" = Calls()


def conv_gradients(
    x: ArrayLike,
    kernel: ArrayLike,
    dy: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    y: ArrayLike | None = None,
    stride: Sizes = 1,
    padding: Padding = "valid",
    dilation: Sizes = 1,
    groups: int = 1,
    layout: str | None = None,
    kernel_layout: str | None = None,
    padding_mode: str = "zeros",
    activation: Activation = None,
    precision: str | None = None,
) -> tuple[Array, Array, Array | None]:
    """All gradients of ``sum(conv(x, kernel, bias, activation=activation) * dy)``.

    ``dz = dy * activation'(z)`` and ``dbias[o] = sum(dz[n, w, o] for n, w)`` are one pass over dy; then
    ``dx = input_gradient(dz, kernel)`` and ``dkernel = kernel_gradient(x, dz)``. At a kink the derivative is PyTorch's.

    Arguments:
        x: as given to the convolution.
        kernel: as given to the convolution; see conv1d.
        dy: the output's shape and layout; the gradient of the output.
        bias: as given to it; default none.
        y: the convolution's result. For relu, relu6, leaky_relu, elu, selu, sigmoid, tanh, softplus and hard_sigmoid
            the derivative comes from it; with any other activation, or without y, the convolution is computed again.
        stride: as given to the convolution; see conv1d.
        padding: as given to the convolution; see conv1d.
        dilation: as given to the convolution; see conv1d.
        groups: as given to the convolution; see conv1d.
        layout: as given to the convolution; see conv1d.
        kernel_layout: as given to the convolution; see conv1d.
        padding_mode: as given to the convolution; see conv1d.
        activation: as given to the convolution; see conv1d.
        precision: as given to the convolution; see conv1d.

    Returns:
        dx, dkernel and dbias in the shapes and element type of x, kernel and bias; dbias is None without a bias.

    Raises:
        ShapeError, DtypeError: if the arrays do not fit together.

    >>> x, kernel, bias = np.ones((8, 100, 16)), np.ones((3, 16, 32)), np.ones(32)
    >>> gradients = conv_gradients(x, kernel, np.ones((8, 98, 32)), bias, activation="relu")
    >>> [gradient.shape for gradient in gradients]
    [(8, 100, 16), (3, 16, 32), (32,)]
    """
    options = ConvOptions(
        stride, padding, dilation, groups, layout, kernel_layout, padding_mode, activation, in_effect(precision)
    )
    x, kernel, dy, bias, y = arrays_of("conv_gradients", x, kernel, dy, bias, y, optional=2)
    key = key_of("conv_gradients", options, x, kernel, bias, (*also(array=dy), *also(array=y)))
    prepared = _calls.find(key)
    if prepared is None:
        prepared = _calls.keep(key, _prepare(x, kernel, dy, bias, y, options))
    return prepared(x, kernel, dy, bias, y)


@dataclass(frozen=True, slots=True)
class _PreparedAll:
    """All gradients of one convolution for arrays of known shapes, strides and types."""

    forward: Convolution | None  # what the derivative of the activation is taken from, where it is not y
    epilogue: EpilogueGradient | None
    input: InputGradient
    kernel: KernelGradient
    copies: tuple[bool, ...] | None

    def __call__(
        self, x: Array, kernel: Array, dy: Array, bias: Array | None, y: Array | None
    ) -> tuple[Array, Array, Array | None]:
        if self.copies is not None:
            x, kernel, dy, bias, y = copied(self.copies, x, kernel, dy, bias, y)
        dz, dbias = dy, None
        if self.forward is not None:
            z = self.forward.run(x, kernel, bias)
            dz, dbias = self.epilogue.run(dy, z, dz=z)  # type: ignore[union-attr]  # or there would be no forward
        elif self.epilogue is not None:
            dz, dbias = self.epilogue.run(dy, y)
        return self.input.run(dz, kernel), self.kernel.run(x, dz), dbias


def _prepare(
    x: Array, kernel: Array, dy: Array, bias: Array | None, y: Array | None, options: ConvOptions
) -> _PreparedAll:
    """Check the call, plan and compile all that it needs."""
    facts = facts_of(x, kernel, bias)
    spec = check_memory("conv_gradients", spec_from_call("conv_gradients", *facts, options=options))
    check_dy("conv_gradients", spec, dy)
    if y is not None:
        check_dy("conv_gradients", spec, y, "y")
    plain = spec.replace(bias=False, activation=None)
    forward = None
    if spec.activation is not None:
        has_slope = shows_slope(spec.activation, spec.activation_parameter)
        if y is None or not has_slope:
            forward = compile_spec(spec if has_slope else spec.replace(activation=None))
    return _PreparedAll(
        forward,
        epilogue_gradient_of(spec) if spec.bias or spec.activation else None,
        input_gradient_of(plain),
        kernel_gradient_of(plain),
        copies_of(x, kernel, dy, bias, y),
    )
