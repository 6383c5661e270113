"""What comes out of each layer of a model that runs on one sample, for the heat maps; the model stays as it is."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from faltung.errors import FaltungError
from faltung.models.data import as_data
from faltung.models.program import Chain, ShapeProgram, Step
from faltung.models.readers.network import reads
from faltung.pages.operation import Array
from faltung.pages.sample import numbers


def activations_of(
    model: Any, program: ShapeProgram, x: Array, steps: Sequence[Step], sample: int
) -> list[Array | None]:
    """Return the output of each step for one sample of ``x``, None where it is not known.

    A model that cannot run on the numbers (or is only a description) gives no outputs; the shapes are shown anyway.
    """
    has_batch = x.ndim > 0 and len(x) > sample
    one = x[sample : sample + 1] if has_batch else x
    run = {"torch": _of_torch, "keras": _of_keras, "faltung": _of_network}.get(program.host)
    found = run(model, program, one) if run is not None else []
    picked: list[Array | None] = []
    for step in steps:
        at = next((at for at, (path, _) in enumerate(found) if path == step.layer.path), None)
        picked.append(None if at is None else found.pop(at)[1])
    return picked


def _of_torch(model: Any, program: ShapeProgram, x: Array) -> list[tuple[str, Array]]:
    torch = sys.modules["torch"]
    if isinstance(model, list | tuple):
        model = torch.nn.Sequential(*model)
    if not isinstance(model, torch.nn.Module):
        return []
    found: list[tuple[str, Array]] = []

    def listener(path: str) -> Any:
        def hear(_: Any, inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple | list) else output
            if hasattr(first, "detach"):
                found.append((path, numbers(as_data(first))))

        return hear

    leaves = [(path, module) for path, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(listener(path)) for path, module in leaves]
    modes = [(module, module.training) for module in model.modules()]
    weight = next((each for each in model.parameters() if each.is_floating_point()), None)
    first = program.layers[0] if program.layers else None
    try:
        tensor = torch.from_numpy(np.ascontiguousarray(x))
        if weight is not None:
            is_index = first is not None and first.kind == "embedding"
            tensor = tensor.to(weight.device, torch.int64 if is_index else weight.dtype)
        with torch.no_grad():
            model.eval()(tensor)
    except (RuntimeError, ValueError, TypeError, IndexError):  # it refuses the data: what ran until then is shown
        pass
    finally:
        for handle in handles:
            handle.remove()
        for module, is_training in modes:
            module.training = is_training
    return found


def _of_network(net: Any, program: ShapeProgram, x: Array) -> list[tuple[str, Array]]:
    """A network from a file, with all that it computes as its outputs; of several inputs the others are unknown."""
    if not reads(net) or len(net.graph.inputs) > 1:
        return []
    names = tuple(layer.path for layer in program.layers if layer.kind != "input")
    try:
        return list(zip(names, net.with_outputs(names)(x), strict=True))
    except FaltungError:  # it refuses the data, or the batch
        return []


def _of_keras(model: Any, program: ShapeProgram, x: Array) -> list[tuple[str, Array]]:
    """Layer by layer, along the wires of a branching model."""
    if not isinstance(program, Chain):
        return []
    made: list[Any] = []
    found: list[tuple[str, Array]] = []
    for at, layer in enumerate(program.layers):
        sources = program.wires[at] if program.wires else (at - 1,)
        inputs = [made[source] if source >= 0 else x for source in sources]
        operation = layer.source if layer.source is not None else _operation(model, layer.path)
        try:
            out = inputs[0] if operation is None else operation(inputs if len(inputs) > 1 else inputs[0])
        except (ValueError, TypeError, RuntimeError):  # as above
            break
        made.append(out)
        found.append((layer.path, numbers(as_data(out))))
    return found


def _operation(model: Any, path: str) -> Any:
    """The operation of a branching model whose several inputs are merged, None for an input."""
    found = next((each for each in getattr(model, "operations", ()) if each.name == path), None)
    return None if type(found).__name__ == "InputLayer" else found
