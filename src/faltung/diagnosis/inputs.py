"""What a model declares of its input: a declared shape that is wrong itself, and data that differs from it."""

import math
from collections.abc import Iterator

from faltung.diagnosis.axes import readings
from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.options import changed
from faltung.diagnosis.resize import Resize
from faltung.models.layer import Layer, Shape, show_shape
from faltung.models.program import Program, Trace, unbuilt
from faltung.models.rearrange import Rearrange


def declaration(shape: Shape) -> str:
    """Return the line that declares an input of a shape.

    >>> declaration((None, 30, 1))
    'keras.Input(shape=(30, 1))'
    """
    inner = shape[1:]
    return f"keras.Input(shape={show_shape(inner).replace('?', 'None')})"


def naming(program: Program, layer: Layer) -> Layer:
    """Return the layer whose numbers judge a reading: for a declared input the first that has a window."""
    if layer.kind != "input":
        return layer
    return next((each for each in program.layers if each.kind != "input" and each.rank), layer)


def candidates(program: Program, trace: Trace, shape: Shape) -> Iterator[Candidate]:
    """Yield other declarations that the data fits, and data cut or filled to what is declared."""
    layer = trace.refused
    assert layer is not None
    sizes: Shape = layer["sizes"]
    if layer.host == "keras":
        wanted = (None, *shape[1:])
        sentence = f"the model was declared for {show_shape(sizes)}, x is {show_shape(shape)}"
        kind = "input_shape"
        cost = 1.3
        if len(sizes) == len(shape) + 1 and sizes[1:] == shape:
            kind, cost = "batch in input_shape", 0.2
            sentence = f"input_shape {show_shape(shape)} has the batch of {shape[0]} in it; Keras adds that axis itself"
        elif len(sizes) == len(shape):
            named = zip(layer["names"], sizes, shape, strict=True)
            differing = [name for name, size, got in named if None not in (size, got) and size != got]
            cost = 1.0 if differing and all(name not in ("channels", "features") for name in differing) else 1.3
        yield changed(layer, cost, kind, sentence, sizes=wanted)
        window = unbuilt(naming(program, layer))
        roles = window.roles()
        if roles is not None and window is not layer:
            for reading in readings(window, roles, shape):
                new = reading.rearrange.shape(shape)
                one = changed(layer, 0, "", "", sizes=(None, *new[1:]))
                both = f"{reading.sentence}; and the model was declared for {show_shape(sizes)}"
                known = sizes[:1] + tuple(
                    size if size is None else got for size, got in zip(sizes[1:], new[1:], strict=False)
                )
                if known != sizes:
                    has_batch = len(sizes) == len(shape) + 1 and sizes[1:] == shape and () in reading.rearrange.axes
                    told = f"{reading.kind}, batch in input_shape" if has_batch else f"{reading.kind}, input_shape"
                    yield Candidate(
                        reading.cost + (-0.7 if has_batch else 1.6),
                        told,
                        both,
                        reading.rearrange,
                        one.edits,
                        one.changed,
                    )
    if len(sizes) == 2 and len(shape) > 2 and None not in shape[1:] and math.prod(shape[1:]) == sizes[1]:  # type: ignore[arg-type]
        flat = Rearrange(((0,), tuple(range(1, len(shape)))), len(shape))
        sentence = f"the model was declared for {sizes[1]} features, and x {shape} has them in {len(shape) - 1} axes"
        yield Candidate(0.3, "not flattened", sentence, flat)
    if len(sizes) == len(shape):
        wrong = [axis for axis in trace.misfit.axes] if trace.misfit else []
        if len(wrong) == 1:
            axis = wrong[0]
            size, old, name = sizes[axis], shape[axis], layer["names"][axis]
            if size is not None and old is not None and name != "channels":
                sentence = f"the model was declared for {size} {name}, x has {old}"
                yield Candidate(1.1, "length", sentence, Resize(len(shape), axis, old, size))


def resized(program: Program, trace: Trace, shape: Shape) -> Iterator[Candidate]:
    """Yield data with its colours cut or repeated: grey for a layer of three channels, four for one of three."""
    layer = trace.refused
    assert layer is not None
    roles = layer.roles()
    if roles is None or not trace.is_direct or naming(program, layer).rank < 2:
        return
    for variant in (roles, roles[1:] if layer.host == "torch" else ()):
        if len(variant) != len(shape):
            continue
        for axis, (role, size) in enumerate(zip(variant, shape, strict=True)):
            if role.name != "channels" or role.size is None or size is None or size == role.size:
                continue
            if size == 1 and role.size <= 4:
                sentence = f"x has one channel, the layer reads {role.size}: a grey image for a layer of colours"
                yield Candidate(1.35, "in_channels", sentence, Resize(len(shape), axis, 1, role.size, True))
            elif size == 4 and role.size == 3:
                sentence = "x has four channels, the layer reads three: the fourth is transparency"
                yield Candidate(1.0, "in_channels", sentence, Resize(len(shape), axis, 4, 3))


__all__ = ["Rearrange", "candidates", "declaration", "naming", "resized"]
