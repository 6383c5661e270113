"""PyTorch modules as programs: a twin of the model on the meta device, run on shapes with hooks on every layer."""

import contextlib
import copy
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

from faltung.models.geometry import Misfit, misfit
from faltung.models.layer import Layer, Shape, short
from faltung.models.program import Chain, Edit, Edits, Program, Step, Trace

SAME = (
    *("ReLU", "ReLU6", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Sigmoid", "Tanh", "Softplus", "Hardswish", "Mish"),
    *("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "Identity", "Softmax", "LogSoftmax", "PReLU"),
)


def reads(model: Any) -> bool:
    """Whether it is a module."""
    return isinstance(model, sys.modules["torch"].nn.Module)


def as_program(model: Any) -> Program:
    """Return a module, or a list of modules one after the other, as a program."""
    if isinstance(model, list | tuple):
        model = sys.modules["torch"].nn.Sequential(*model)
    if type(model).__module__.startswith(("torch.nn", "faltung.")) and not list(model.children()):
        layer = describe(model, "")
        if layer.kind in ("conv", "conv_transpose", "pool", "linear") and layer["in_channels"] is not None:
            dtype, device = str(model.weight.dtype).removeprefix("torch."), str(model.weight.device)
            return Chain(
                layer.type_name, "torch", (layer,), dtype, device
            )  # PyTorch's meta device takes 0.2 s to start
    return TorchProgram(model)


class TorchProgram:
    """A twin of a module without any numbers, which runs on shapes in microseconds a layer."""

    host = "torch"

    def __init__(self, model: Any) -> None:
        torch = sys.modules["torch"]
        tensors = [*model.parameters(), *model.buffers()]
        memo = {id(tensor): _on_meta(tensor) for tensor in tensors}
        self.twin = copy.deepcopy(model, memo).eval()
        self.name = type(model).__name__
        floats = [tensor for tensor in tensors if tensor.is_floating_point()]
        self.dtype = str(floats[0].dtype).removeprefix("torch.") if floats else None
        self.device = str(tensors[0].device) if tensors else None
        containers = (torch.nn.Sequential, torch.nn.ModuleList, torch.nn.ModuleDict)
        self.modules = {
            path: module
            for path, module in self.twin.named_modules()
            if not list(module.children()) and not isinstance(module, containers)
        }
        self.described = {path: describe(module, path) for path, module in self.modules.items()}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, in the order they were made."""
        return tuple(self.described.values())

    def run(self, shape: Shape, edits: Edits) -> Trace:
        """Run the twin until one layer refuses its input."""
        torch = sys.modules["torch"]
        recorder = _Recorder(self, edits)
        first = next(iter(self.described.values()), None)
        dtype = torch.int64 if first and first.kind == "embedding" else getattr(torch, self.dtype or "float32")
        with recorder.hooked() as twin, torch.no_grad(), warnings.catch_warnings(), _views(recorder):
            warnings.simplefilter("ignore")
            try:
                x = torch.empty(tuple(1 if size is None else size for size in shape), dtype=dtype, device="meta")
                out = twin(x)
            except Exception as error:
                return recorder.refusal(error)
        steps = recorder.steps
        last = _shape_of(out)
        if steps and last is not None and steps[-1].output_shape != last:
            steps.append(Step(Layer("", "torch", "forward", "other"), steps[-1].output_shape, last))
        if not steps and last is not None:
            steps.append(Step(Layer("", "torch", self.name, "other"), shape, last))
        return Trace(tuple(steps))


class _Recorder:
    """Watches one run: applies the edits, keeps the shapes, knows which layer was at work."""

    def __init__(self, program: TorchProgram, edits: Edits) -> None:
        self.program, self.edits = program, edits
        self.steps: list[Step] = []
        self.active: tuple[Layer, Shape] | None = None
        self.views = 0

    @contextlib.contextmanager
    def hooked(self) -> Iterator[Any]:
        """Give the twin with edited layers in their places."""
        program, handles, swapped = self.program, [], {}
        twin = program.twin
        try:
            for path, module in program.modules.items():
                layer = program.described[path]
                edit = self.edits.get(path, Edit())
                if edit.options:
                    layer = layer.change(**edit.options)
                    swapped[path] = module
                    module = build(layer, program.dtype)
                    if path:
                        twin.set_submodule(path, module)
                    else:
                        twin = module
                handles += self._watch(module, layer, edit)
            yield twin
        finally:
            for handle in handles:
                handle.remove()
            for path, module in swapped.items():
                if path:
                    program.twin.set_submodule(path, module)

    def _watch(self, module: Any, layer: Layer, edit: Edit) -> list[Any]:
        def before(_: Any, inputs: tuple[Any, ...]) -> Any:
            if not inputs or not hasattr(inputs[0], "shape"):
                return None
            x: Any = inputs[0]
            if edit.before:
                x = edit.before.apply(x)
            self.active = (layer, tuple(x.shape))
            return (x, *inputs[1:])

        def after(_: Any, inputs: tuple[Any, ...], output: Any) -> None:
            shape = _shape_of(output)
            if self.active is not None and shape is not None:
                self.steps.append(Step(layer, self.active[1], shape))
            self.active = None

        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def view(self, x: Any, function: Any, arguments: Any, words: Any) -> Any:
        """Run a view or reshape of the model's own code; one that does not fit is a layer that refuses."""
        path = f"view {self.views}"
        self.views += 1
        if self.edits.get(path, Edit()).options:
            return x.flatten(1)
        try:
            return function(x, *arguments, **words)
        except RuntimeError as error:
            said = ", ".join(str(size) for size in arguments)
            layer = Layer(path, "torch", f"{function.__name__}({said})", "view")
            self.active = (layer, tuple(x.shape))
            raise error

    def refusal(self, error: Exception) -> Trace:
        """Return the trace of a run that ended with an error."""
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        if self.active is not None:
            layer, shape = self.active
            if layer.kind == "view":
                return Trace(tuple(self.steps), layer, shape, Misfit("view", message, tuple(range(1, len(shape)))))
            return Trace(tuple(self.steps), layer, shape, misfit(layer, shape) or Misfit("call", message))
        line = _line_of(error)
        shape = self.steps[-1].output_shape if self.steps else ()
        return Trace(tuple(self.steps), Layer("", "torch", line, "other"), shape, Misfit("call", message))


def _views(recorder: _Recorder) -> Any:
    """A mode that lets the recorder see every view and reshape that the model's own code makes."""
    torch = sys.modules["torch"]

    class Views(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if (
                getattr(function, "__name__", "") in ("view", "reshape")
                and recorder.active is None
                and args[0].ndim > 1
            ):
                return recorder.view(args[0], function, args[1:], kwargs or {})
            return function(*args, **(kwargs or {}))

    return Views()


def _line_of(error: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/torch/" not in frame.filename]
    return next((frame.line for frame in reversed(frames) if frame.line), "forward")


def _shape_of(output: Any) -> Shape | None:
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return tuple(output.shape) if hasattr(output, "shape") else None


def _on_meta(tensor: Any) -> Any:
    torch = sys.modules["torch"]
    if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin):
        return tensor
    twin = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
    return (
        torch.nn.Parameter(twin, requires_grad=tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else twin
    )


def describe(module: Any, path: str) -> Layer:
    """Return a module as a Layer."""
    nn = sys.modules["torch"].nn
    name = type(module).__name__
    rank = int(name[-2]) if name[-1:] == "d" and name[-2:-1].isdigit() else 0

    def layer(kind: str, is_first: bool = True, **options: Any) -> Layer:
        return Layer(path, "torch", name, kind, rank if kind != "linear" else 0, is_first, options, module)

    def each(value: Any) -> tuple[int, ...]:
        return tuple(value) if isinstance(value, tuple | list) else (value,) * rank

    if isinstance(module, nn.modules.conv._ConvNd):
        is_transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
        rank = rank or module.weight.ndim - 2
        padding = module.padding
        pairs = (
            padding if isinstance(padding, str) else tuple(p if isinstance(p, tuple) else (p, p) for p in each(padding))
        )
        options = {
            "in_channels": module.in_channels or None,
            "out_channels": module.out_channels,
            "kernel_size": tuple(module.kernel_size),
            "stride": each(module.stride),
            "padding": pairs,
            "dilation": each(module.dilation),
            "groups": module.groups,
            "padding_mode": module.padding_mode,
            "bias": module.bias is not None,
            **({"output_padding": each(module.output_padding)} if is_transposed else {}),
        }
        is_first = getattr(module, "layout", None) is None or not module.layout.endswith(
            "C"
        )  # ours may be channels last
        return layer("conv_transpose" if is_transposed else "conv", is_first, **options)
    if isinstance(module, nn.modules.pooling._MaxPoolNd | nn.modules.pooling._AvgPoolNd):
        pads = tuple((p, p) for p in each(module.padding))
        gaps = each(getattr(module, "dilation", 1))
        sizes, steps = each(module.kernel_size), each(module.stride)
        return layer("pool", kernel_size=sizes, stride=steps, padding=pads, dilation=gaps, ceil=module.ceil_mode)
    if isinstance(module, nn.modules.pooling._AdaptiveAvgPoolNd | nn.modules.pooling._AdaptiveMaxPoolNd):
        return layer("global_pool", sizes=each(module.output_size), keepdims=True)
    if isinstance(module, nn.Linear):
        return layer("linear", in_channels=module.in_features or None, out_channels=module.out_features)
    if isinstance(module, nn.Flatten):
        return layer("flatten", start=module.start_dim, end=module.end_dim)
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return layer("norm", in_channels=module.num_features or None)
    if isinstance(module, nn.LayerNorm):
        return layer("norm", in_channels=module.normalized_shape[-1], axis=-1)
    if isinstance(module, nn.GroupNorm):
        return layer("norm", in_channels=module.num_channels, axis=1)
    if isinstance(module, nn.RNNBase):
        size = module.hidden_size * (2 if module.bidirectional else 1)
        names = {"batch_first": module.batch_first, "sequences": True}
        return layer("recurrent", in_channels=module.input_size, out_channels=size, **names)
    if isinstance(module, nn.Embedding):
        return layer("embedding", out_channels=module.embedding_dim)
    return layer("same" if name in SAME else "other", run=lambda shape: shape)


def build(layer: Layer, dtype: str | None = None) -> Any:
    """Return the module that a Layer describes, on the meta device."""
    torch = sys.modules["torch"]
    if layer["is_left_out"]:
        return torch.nn.Identity()
    _, arguments, words = constructor(layer)
    kind = getattr(torch.nn, layer.type_name, None) or type(layer.source)
    if layer.kind not in ("flatten", "pool"):
        words = {**words, "device": "meta", "dtype": getattr(torch, dtype or "float32")}
    return kind(*arguments, **words).eval()


def constructor(layer: Layer) -> tuple[str, list[Any], dict[str, Any]]:
    """Return the class, the positional and the named arguments that make a module like this Layer."""
    if layer.kind == "linear":
        return "nn.Linear", [layer["in_channels"], layer["out_channels"]], {}
    if layer.kind == "flatten":
        words = {"start_dim": (layer["start"], 1), "end_dim": (layer["end"], -1)}
        return "nn.Flatten", [], {word: value for word, (value, usual) in words.items() if value != usual}
    if layer.kind == "norm":
        return f"nn.{layer.type_name}", [layer["in_channels"]], {}
    if layer.kind == "recurrent":
        return (
            f"nn.{layer.type_name}",
            [layer["in_channels"], layer["out_channels"]],
            {"batch_first": layer["batch_first"]},
        )
    size = short(layer["kernel_size"])
    padding = layer["padding"]
    if not isinstance(padding, str):
        padding = short(tuple(low if low == high else (low, high) for low, high in padding))
    said: dict[str, tuple[Any, Any]] = {"stride": (short(layer["stride"]), 1), "padding": (padding, 0)}
    if layer.kind == "pool":
        said["stride"] = (short(layer["stride"]), size)
        named = {word: value for word, (value, usual) in said.items() if value != usual}
        return f"nn.{layer.type_name}", [size], named
    said["dilation"] = (short(layer["dilation"]), 1)
    said["output_padding"] = (short(layer["output_padding"] or (0,)), 0)
    said["groups"] = (layer["groups"], 1)
    said["bias"] = (layer["bias"] is not False, True)
    said["padding_mode"] = (layer["padding_mode"] or "zeros", "zeros")
    named = {word: value for word, (value, usual) in said.items() if value != usual}
    return f"nn.{layer.type_name}", [layer["in_channels"], layer["out_channels"], size], named
