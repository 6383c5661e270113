"""From a problem to the constants that every kernel has."""

from dataclasses import replace
from typing import Any

from faltung.plan.problem import Problem


def constants_of(problem: Problem) -> dict[str, Any]:
    """The fields of Kernel, without the tile."""
    return {
        "kernel_size": problem.kernel_size,
        "stride": problem.stride,
        "dilation": problem.dilation,
        "groups": problem.groups,
        "in_channels": problem.in_channels,
        "out_channels": problem.out_channels,
        "w": replace(problem.w, offset=0),  # a parameter: phases of a stride share one program
        "y_step": problem.y.spatial[-1],
        "padding_mode": problem.padding_mode,
        "has_bias": problem.has_bias,
        "activation": problem.activation,
        "activation_parameter": problem.activation_parameter,
        "dtype": problem.dtype,
    }
