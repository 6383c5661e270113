"""PyTorch modules as programs: a twin of the model on the meta device, run on shapes with hooks on every layer."""

import contextlib
import copy
import sys
import traceback
import warnings
from collections.abc import Iterator
from typing import Any

from faltung.models.axes import Misfit
from faltung.models.geometry import misfit
from faltung.models.layer import Layer, Shape
from faltung.models.program import Chain, Edit, Edits, ShapeProgram, Step, Trace
from faltung.models.readers.torch_layers import build, describe


def reads(model: Any) -> bool:
    """Whether it is a module."""
    return isinstance(model, sys.modules["torch"].nn.Module)


def as_program(model: Any) -> ShapeProgram:
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
