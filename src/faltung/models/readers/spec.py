"""ConvSpecs, their texts, and compiled convolutions as programs."""

from typing import Any

from faltung.models.layer import Layer
from faltung.models.program import Chain
from faltung.operators.convolution import Convolution
from faltung.spec import ConvSpec

KINDS = (ConvSpec, Convolution, str)


def as_program(model: Any) -> Chain:
    """Return the convolution that a spec describes."""
    spec = ConvSpec.from_text(model) if isinstance(model, str) else getattr(model, "spec", model)
    return Chain(spec.to_text(), "faltung", (layer_of(spec),), spec.dtype)


def layer_of(spec: ConvSpec) -> Layer:
    """Return the spec as a layer; its batch and length are not part of it."""
    options = {
        "in_channels": spec.in_channels,
        "out_channels": spec.out_channels,
        "kernel_size": spec.kernel_size,
        "stride": spec.stride,
        "dilation": spec.dilation,
        "padding": spec.padding,
        "groups": spec.groups,
        "padding_mode": spec.padding_mode,
    }
    return Layer("", "faltung", spec.name, "conv", spec.rank, not spec.is_channels_last, options, spec)
