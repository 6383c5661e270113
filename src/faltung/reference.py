"""What a convolution and its gradients mean: one N-D definition in NumPy float64, and how far a result may be from it.

It shares no code with kernels or frameworks. Where padding is zeros they are multiplied like other inputs, so an
infinite kernel entry over padding gives NaN here.
"""

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faltung.spec import ConvSpec

Array = NDArray[np.float64]

# x index of every position of a padded axis; `i` runs from -low to size + high. "zeros" pads by itself.
SOURCES: dict[str, Callable[[NDArray[np.intp], int], NDArray[np.intp]]] = {
    "reflect": lambda i, size: size - 1 - abs(size - 1 - abs(i)),
    "replicate": lambda i, size: np.clip(i, 0, size - 1),
    "circular": lambda i, size: i % size,
}

NEIGHBOURS_EPS = 8
"""What the accuracy rule of precision="high" allows beyond direct summation, which has an eps for each term."""


def conv(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, *, spec: ConvSpec) -> Array:
    """Return the convolution that ``spec`` describes, computed in float64.

    ``y[n, p, o] = activation(bias[o] + sum(padded_x[n, p*stride + k*dilation, i] * kernel[k, i, o] for k, i))``
    with p and k over the spatial axes and i over the channels of o's group.

    >>> spec = ConvSpec.from_text("conv1d n2 w10 ic3 oc4 kw3 sw2 same")
    >>> conv(np.ones((2, 10, 3)), np.ones((3, 3, 4)), spec=spec).shape
    (2, 5, 4)
    """
    with np.errstate(all="ignore"):
        return activate(_pre_activation(x, kernel, bias, spec), spec.activation, spec.activation_parameter)


def bound(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None = None, *, spec: ConvSpec) -> Array:
    """Return how far each element may lie from :func:`conv` when computed in ``spec.dtype``.

    ``L * n*eps * (sum(|x||w|) + |bias|) + 4*eps * max(|result|, |pre-activation|)``: n counts the terms of the sum, the
    bias included; eps is the spacing of 1, twice the unit roundoff, so that the bound holds in any order of summation
    (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1) and for a float64 result against this float64
    reference. With precision "high" the sum of n terms may be off by NEIGHBOURS_EPS more (see _rounding). L is the
    Lipschitz constant of the activation. The last term, absent without activation, is for the activation's own
    rounding. Magnitudes count as at least the smallest normal number, for results that underflow.
    """
    num_terms = math.prod(spec.kernel_size) * (spec.in_channels // spec.groups) + spec.bias
    with np.errstate(all="ignore"):
        magnitude = _magnitude(x, kernel, bias, spec)
        error = _rounding(num_terms, magnitude, spec)
        if spec.activation is None:
            return error
        before = _pre_activation(x, kernel, bias, spec)
        after = activate(before, spec.activation, spec.activation_parameter)
        limits = np.finfo(spec.dtype)
        largest = np.maximum(np.maximum(np.abs(before), np.abs(after)), float(limits.tiny))
        return _lipschitz(spec) * error + 4 * float(limits.eps) * largest


def input_gradient(dy: ArrayLike, kernel: ArrayLike, *, spec: ConvSpec) -> Array:
    """Return the gradient of ``sum(y * dy)`` with respect to x, computed in float64: the adjoint of :func:`conv`.

    ``dpadded_x[n, q, i] = sum(dy[n, p, o] * kernel[k, i, o] for p, k, o if p*stride + k*dilation == q)``, and what
    arrives in the padding goes to the inputs that were read there. dy is the gradient before the activation.

    >>> spec = ConvSpec.from_text("conv1d n2 w10 ic3 oc4 kw3 sw2 same")
    >>> input_gradient(np.ones((2, 5, 4)), np.ones((3, 3, 4)), spec=spec).shape
    (2, 10, 3)
    """
    arriving, taps = _grouped_output(dy, spec), _grouped_kernel(kernel, spec)  # (G, P, O), (*K, G, I, O)
    padded_size = (low + size + high for size, (low, high) in zip(spec.in_size, spec.padding, strict=True))
    dx: Array = np.zeros((spec.groups, spec.num_samples, *padded_size, taps.shape[-2]))
    with np.errstate(all="ignore"):
        for tap, met in _taps(spec):
            dx[:, :, *met] += (arriving @ taps[tap].swapaxes(1, 2)).reshape(dx[:, :, *met].shape)
        return _ungrouped_input(dx, spec)


def kernel_gradient(x: ArrayLike, dy: ArrayLike, *, spec: ConvSpec) -> Array:
    """Return the gradient of ``sum(y * dy)`` with respect to the kernel, in the kernel's layout, computed in float64.

    ``dkernel[k, i, o] = sum(padded_x[n, p*stride + k*dilation, i] * dy[n, p, o] for n, p)``; dy as in
    :func:`input_gradient`.

    >>> spec = ConvSpec.from_text("conv1d n2 w10 ic3 oc4 kw3 sw2 same")
    >>> kernel_gradient(np.ones((2, 10, 3)), np.ones((2, 5, 4)), spec=spec).shape
    (3, 3, 4)
    """
    windows, arriving = _grouped_input(x, spec), _grouped_output(dy, spec)  # (G, N, *padded, I), (G, P, O)
    inputs, outputs = windows.shape[-1], arriving.shape[-1]
    dkernel: Array = np.zeros((*spec.kernel_size, spec.groups, inputs, outputs))
    with np.errstate(all="ignore"):
        for tap, met in _taps(spec):
            dkernel[tap] = windows[:, :, *met].reshape(*arriving.shape[:2], inputs).swapaxes(1, 2) @ arriving
    dkernel = np.moveaxis(dkernel, -3, -2).reshape(*spec.kernel_size, inputs, spec.out_channels)
    if spec.kernel_layout.startswith("O"):
        dkernel = np.moveaxis(dkernel, (-1, -2), (0, 1))
    return dkernel


def output_gradient(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None, dy: ArrayLike, *, spec: ConvSpec) -> Array:
    """Return dz, the gradient before the activation: dy times its derivative at the sums z of :func:`conv`."""
    with np.errstate(all="ignore"):
        z = _pre_activation(x, kernel, bias, spec)
        slope = activation_gradient(z, spec.activation, spec.activation_parameter)
        return np.asarray(dy, np.float64) * slope


def output_gradient_bound(
    x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None, dy: ArrayLike, *, spec: ConvSpec
) -> Array:
    """Return how far each element may lie from :func:`output_gradient`.

    ``|dy| * (C*d + jump + 8*L*eps)``: d is how far z may be off, C the most that the activation is bent, jump the
    difference of its derivatives at z + d and z - d, which shows kinks, L its Lipschitz constant.
    """
    num_terms = math.prod(spec.kernel_size) * (spec.in_channels // spec.groups) + spec.bias
    eps = float(np.finfo(spec.dtype).eps)
    with np.errstate(all="ignore"):
        z = _pre_activation(x, kernel, bias, spec)
        magnitude = _magnitude(x, kernel, bias, spec)
        off = _rounding(num_terms, magnitude, spec) + 4 * eps * np.abs(z)
        above, below = (activation_gradient(z + d, spec.activation, spec.activation_parameter) for d in (off, -off))
        slope_off = _bend(spec) * off + np.abs(above - below) + 8 * _lipschitz(spec) * eps
        return np.abs(dy) * slope_off + float(np.finfo(spec.dtype).tiny)


def bias_gradient(dy: ArrayLike, *, spec: ConvSpec) -> Array:
    """Return the gradient of ``sum(y * dy)`` with respect to the bias, ``(C_out,)``: dy summed over all positions."""
    return _grouped_output(dy, spec).sum(axis=1).reshape(spec.out_channels)  # type: ignore[no-any-return]


def input_gradient_bound(dy: ArrayLike, kernel: ArrayLike, *, spec: ConvSpec) -> Array:
    """Return how far each element may lie from :func:`input_gradient`: ``n*eps * sum(|dy||kernel|)``.

    n counts the terms of each sum: fewer at the edges and between strides, more where padding reads inputs twice.
    """
    num_terms = input_gradient(np.ones(spec.output_shape), np.ones(spec.kernel_shape), spec=spec)
    return _rounding(num_terms, input_gradient(_size(dy, spec), _size(kernel, spec), spec=spec), spec)


def kernel_gradient_bound(x: ArrayLike, dy: ArrayLike, *, spec: ConvSpec) -> Array:
    """Return how far each element may lie from :func:`kernel_gradient`: ``n*eps * sum(|x||dy|)``.

    n counts samples x positions.
    """
    num_terms = spec.num_samples * math.prod(spec.out_size)
    return _rounding(num_terms, kernel_gradient(_size(x, spec), _size(dy, spec), spec=spec), spec)


def bias_gradient_bound(dy: ArrayLike, *, spec: ConvSpec) -> Array:
    """Return how far each element may lie from :func:`bias_gradient`: ``n*eps * sum(|dy|)``, n as for the kernel."""
    return _rounding(spec.num_samples * math.prod(spec.out_size), bias_gradient(_size(dy, spec), spec=spec), spec)


def activate(x: Array, name: str | None, parameter: float | None = None) -> Array:
    """Return the activation of each element of ``x``, in the shape of ``x``."""
    return x if name is None else ACTIVATE[name](x, 0.0 if parameter is None else parameter)


def activation_gradient(z: Array, name: str | None, parameter: float | None = None) -> Array:
    """Return the derivative of the activation at each element of ``z``; at a kink it is PyTorch's choice."""
    with np.errstate(all="ignore"):
        return np.ones_like(z) if name is None else SLOPE[name](z, 0.0 if parameter is None else parameter)


def _pre_activation(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None, spec: ConvSpec) -> Array:
    """Return the sums and the bias, in the layout of the spec."""
    windows, taps = _grouped_input(x, spec), _grouped_kernel(kernel, spec)  # (G, N, *padded, I), (*K, G, I, O)
    num_positions = spec.num_samples * math.prod(spec.out_size)
    total: Array = np.zeros((spec.groups, num_positions, spec.out_channels // spec.groups))
    for tap, met in _taps(spec):
        total += windows[:, :, *met].reshape(spec.groups, num_positions, taps.shape[-2]) @ taps[tap]
    y = total.transpose(1, 0, 2).reshape(*spec.batch, *spec.out_size, spec.out_channels)
    if bias is not None:
        y = y + np.asarray(bias, np.float64)
    return y if spec.is_channels_last else np.moveaxis(y, -1, 1)


def _taps(spec: ConvSpec) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """Yield each tap and the padded inputs that it meets, one for each output position."""
    for tap in itertools.product(*map(range, spec.kernel_size)):
        yield (
            tap,
            tuple(
                slice(index * dilation, index * dilation + size * stride, stride)
                for index, dilation, size, stride in zip(tap, spec.dilation, spec.out_size, spec.stride, strict=True)
            ),
        )


def _grouped_input(x: ArrayLike, spec: ConvSpec) -> Array:
    """Return padded x as (groups, n, *spatial, channels of one group)."""
    x = np.asarray(x, np.float64)
    if x.shape != spec.input_shape:
        raise ValueError(f"reference: x must have the spec's shape, {spec.input_shape}; got {x.shape}.")
    if not spec.is_channels_last:
        x = np.moveaxis(x, 1, -1)
    x = x.reshape(spec.num_samples, *spec.in_size, spec.groups, spec.in_channels // spec.groups)
    for axis, (size, (low, high)) in enumerate(zip(spec.in_size, spec.padding, strict=True), start=1):
        if spec.padding_mode == "zeros":
            x = np.pad(x, [(low, high) if other == axis else (0, 0) for other in range(x.ndim)])
        else:
            x = np.take(x, SOURCES[spec.padding_mode](np.arange(-low, size + high), size), axis)
    return np.moveaxis(x, -2, 0)


def _ungrouped_input(dx: Array, spec: ConvSpec) -> Array:
    """Return the gradient of :func:`_grouped_input`, in the shape of x: the padding added to where it was read."""
    dx = np.moveaxis(dx, 0, -2)  # (n, *padded, groups, channels)
    for axis, (size, (low, high)) in enumerate(zip(spec.in_size, spec.padding, strict=True), start=1):
        inside = dx.take(range(low, low + size), axis)
        if spec.padding_mode != "zeros":
            sources = SOURCES[spec.padding_mode](np.arange(-low, size + high), size)
            inside = np.zeros_like(inside)
            np.add.at(np.moveaxis(inside, axis, 0), sources, np.moveaxis(dx, axis, 0))
        dx = inside
    dx = dx.reshape(*spec.batch, *spec.in_size, spec.in_channels)
    return dx if spec.is_channels_last else np.moveaxis(dx, -1, 1)


def _grouped_output(dy: ArrayLike, spec: ConvSpec) -> Array:
    """Return dy as (groups, samples x positions, outputs of one group)."""
    dy = np.asarray(dy, np.float64)
    if dy.shape != spec.output_shape:
        raise ValueError(f"reference: dy must have the spec's output shape, {spec.output_shape}; got {dy.shape}.")
    if not spec.is_channels_last:
        dy = np.moveaxis(dy, 1, -1)
    num_positions = spec.num_samples * math.prod(spec.out_size)
    return dy.reshape(num_positions, spec.groups, spec.out_channels // spec.groups).swapaxes(0, 1)


def _grouped_kernel(kernel: ArrayLike, spec: ConvSpec) -> Array:
    """Return the kernel as (*kernel_size, groups, inputs, outputs of one group)."""
    kernel = np.asarray(kernel, np.float64)
    if kernel.shape != spec.kernel_shape:
        raise ValueError(f"reference: the kernel must have the spec's shape, {spec.kernel_shape}; got {kernel.shape}.")
    if spec.kernel_layout.startswith("O"):
        kernel = np.moveaxis(kernel, (1, 0), (-2, -1))
    kernel = kernel.reshape(*kernel.shape[:-1], spec.groups, spec.out_channels // spec.groups)
    return np.moveaxis(kernel, -2, -3)


def _magnitude(x: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None, spec: ConvSpec) -> Array:
    """What an output's terms add up to without their signs."""
    return _pre_activation(_size(x, spec), _size(kernel, spec), None if bias is None else _size(bias, spec), spec)


def _size(array: ArrayLike, spec: ConvSpec) -> Array:
    """Magnitudes; with precision "high", where a denormal number counts as zero, eps of them is at least the loss."""
    limits = np.finfo(spec.dtype)
    return np.abs(array) + (0.0 if spec.precision == "exact" else float(limits.tiny) / float(limits.eps))


def _rounding(num_terms: ArrayLike, magnitude: Array, spec: ConvSpec) -> Array:
    """n*eps of each magnitude; with precision "high" also NEIGHBOURS_EPS of the largest, and a denormal for each term.

    Fast algorithms round at the magnitude of the terms that an output's neighbours sum, which at an edge may be more.
    """
    limits = np.finfo(spec.dtype)
    eps, tiny = float(limits.eps), float(limits.tiny)
    rounding = np.asarray(num_terms) * eps * np.maximum(magnitude, tiny)
    if spec.precision == "exact":
        return rounding
    largest = np.max(magnitude, initial=tiny, where=np.isfinite(magnitude))
    return rounding + NEIGHBOURS_EPS * eps * largest + np.asarray(num_terms) * tiny


def _relu6(x: Array) -> Array:
    return np.clip(x, 0.0, 6.0)


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


_erfc = np.vectorize(math.erfc, otypes=[np.float64])
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017, arXiv:1706.02515, p. 4

# Name -> the function of x and the parameter.
ACTIVATE: dict[str, Callable[[Array, float], Array]] = {
    "relu": lambda x, _: np.maximum(x, 0.0),
    "relu6": lambda x, _: _relu6(x),
    "leaky_relu": lambda x, slope: np.where(x > 0, x, slope * x),
    "elu": _elu,
    "selu": lambda x, _: _SELU_SCALE * _elu(x, _SELU_ALPHA),
    "gelu": lambda x, _: 0.5 * x * _erfc(-x / math.sqrt(2.0)),
    "gelu_tanh": lambda x, _: 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x, _: x * _sigmoid(x),
    "sigmoid": lambda x, _: _sigmoid(x),
    "tanh": lambda x, _: np.tanh(x),
    "softplus": lambda x, _: np.logaddexp(0.0, x),
    "hard_sigmoid": lambda x, _: _relu6(x + 3.0) / 6.0,
    "hard_silu": lambda x, _: x * _relu6(x + 3.0) / 6.0,
}

# Where the steepest slope is not at most 1: gelu 1.129, its tanh form 1.129, silu 1.0998, selu scale * alpha.
STEEPEST = {"gelu": 1.13, "gelu_tanh": 1.13, "silu": 1.1, "selu": _SELU_SCALE * _SELU_ALPHA, "hard_silu": 1.5}


def _lipschitz(spec: ConvSpec) -> float:
    """Return the Lipschitz constant of the activation; a parameter is the slope of leaky_relu, of elu at 0."""
    return max(STEEPEST.get(spec.activation or "", 1.0), abs(spec.activation_parameter or 0.0))


def _bell(x: Array) -> Array:
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _elu_slope(x: Array, alpha: float) -> Array:
    return np.where(x > 0, 1.0, alpha * np.exp(np.minimum(x, 0.0)))


def _gelu_tanh_slope(x: Array) -> Array:
    x = np.clip(x, -40.0, 40.0)  # beyond, the slope is 0 or 1 to the last bit
    scale = 2 * math.sqrt(2.0 / math.pi)
    u = scale * (x + 0.044715 * x**3)
    return _sigmoid(u) + x * _sigmoid(u) * _sigmoid(-u) * scale * (1.0 + 3 * 0.044715 * x**2)


# Name -> the derivative at x, with the parameter.
SLOPE: dict[str, Callable[[Array, float], Array]] = {
    "relu": lambda x, _: np.where(x > 0, 1.0, 0.0),
    "relu6": lambda x, _: np.where((x > 0) & (x < 6), 1.0, 0.0),
    "leaky_relu": lambda x, slope: np.where(x > 0, 1.0, slope),
    "elu": _elu_slope,
    "selu": lambda x, _: _SELU_SCALE * _elu_slope(x, _SELU_ALPHA),
    "gelu": lambda x, _: 0.5 * _erfc(-x / math.sqrt(2.0)) + x * _bell(x),
    "gelu_tanh": lambda x, _: _gelu_tanh_slope(x),
    "silu": lambda x, _: _sigmoid(x) + x * _sigmoid(x) * _sigmoid(-x),
    "sigmoid": lambda x, _: _sigmoid(x) * _sigmoid(-x),
    "tanh": lambda x, _: 4 * _sigmoid(2 * x) * _sigmoid(-2 * x),
    "softplus": lambda x, _: _sigmoid(x),
    "hard_sigmoid": lambda x, _: np.where(np.abs(x) < 3, 1.0 / 6.0, 0.0),
    "hard_silu": lambda x, _: np.where(x <= -3, 0.0, np.where(x < 3, x / 3 + 0.5, 1.0)),
}

# The largest second derivative beside kinks, where it is not 0; elu's is its parameter.
BEND = {
    **{"selu": _SELU_SCALE * _SELU_ALPHA, "gelu": 0.8, "gelu_tanh": 0.8, "silu": 0.5, "sigmoid": 0.1, "tanh": 0.8},
    **{"softplus": 0.25, "hard_silu": 1 / 3},
}


def _bend(spec: ConvSpec) -> float:
    """Return the largest second derivative of the activation, kinks aside."""
    return abs(spec.activation_parameter or 0.0) if spec.activation == "elu" else BEND.get(spec.activation or "", 0.0)
