"""Keras layers and models, built or not, as chains: run by our geometry and Keras's own compute_output_shape."""

import sys
from typing import Any

from faltung.models.layer import SPATIAL, Layer, Shape, short, with_names
from faltung.models.program import Chain

SAME = (
    *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "Dropout", "GaussianNoise", "GaussianDropout"),
    *(
        "SpatialDropout1D",
        "SpatialDropout2D",
        "SpatialDropout3D",
        "ActivityRegularization",
        "Rescaling",
        "Identity",
        "Masking",
    ),
)


def reads(model: Any) -> bool:
    """Whether it is a Keras layer or model."""
    kind = getattr(sys.modules["keras"], "Layer", None)
    return kind is not None and (isinstance(model, kind) or type(model).__name__ == "KerasTensor")


def as_program(model: Any) -> Chain:
    """Return a layer, a model or a list of layers as a chain."""
    keras = sys.modules["keras"]
    if isinstance(model, list | tuple):
        return Chain("the layers", "keras", tuple(_chain([_unwrapped(layer) for layer in model])))
    if isinstance(model, keras.Sequential):
        return Chain(model.name, "keras", tuple(_chain(model._layers)))
    if isinstance(model, keras.Model) and hasattr(model, "operations"):
        return _graph(model)
    if isinstance(model, keras.Model):
        layer = Layer(
            "", "keras", type(model).__name__, "other", options={"run": model.compute_output_shape}, source=model
        )
        return Chain(model.name, "keras", (layer,))
    return Chain(type(model).__name__, "keras", tuple(_chain([model])))


def _unwrapped(layer: Any) -> Any:
    """The InputLayer behind what keras.Input returns."""
    history = getattr(layer, "_keras_history", None)
    return history.operation if history else layer


def _chain(layers: list[Any]) -> list[Layer]:
    """The layers, an Input first where a layer was told its input_shape."""
    is_alone = len(layers) == 1
    described = [describe(layer, "" if is_alone else layer.name) for layer in layers]
    told = getattr(layers[0], "_input_shape_arg", None) if layers else None
    if told is not None and described[0].kind != "input":
        described.insert(0, _input("input_shape", (None, *told)))
    return with_names(described)


def _input(path: str, sizes: Shape) -> Layer:
    return Layer(path, "keras", "Input", "input", options={"sizes": tuple(sizes), "names": ()})


def _graph(model: Any) -> Chain:
    """A functional model: its operations in the order they run, with what feeds what."""
    layers: list[Layer] = []
    wires: list[tuple[int, ...]] = []
    made: dict[int, int] = {}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            layer = describe(node.operation, node.operation.name)
            sources = tuple(made[id(tensor)] for tensor in node.arguments.keras_tensors)
            if len(sources) > 1:
                layer = Layer(layer.path, "keras", layer.type_name, "merge", options={"run": _merged(node.operation)})
            made |= {id(tensor): len(layers) for tensor in node.outputs}
            layers.append(layer)
            wires.append(sources or (-1,))
    return Chain(model.name, "keras", tuple(with_names(layers)), wires=tuple(wires))


def _merged(operation: Any) -> Any:
    return lambda shapes: operation.compute_output_shape(list(shapes))


def describe(source: Any, path: str) -> Layer:
    """Return a Keras layer as a Layer."""
    keras = sys.modules["keras"]
    known = keras.layers
    names = [kind.__name__ for kind in type(source).__mro__]
    name = names[0]
    plain = [each.removesuffix("Transpose") for each in names]
    base = next((each for each in plain if each[-2:] in ("1D", "2D", "3D")), name)
    rank = int(base[-2]) if base[-1:] == "D" and base[-2:-1].isdigit() else 0
    is_first = getattr(source, "data_format", None) == "channels_first"
    axes = getattr(getattr(source, "input_spec", None), "axes", None) or {}
    channels = next(iter(axes.values()), None)

    def layer(kind: str, **options: Any) -> Layer:
        return Layer(path, "keras", name, kind, rank, is_first, options, source)

    def each(value: Any) -> tuple[int, ...]:
        return tuple(value) if isinstance(value, tuple | list) else (value,) * rank

    if isinstance(source, known.InputLayer):
        return _input(path, source.batch_shape)
    if (
        "BaseConv" in names
        or "BaseSeparableConv" in names
        or "BaseDepthwiseConv" in names
        or "BaseConvTranspose" in names
    ):
        options = {
            "in_channels": channels,
            "out_channels": getattr(source, "filters", None),
            "kernel_size": each(source.kernel_size),
            "stride": each(source.strides),
            "dilation": each(source.dilation_rate),
            "padding": source.padding,
            "groups": getattr(source, "groups", 1),
            "activation": _name(source.activation),
            "bias": source.use_bias,
        }
        if "BaseDepthwiseConv" in names or "BaseSeparableConv" in names:
            return layer("conv", **options | {"multiplier": source.depth_multiplier})
        if "BaseConvTranspose" in names:
            extra = source.output_padding
            return layer("conv_transpose", **options, output_padding=None if extra is None else each(extra))
        return layer("conv", **options)
    if "BasePooling" in names:
        return layer("pool", kernel_size=each(source.pool_size), stride=each(source.strides), padding=source.padding)
    if "BaseGlobalPooling" in names:
        return layer("global_pool", keepdims=source.keepdims)
    if isinstance(source, known.Dense):
        return layer("linear", in_channels=channels, out_channels=source.units, activation=_name(source.activation))
    if isinstance(source, known.Flatten):
        return layer("flatten", start=1, end=-1)
    if isinstance(source, known.BatchNormalization):
        return layer("norm", in_channels=channels, axis=source.axis)
    if isinstance(source, known.LSTM | known.GRU | known.SimpleRNN):
        kernel = getattr(source.cell, "kernel", None) if source.cell.built else None
        size = {"in_channels": None if kernel is None else kernel.shape[0], "out_channels": source.units}
        return layer("recurrent", **size, batch_first=True, sequences=source.return_sequences)
    if isinstance(source, known.Embedding):
        return layer("embedding", out_channels=source.output_dim)
    if isinstance(source, known.Permute):
        return layer("permute", order=(0, *source.dims))
    if isinstance(source, known.Reshape):
        return layer("reshape", target=tuple(source.target_shape))
    if name in SAME:
        return layer("same")
    return layer("other", run=source.compute_output_shape, names=SPATIAL[rank])


def _name(activation: Any) -> str | None:
    """The name of an activation that Keras knows by name."""
    name = getattr(activation, "__name__", None)
    return name if name and name != "linear" and hasattr(sys.modules["keras"].activations, name) else None


def build(layer: Layer) -> Any:
    """Return a new Keras layer as a Layer describes it; Keras itself refuses options that conflict."""
    _, arguments, words = constructor(layer)
    return getattr(sys.modules["keras"].layers, layer.type_name.removesuffix("*"))(*arguments, **words)


def constructor(layer: Layer) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the class, the positional and the named arguments of a Keras layer like this Layer."""
    name = f"keras.layers.{layer.type_name.removesuffix('*')}"  # the star is that of faltung.keras's layers
    form = {
        "data_format": ("channels_first" if layer.is_first else "channels_last", "channels_last"),
        "activation": (layer["activation"], None),
        "use_bias": (layer["bias"] is not False, True),
        "name": (layer.path or None, None),
    }
    if layer.kind == "input":
        return "keras.Input", [], {"shape": tuple(layer["sizes"][1:])}
    if layer.kind == "linear":
        return name, [layer["out_channels"]], _unusual({word: form[word] for word in ("activation", "name")})
    if layer.kind == "pool":
        form = {word: form[word] for word in ("data_format", "name")}
        said = {
            "strides": (short(layer["stride"]), short(layer["kernel_size"])),
            "padding": (layer["padding"], "valid"),
        }
        return name, [short(layer["kernel_size"])], _unusual({**said, **form})
    size = short(layer["kernel_size"])
    said = {
        "strides": (short(layer["stride"]), 1),
        "padding": (layer["padding"], "valid"),
        "dilation_rate": (short(layer["dilation"]), 1),
        "groups": (layer["groups"], 1),
        "output_padding": (short(layer["output_padding"] or (None,)), None),
        "depth_multiplier": (layer["multiplier"] or 1, 1),
    }
    first = [layer["out_channels"]] if layer["out_channels"] is not None else []
    return name, [*first, size], _unusual({**said, **form})


def _unusual(said: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {word: value for word, (value, usual) in said.items() if value != usual}
