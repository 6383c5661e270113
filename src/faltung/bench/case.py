"""What a case asks for: a convolution, or a transposed one, told by the convolution that it is the adjoint of."""

from dataclasses import dataclass

from faltung.errors import UnsupportedConvError
from faltung.spec import ConvSpec, named
from faltung.spec.geometry import window_size
from faltung.spec.text import parse_spec
from faltung.spec.transposed import transposed_size

MARK = "_transpose"


@dataclass(frozen=True, slots=True)
class CaseSpec:
    """A spec, and whether it is computed or its adjoint: from what has the shape of its output to that of its input."""

    spec: ConvSpec
    is_transposed: bool
    text: str

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return self.spec.input_shape if self.is_transposed else self.spec.output_shape


def read_case(text: str) -> CaseSpec:
    """Return what a line asks for; in a transposed one, sizes and ``ic`` are those of its own input.

    The result has as many positions as :func:`transposed_size` says, which is PyTorch's number.

    >>> read_case("conv1d_transpose n1 w224 ic1026 oc1 kw1024 sw256").spec.to_text()
    'conv1d n1 w58112 ic1 oc1026 kw1024 sw256 f32'
    """
    function, _, rest = text.partition(" ")
    if not function.endswith(MARK):
        spec = ConvSpec.from_text(text)
        return CaseSpec(spec, False, spec.to_text())
    with named(function):
        arguments = parse_spec(f"{function.removesuffix(MARK)} {rest}")
        refused = [word for word in ("bias", "activation", "padding_mode") if word in arguments]
        ones = (1,) * len(arguments["in_size"])
        padding = arguments.get("padding", "valid")
        pairs = [(0, 0) for _ in ones] if padding == "valid" else padding
        if refused or isinstance(pairs, str):
            rule = "a transposed case has sizes, stride, dilation, groups, and padding in numbers"
            raise UnsupportedConvError(f"{rule}; got {text!r}. Leave out {refused[0] if refused else padding}.")
        windows = map(window_size, arguments["kernel_size"], arguments.get("dilation", ones))
        sizes = tuple(map(transposed_size, arguments["in_size"], windows, arguments.get("stride", ones), pairs))
        inputs, outputs = arguments["out_channels"], arguments["in_channels"]
        spec = ConvSpec(**(arguments | {"in_size": sizes, "in_channels": inputs, "out_channels": outputs}))
    return CaseSpec(spec, True, text)
