"""The kernel of a call: in the place of the data, or lying the other way."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate, changed
from faltung.diagnosis.codes import line
from faltung.diagnosis.evidence import fit, oddness
from faltung.diagnosis.facts import Facts
from faltung.models.geometry import misfit
from faltung.models.layer import Layer, Shape
from faltung.models.readers.calls import layer_of


def candidates(facts: Facts) -> Iterator[Candidate]:
    """Yield the call with its arguments exchanged, with the kernel transposed, or told how the kernel lies."""
    layer = facts.layer
    if layer.kind not in ("conv", "conv_transpose") or not layer["call"]:
        return
    yield from _exchanged(layer, facts.given)
    if len(layer["call"]["kernel_shape"]) == layer.rank + 2:
        yield from _lying_otherwise(layer, facts.given)


@dataclass(frozen=True, slots=True)
class Exchange:
    """The kernel's array in the place of the data."""

    kernel_shape: tuple[int, ...]

    def shape(self, shape: Shape) -> Shape:
        """Return the shape of what is now the data."""
        return self.kernel_shape

    def apply(self, array: object) -> object:
        """Return the array: it is the call that changes."""
        return array

    def code(self, host: str, x: str = "x") -> str:
        """Return no line of its own."""
        return ""


def _again(layer: Layer, layout: str, kernel_layout: str, kernel_shape: tuple[int, ...]) -> Layer:
    """The same call of another kernel, or read in other layouts."""
    return layer_of(layer.host, layer.type_name, layer.rank, layout, kernel_layout, kernel_shape, layer["call"]["said"])


def _exchanged(layer: Layer, shape: Shape) -> Iterator[Candidate]:
    call = layer["call"]
    kernel_shape: tuple[int, ...] = call["kernel_shape"]
    sizes = tuple(size or 0 for size in shape)
    swapped = _again(layer, call["layout"], call["kernel_layout"], sizes)
    if 0 in sizes or not len(shape) == layer.rank + 2 == len(kernel_shape) or misfit(swapped, kernel_shape) is not None:
        return
    said = {**swapped["call"], "is_swapped": True}
    sentence, kind = "input and kernel stand in each other's place in the call", "input and kernel swapped"
    one = changed(layer, costs.ARGUMENTS_EXCHANGED, kind, sentence, **{**swapped.options, "call": said})
    yield replace(one, data=Exchange(kernel_shape), changed=(), code=line(one.changed[0]))


def _lying_otherwise(layer: Layer, shape: Shape) -> Iterator[Candidate]:
    call, rank = layer["call"], layer.rank
    kernel_shape: tuple[int, ...] = call["kernel_shape"]
    is_last = call["kernel_layout"].startswith("O")  # the layer reads OIW: the kernel may be WIO
    places = (rank + 1, rank, *range(rank)) if is_last else (*range(2, rank + 2), 1, 0)
    turned = _again(layer, call["layout"], call["kernel_layout"], tuple(kernel_shape[place] for place in places))
    name = "kernel" if layer.host in ("faltung", "jax", "tensorflow") else "weight"
    method = "permute" if layer.host == "torch" else "transpose"
    said = {**turned["call"], "kernel_code": f"{name}.{method}({', '.join(map(str, places))})"}
    have, want = ("WIO", "OIW") if is_last else ("OIW", "WIO")
    sentence = f"the kernel lies as {have}, and the call reads it as {want}"
    cost = oddness(turned) - oddness(layer)
    options = {**turned.options, "call": said}
    yield changed(layer, costs.OTHER_KERNEL_LAYOUT + cost, "kernel layout", sentence, **options)
    if layer.host == "jax" and len(shape) == rank + 2:
        spatial = call["layout"].strip("NC")
        layout = f"N{spatial}C" if layer.is_first else f"NC{spatial}"
        kernel_layout = f"{spatial}IO" if is_last else f"OI{spatial}"
        both = _again(layer, layout, kernel_layout, kernel_shape)
        sentence = f"x and kernel lie as {layout} and {kernel_layout}, and the call reads them the other way"
        options = {**both.options, "is_first": both.is_first}
        cost = costs.OTHER_LAYOUTS + cost + fit(both, shape)
        yield changed(layer, cost, "layout, kernel layout", sentence, **options)
