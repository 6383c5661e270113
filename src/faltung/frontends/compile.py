"""`ft.compile`: a spec becomes a Convolution, a whole model becomes a Network.

Frameworks are found among the modules that are loaded, never imported: who has a model has its framework.
"""

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from faltung.errors import ModelError
from faltung.operators.convolution import Convolution, compile_spec
from faltung.spec import ConvSpec
from faltung.spec.precision import in_effect

if TYPE_CHECKING:
    from faltung.graph.network import Network


@overload
def compile(what: ConvSpec) -> Convolution: ...
@overload
def compile(what: Any, example: Any = None, *, freeze: bool = False, precision: str | None = None) -> "Network": ...
def compile(
    what: Any, example: Any = None, *, freeze: bool = False, precision: str | None = None
) -> "Convolution | Network":
    """Compile a convolution, or a whole network into one native call.

    Of a ConvSpec it makes a Convolution, `conv(x, kernel, bias)`. Of a PyTorch module, a Keras model or an ONNX file it
    makes a Network: `net(x)` returns what the model returns in inference, for any batch and, where the model allows it,
    any length. Batch norms are folded, activations and sums happen in the convolutions, kernels are packed once. A
    weight that changes later (an optimiser step, `load_state_dict`, `set_weights`) is noticed in the next call.

    Arguments:
        what: a ConvSpec, a torch.nn.Module in eval mode, a keras.Model, an onnx.ModelProto or the path of an ONNX file.
        example: an input, or its shape, or a tuple of such for several inputs; needed where the model does not tell.
            The sizes of its batch do not matter.
        freeze: never look at the weights again; saves some microseconds a call; default False.
        precision: of a network's convolutions, "high" or "exact" (direct summation in one order: the same bits for
            any length and batch); None is that of the process, see `faltung.precision`. A ConvSpec has its own.

    Raises:
        ModelError: if the model is none that faltung reads, or nothing of it can be compiled.
        ShapeError: if the model does not take such an example.

    >>> compile(ConvSpec.from_text("conv1d n1 w9 ic1 oc2 kw3 f32")).algorithm
    'direct_nhwc'
    """
    if isinstance(what, ConvSpec):
        return compile_spec(what)
    reader = reader_of(what)
    if reader is None:
        got = f"{what!r:.80} of type {type(what).__module__}.{type(what).__qualname__}"
        rule = "compile: give a ConvSpec, a torch.nn.Module, a keras.Model, an ONNX model or its file"
        raise ModelError(f"{rule}; got {got}. Of a text make ConvSpec.from_text(…).")
    host = import_module(f"faltung.frontends.networks.{reader}")
    net: Network = host.network(what, example, is_frozen=freeze, precision=in_effect(precision))
    return net


def reader_of(model: object) -> str | None:
    """Whose model this is: "keras", "torch" or "onnx"; with PyTorch beneath, a Keras model is a torch.nn.Module too."""
    if isinstance(model, str | Path):
        return "onnx" if Path(model).suffix == ".onnx" else None
    for framework, base in (("keras", "Model"), ("torch", "nn.Module"), ("onnx", "ModelProto")):
        kind: object = sys.modules.get(framework)
        for name in base.split("."):
            kind = getattr(kind, name, None)
        if isinstance(kind, type) and isinstance(model, kind):
            return framework
    return None
