"""The reference's results of a call of any function on arrays."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung import reference
from faltung.arrays.calls import facts_of
from faltung.spec import ConvSpec, spec_from_call
from faltung.spec.layout import join_kernel_shape, resolve_kernel_layout, resolve_layout, split_shape
from faltung.spec.options import ConvOptions
from faltung.spec.separable import depthwise_shape
from faltung.spec.transposed import adjoint_spec

Array = NDArray[Any]

ARRAYS = ("x", "kernel", "dy", "bias", "depthwise_kernel", "pointwise_kernel")


def expected(function: str, given: dict[str, Any]) -> tuple[Array | None, ...]:
    """The results, in the order in which the function gives them."""
    arrays: dict[str, Any] = {name: None if given.get(name) is None else np.asarray(given[name]) for name in ARRAYS}
    x, kernel, dy, bias = (arrays[name] for name in ARRAYS[:4])
    told = {name: value for name, value in given.items() if name in ConvOptions._fields}
    options = ConvOptions(**told | {"precision": "exact"})  # of what is expected, whatever was asked for
    named = re.search(r"conv(\d)d", function)
    rank = int(named[1]) if named else None
    if function.endswith("_transpose"):
        return (_transposed(function, rank, x, kernel, bias, options, given.get("output_padding")),)
    if function.startswith("depthwise"):
        return (_by_channel(function, rank, x, kernel, bias, options),)
    if function.startswith("separable"):
        return (_separable(function, rank, arrays, options),)
    if function == "input_gradient":
        facts = tuple(given["input_shape"]), dy.dtype.name, *facts_of(kernel)
        return (reference.input_gradient(dy, kernel, spec=spec_from_call(function, *facts, options=options)),)
    if function == "kernel_gradient":
        facts = *facts_of(x), _kernel_shape(x, dy, given["kernel_size"], options), dy.dtype.name
        return (reference.kernel_gradient(x, dy, spec=spec_from_call(function, *facts, options=options)),)
    spec = spec_from_call(function, *facts_of(x, kernel, bias), rank=rank, options=options)
    if function == "conv_gradients":
        dz = reference.output_gradient(x, kernel, bias, dy, spec=spec)
        dbias = None if bias is None else reference.bias_gradient(dz, spec=spec)
        return reference.input_gradient(dz, kernel, spec=spec), reference.kernel_gradient(x, dz, spec=spec), dbias
    return (reference.conv(x, kernel, bias, spec=spec),)


def _transposed(
    function: str, rank: Any, x: Any, kernel: Any, bias: Any, options: ConvOptions, output_padding: Any
) -> Array:
    facts = facts_of(x, kernel, bias)
    spec: ConvSpec = adjoint_spec(function, *facts, rank=rank, options=options, output_padding=output_padding)
    longer = [(0, want - have) for want, have in zip(spec.output_shape, x.shape, strict=True)]
    sums = reference.input_gradient(np.pad(x, longer), kernel, spec=spec)
    if bias is not None:
        sums = sums + (bias if spec.is_channels_last else bias.reshape(-1, *[1] * spec.rank))
    return reference.activate(sums, spec.activation, spec.activation_parameter)


def _by_channel(function: str, rank: Any, x: Any, kernel: Any, bias: Any, options: ConvOptions) -> Array:
    shape, groups = depthwise_shape(x.shape, kernel.shape, rank, options.layout, options.kernel_layout)
    kernel, options = kernel.reshape(shape), options._replace(groups=groups)
    spec = spec_from_call(function, *facts_of(x, kernel, bias), rank=rank, options=options)
    return reference.conv(x, kernel, bias, spec=spec)


def _separable(function: str, rank: Any, arrays: dict[str, Any], options: ConvOptions) -> Array:
    first = options._replace(activation=None)
    between = _by_channel(function, rank, arrays["x"], arrays["depthwise_kernel"], None, first)
    last = ConvOptions(
        layout=options.layout, kernel_layout=options.kernel_layout, activation=options.activation, precision="exact"
    )
    point, bias = arrays["pointwise_kernel"].astype(np.float64), arrays["bias"]
    bias = None if bias is None else bias.astype(np.float64)
    spec = spec_from_call(function, *facts_of(between, point, bias), rank=rank, options=last)
    return reference.conv(between, point, bias, spec=spec)


def _kernel_shape(x: Any, dy: Any, kernel_size: Any, options: ConvOptions) -> tuple[int, ...]:
    sizes = (kernel_size,) * (dy.ndim - 2) if isinstance(kernel_size, int) else tuple(kernel_size)
    layout = resolve_layout(options.layout, len(sizes))
    inputs, outputs = (split_shape(layout, array.shape)[1] for array in (x, dy))
    kernel_layout = resolve_kernel_layout(options.kernel_layout, len(sizes))
    return join_kernel_shape(kernel_layout, sizes, inputs // options.groups, outputs)
