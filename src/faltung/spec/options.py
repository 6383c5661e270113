"""ConvOptions: all that a call is told besides its arrays, built once at the border and handed on whole."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from faltung.spec.conv_spec import ConvSpec

Sizes = int | Sequence[int]
Padding = str | int | Sequence[int | Sequence[int]]
Activation = str | tuple[str, float] | None


class ConvOptions(NamedTuple):
    """The options of a convolution in faltung's words, as the caller spelled them; ConvSpec explains each.

    A named tuple: it is built in every call, is quick to hash, and is the key of what was prepared for such calls.

    >>> ConvOptions(stride=2, padding="same").padding_mode
    'zeros'
    """

    stride: Sizes = 1
    padding: Padding = "valid"
    dilation: Sizes = 1
    groups: int = 1
    layout: str | None = None
    kernel_layout: str | None = None
    padding_mode: str = "zeros"
    activation: Activation = None
    precision: str = "high"

    def geometry(self) -> dict[str, object]:
        """Return what says where windows and axes lie, by name: what the diagnosis of an error starts from."""
        told = self._asdict()
        del told["activation"], told["precision"]
        return told


PLAIN = ConvOptions()
"""Nothing said: every option at its default."""


def options_of(spec: "ConvSpec") -> ConvOptions:
    """Return what a call must be told to ask for this spec; its padding, as pairs, holds for every size."""
    parameter = spec.activation_parameter
    activation = spec.activation if spec.activation is None or parameter is None else (spec.activation, parameter)
    return ConvOptions(
        stride=spec.stride,
        padding=spec.padding,
        dilation=spec.dilation,
        groups=spec.groups,
        layout=spec.layout,
        kernel_layout=spec.kernel_layout,
        padding_mode=spec.padding_mode,
        activation=activation,
        precision=spec.precision,
    )
