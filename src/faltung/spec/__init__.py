"""What is asked: from the arguments of a call, or a line of text, to one canonical ConvSpec."""

from faltung.spec.activation import ACTIVATIONS
from faltung.spec.conv_spec import ConvSpec
from faltung.spec.geometry import PADDING_MODES, PADDINGS
from faltung.spec.options import ConvOptions
from faltung.spec.request import spec_from_call
from faltung.spec.rules import named
from faltung.spec.text import read_cases

__all__ = [
    "ACTIVATIONS",
    "PADDINGS",
    "PADDING_MODES",
    "ConvOptions",
    "ConvSpec",
    "named",
    "read_cases",
    "spec_from_call",
]
