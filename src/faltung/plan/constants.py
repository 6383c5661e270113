"""From a spec to the constants that every kernel has."""

from typing import Any

from faltung.spec import ConvSpec


def constants_of(spec: ConvSpec) -> dict[str, Any]:
    """The fields of Kernel, without the tile."""
    return {
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "dilation": spec.dilation,
        "groups": spec.groups,
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "kernel_is_oiw": spec.kernel_layout.startswith("OI"),
        "padding_mode": spec.padding_mode if any(map(any, spec.padding)) else None,
        "has_bias": spec.bias,
        "activation": spec.activation,
        "activation_parameter": spec.activation_parameter,
        "dtype": spec.dtype,
    }
