"""PyTorch modules as graphs: what `torch.export` records, node by node through the tables of torch_ops.py.

The batch is left open: shapes are symbols in it, and no attribute of a node holds it. All other sizes are as given.
"""

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.utils import _pytree as pytree

from faltung.errors import ModelError, ShapeError
from faltung.graph.graph import Array, Batches, Value
from faltung.models.graphs import ReadModel
from faltung.models.graphs.torch_constants import leaves
from faltung.models.graphs.torch_in_place import without_writes
from faltung.models.graphs.torch_nodes import Reader, dtype_name, target_name
from faltung.models.graphs.torch_ops import TABLE


def read_torch(module: torch.nn.Module, example: Sequence[Any]) -> ReadModel:
    """Return the graph of a module as it is called with `example`.

    Raises:
        ModelError: a module that is being trained, that changes itself, or that torch.export cannot follow.
    """
    program = _exported(module, tuple(example))
    signature = program.graph_signature
    reader = Reader(leaves(program, module), TABLE)
    arguments = [spec for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
    inputs = [spec.arg.name for spec in arguments if isinstance(spec.arg, TensorArgument)]
    results = reader.read(program.graph_module, inputs)
    returned = [spec for spec in signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    outputs, fixed = [], {}
    for place, (spec, node) in enumerate(zip(returned, results[-len(returned) :] if returned else (), strict=True)):
        if isinstance(spec.arg, TensorArgument):
            outputs.append(reader.name(node))
        elif isinstance(spec.arg, ConstantArgument):
            fixed[place] = spec.arg.value
        else:
            raise ModelError(f"compile: the model returns a size ({spec.arg}); return arrays only.")
    is_tensor = [isinstance(spec.arg, TensorArgument) for spec in arguments]
    leaves_given = pytree.tree_leaves(tuple(example))
    given = [leaf for leaf, is_input in zip(leaves_given, is_tensor, strict=True) if is_input]
    values = [Value(tuple(tensor.shape), dtype_name(tensor.dtype)) for tensor in given]
    graph = reader.graph(dict(zip(inputs, values, strict=True)), tuple(outputs))
    in_spec, out_spec = program.call_spec.in_spec, program.call_spec.out_spec
    return ReadModel(
        graph,
        _flatten(module, in_spec, leaves_given, is_tensor),
        _assemble(out_spec, len(returned), fixed),
        "torch",
        _holds_for(program, given),
    )


def _exported(module: torch.nn.Module, example: tuple[Any, ...]) -> Any:
    """The program with an open batch where the module allows one, else as given."""
    wider, shapes = _with_open_batch(example)
    named = inspect.signature(module.forward).bind(*shapes).arguments  # which gathers *inputs in a tuple
    program = None
    if any(axes for axes in pytree.tree_leaves(shapes, is_leaf=lambda axes: axes is None or isinstance(axes, dict))):
        try:
            program = _export(module, wider, named)
        except Exception:  # whatever the module's own code raises on another batch
            program = None
    batch = next(
        (leaf.shape[0] for leaf in pytree.tree_leaves(example) if isinstance(leaf, torch.Tensor) and leaf.ndim), 0
    )
    if program is None or not _is_open(program) or batch not in _holds_for(program, ()):
        try:
            program = _export(module, example, None)
        except Exception as error:
            reason = str(error).strip().splitlines()[:1]
            raise ModelError(
                f"compile: torch.export cannot follow {type(module).__name__}: {''.join(reason)}"
            ) from error
    _refuse_training(module, program)
    return program


def _with_open_batch(example: tuple[Any, ...]) -> tuple[tuple[Any, ...], Any]:
    """The example with a batch of two, and which axes that leaves open: the first of each tensor that shares the batch.

    PyTorch takes sizes of 0 and 1 for fixed.
    """
    tensors = [leaf for leaf in pytree.tree_leaves(example) if isinstance(leaf, torch.Tensor) and leaf.ndim]
    batch = tensors[0].shape[0] if tensors else None

    def is_batched(leaf: Any) -> bool:
        return isinstance(leaf, torch.Tensor) and leaf.ndim > 0 and leaf.shape[0] == batch

    def widen(leaf: Any) -> Any:
        return torch.zeros((2, *leaf.shape[1:]), dtype=leaf.dtype, device=leaf.device) if is_batched(leaf) else leaf

    shapes = pytree.tree_map(lambda leaf: {0: torch.export.Dim.AUTO} if is_batched(leaf) else None, example)
    return pytree.tree_map(widen, example), shapes


def _export(module: torch.nn.Module, example: tuple[Any, ...], shapes: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return without_writes(torch.export.export(module, example, dynamic_shapes=shapes, strict=False))


def _is_open(program: Any) -> bool:
    """Has the first input kept its open batch?"""
    names = {spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT}
    tensors = (node.meta.get("val") for node in program.graph.nodes if node.name in names)
    first = next((tensor for tensor in tensors if isinstance(tensor, torch.Tensor) and tensor.ndim), None)
    return first is not None and isinstance(first.shape[0], torch.SymInt)


def _refuse_training(module: torch.nn.Module, program: Any) -> None:
    """Refuse what a call changes; and what training mode makes random, since that would be frozen or lost."""
    changed = sorted(program.graph_signature.buffers_to_mutate.values())
    dropped = [node for node in program.graph.nodes if _drops(node)] if module.training else []
    if not changed and not dropped:
        return
    what = f"a call changes {', '.join(changed[:3])}" if changed else f"{dropped[0].name} drops numbers at random"
    if module.training:
        raise ModelError(f"compile: the model is in training mode, where {what}. Call model.eval() first.")
    raise ModelError(f"compile: {what}; a compiled network holds no state. Pass it in and return it.")


def _drops(node: fx.Node) -> bool:
    return "dropout" in str(node.target) and bool(node.args[1]) and node.args[2] is not False


def _holds_for(program: Any, example: Sequence[torch.Tensor]) -> Batches:
    """For which batches the program is the module: `squeeze()` takes the batch of one sample away."""
    if not _is_open(program):
        fixed = example[0].shape[0] if example and example[0].ndim else 0
        return Batches(fixed, fixed)
    ends = [int(limits.upper) for limits in program.range_constraints.values() if limits.upper < sys.maxsize]
    least = 2 if any(target_name(node.target) == "squeeze.default" for node in program.graph.nodes) else 0
    return Batches(least, min(ends, default=None))


def _flatten(module: torch.nn.Module, in_spec: Any, example: list[Any], is_tensor: list[bool]) -> Callable[..., Any]:
    """Arguments of a call → the graph's inputs. What is no tensor must be as in the example, which the graph is of."""
    (positional, _), is_simple = in_spec.children(), all(is_tensor)
    is_simple = is_simple and all(child.is_leaf() for child in positional.children())
    signature = inspect.signature(module.forward)

    def flatten(args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        if is_simple and not kwargs and len(args) == len(is_tensor):
            return list(args)
        bound = signature.bind(*args, **kwargs)
        found, spec = pytree.tree_flatten((bound.args, bound.kwargs))
        if spec != in_spec:
            raise ShapeError(f"{type(module).__name__}: called with {spec}, but compiled for {in_spec}.")
        for given, known, is_input in zip(found, example, is_tensor, strict=True):
            if not is_input and given != known:
                raise ShapeError(f"{type(module).__name__}: called with {given!r}, but compiled with {known!r}.")
        return [leaf for leaf, is_input in zip(found, is_tensor, strict=True) if is_input]

    return flatten


def _assemble(out_spec: Any, count: int, fixed: dict[int, Any]) -> Callable[[list[Array]], Any]:
    """The graph's outputs → what the module returns."""
    if out_spec.is_leaf() and not fixed:
        return lambda arrays: arrays[0]

    def assemble(arrays: list[Array]) -> Any:
        left = iter(arrays)
        return pytree.tree_unflatten([fixed[n] if n in fixed else next(left) for n in range(count)], out_spec)

    return assemble
