"""ft.show: from a layer, a spec or a model, and data, to its page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faltung.errors import ShapeError
from faltung.models.data import Data, as_data
from faltung.models.declared import declared
from faltung.models.layer import Layer
from faltung.models.program import Chain, ShapeProgram
from faltung.models.readers.calls import of_call
from faltung.models.reading import as_model, as_program
from faltung.pages.drawing import LayerDrawing
from faltung.pages.network import page_of_model
from faltung.pages.operations import operations_of
from faltung.pages.page import Page
from faltung.pages.payload import of_operations
from faltung.pages.sample import made_up_kernel, numbers, usual_shape
from faltung.spec.text import parse_spec


def show(
    layer: Any,
    data: Any = None,
    path: str | Path | None = "page.html",
    *,
    sample: int = 0,
    names: Sequence[str] = (),
    kernel: Any = None,
    bias: Any = None,
) -> Page:
    """Write a page on which the kernel slides over the data, or a model's receptive field is traced back.

    The page is one file that needs no network. It steps, plays, and writes out the arithmetic of each output; stride,
    padding, dilation and kernel size change in it. Numbers are computed in the page and compared with ft.conv's.

    Arguments:
        layer: what ft.diagnose reads: a Keras or PyTorch layer or model, a compiled network, a ConvSpec or its text
            ("conv1d_transpose …" too), functools.partial of a convolution with its kernel.
        data: an array, a shape, its text, or a file; of a shape the numbers are made up. Default: what the layer takes.
        path: where the page is written; None writes nothing.
        sample: which of the batch.
        names: of the spatial axes, such as ("time",); default: the framework's.
        kernel: the numbers of a spec's kernel, in its own order; default: made up.
        bias: those of its bias, ``(C_out,)``.

    Returns:
        The page: it displays itself in a notebook, and has save, save_png, save_svg and save_gif.

    Raises:
        ShapeError, ModelError: if there is nothing that could be shown. A layer that refuses the data gets a page with
            the diagnosis.

    >>> show("conv1d n1 w12 ic1 oc1 kw3 same", path=None)
    Page('conv1d: (1, 12, 1) → (1, 12, 1)')
    """
    layer = as_model(layer)
    program = _transposed(layer) if _is_transposed(layer) else as_program(layer)
    found = _data(program, data)
    page = _of_layer(program, found, sample, names, (kernel, bias)) or page_of_model(layer, program, found, sample)
    if path is not None:
        page.save(path)
    return page


def _of_layer(program: ShapeProgram, data: Data, sample: int, names: Sequence[str], given: Any) -> Page | None:
    """The page of a single convolution that takes the data; None for everything else."""
    layers = [layer for layer in program.layers if layer.kind != "input"]
    if len(layers) != 1 or layers[0].kind not in ("conv", "conv_transpose"):
        return None
    trace = program.run(data.shape, {})
    if trace.refused is not None or not all(data.shape) or data.trouble:
        return None
    step = next(step for step in trace.steps if step.layer.kind != "input")
    layer, x = step.layer, numbers(data)
    if layer.host == "keras" and not layer.source.built:
        layer.source.build(x.shape)
    operations = operations_of(layer, x, step.output_shape, sample=sample, names=names, given=given)
    out = tuple(1 if size is None else size for size in step.output_shape)
    title = f"{layer.type_name}: {x.shape} → {out}"
    return Page(title, of_operations(operations), LayerDrawing(title, operations))


def _data(program: ShapeProgram, data: Any) -> Data:
    """The data, or the shape that the layer declares or usually takes."""
    if data is not None:
        return as_data(data)
    try:
        return declared(program)
    except ShapeError:
        layer = next((layer for layer in program.layers if layer.kind != "input"), None)
        if layer is None or layer.kind not in ("conv", "conv_transpose") or layer["in_channels"] is None:
            raise
        return Data(usual_shape(layer))


def _is_transposed(layer: Any) -> bool:
    return isinstance(layer, str) and layer.split(" ")[0].endswith("_transpose")


def _transposed(text: str) -> Chain:
    """The text of a transposed convolution, in the words of the forward one: w is the length of its own input."""
    name, _, rest = text.partition(" ")
    said = parse_spec(f"{name.removesuffix('_transpose')} {rest}")
    rank = int(name[4])
    weight = made_up_kernel((said["in_channels"], said["out_channels"] // said.get("groups", 1), *said["kernel_size"]))
    named = ("stride", "dilation", "padding", "groups", "activation")
    words: dict[str, Any] = {word: said[word] for word in named if word in said}
    return _chain(name, rank, weight, words, said)


def _chain(name: str, rank: int, weight: Any, words: dict[str, Any], said: dict[str, Any]) -> Chain:
    layout = said.get("layout") or f"N{'DHW'[-rank:]}C"
    words |= {"kernel": weight, "kernel_layout": "OIW", "layout": layout}
    chain = of_call("faltung", name, weight.shape, words, said.get("dtype", "float32"))
    layer: Layer = chain.layers[0]
    batch, sizes = said.get("batch", (1,)), said["in_size"]
    channels = said["in_channels"]
    shape = (*batch, channels, *sizes) if layer.is_first else (*batch, *sizes, channels)
    declared = {"sizes": shape, "names": tuple(role.name for role in layer.roles() or ())}
    return Chain(name, "faltung", (Layer("input", "faltung", "input", "input", options=declared), layer), chain.dtype)
