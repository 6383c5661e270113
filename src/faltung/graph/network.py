"""A network made callable: `net(x)`, planned for each shape that comes, with weights that follow the model's."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from faltung.errors import DtypeError, ShapeError
from faltung.graph.graph import ANY, Array, Batches, Constant, Graph, Value
from faltung.graph.passes import simplified
from faltung.graph.program import Program
from faltung.graph.shapes import infer
from faltung.graph.weights import Weights
from faltung.runtime import buffers
from faltung.runtime.locks import lock_across_forks

Shapes = tuple[tuple[int, ...], ...]
Flatten = Callable[[Any, Any], list[Any]]
Assemble = Callable[[list[Array]], Any]
_lock = lock_across_forks()
MOST_SHAPES = 64
"""Plans that a network keeps; of further shapes the oldest is planned anew when it comes again."""


class Network:
    """A whole network on this processor: what `ft.compile(model)` returns.

    `net(x)` takes NumPy arrays, tensors of PyTorch or arrays of JAX, and returns what the model returns, in arrays of
    the same kind. Any batch will do, and any length that the model takes; the first call of a shape plans it.

    Arguments:
        graph: the network, read with some batch.
        flatten: arguments and keywords of a call → the graph's inputs in their order.
        assemble: the graph's outputs in their order → what the model returns.
        reread: gives the graph for other sizes than the batch; None where only the graph is left of the model.
        holds_for: the batches for which the graph is the model. For others the model is read again.
        is_frozen: weights are never looked at again.
        precision: of its convolutions, "high" or "exact".
        source: the model that it was read from, which `ft.show` and `ft.diagnose` then speak of.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        flatten: Flatten,
        assemble: Assemble,
        reread: Callable[[Shapes], Graph] | None = None,
        holds_for: Batches = ANY,
        is_frozen: bool = False,
        precision: str = "high",
        source: Any = None,
    ) -> None:
        self.assemble, self.flatten, self._reread = _each_once(graph, assemble), flatten, reread
        self.holds_for, self.precision, self.source = holds_for, precision, source
        self.graph = _prepared(_frozen(graph) if is_frozen else graph)
        self._weights = Weights()
        self._programs: dict[Shapes, Program] = {}
        self._dtypes = [np.dtype(value.dtype) for value in self.graph.inputs.values()]
        self._versions = _versions(self.graph.constants.values())
        self._seen = [version() for version in self._versions]
        mark = np.empty(0)
        self._is_plain = len(self.graph.inputs) == len(self.graph.outputs) == 1 and self.assemble([mark]) is mark

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """What the model returns for these inputs.

        Raises:
            ShapeError: for shapes that the model does not take.
            DtypeError: for what are no numbers.
        """
        if self._is_plain and len(arguments) == 1 and type(arguments[0]) is np.ndarray and not keywords:
            return self.run([self._checked(0, arguments[0])])[0]
        given = self.flatten(arguments, keywords)
        outputs = self.run([self._checked(n, array) for n, array in enumerate(given)])
        return self.assemble([as_given(y, given[0]) for y in outputs])

    def predict(self, x: Any, batch_size: int = 32, verbose: Any = 0) -> Any:
        """What `keras.Model.predict` returns: NumPy arrays, computed `batch_size` records at a time.

        `verbose` is taken for Keras's sake; there is nothing to report in so short a time.
        """
        inputs = [self._checked(n, array) for n, array in enumerate(self.flatten((x,), {}))]
        count = len(inputs[0])
        parts = [self.run([i[n : n + batch_size] for i in inputs]) for n in range(0, max(count, 1), batch_size)]
        whole = [part[0] if len(part) == 1 else np.concatenate(part) for part in zip(*parts, strict=True)]
        return self.assemble(whole)

    def with_outputs(self, names: tuple[str, ...]) -> "Network":
        """The network that returns these values of its graph, as a tuple."""
        graph = replace(self.graph, outputs=names)
        return Network(graph, flatten=self.flatten, assemble=tuple, holds_for=self.holds_for, precision=self.precision)

    def run(self, inputs: list[Array]) -> list[Array]:
        """The graph's outputs for its inputs, C-contiguous arrays of its element types."""
        if self._versions:
            self._follow()
        program = self.program(tuple(array.shape for array in inputs))
        outputs = [buffers.empty(*layout) for layout in program.layouts]
        if program.single is not None and len(inputs) == len(outputs) == 1:
            program.run_one(inputs[0], outputs[0])
        else:
            program.run(inputs, outputs)
        return outputs

    def _follow(self) -> None:
        """Make the weights again if one of those of the model has changed."""
        seen = [version() for version in self._versions]
        if seen != self._seen:
            with _lock:
                self._weights.refresh()
                for program in self._programs.values():
                    program.forget_contexts()
                self._seen = seen

    def _checked(self, n: int, array: Any) -> Array:
        """An input as a contiguous array of the graph's element type."""
        if hasattr(array, "detach"):
            array = array.detach()
        found = np.asarray(array)
        if found.dtype != self._dtypes[n]:
            if found.dtype.kind not in "biuf":
                raise DtypeError(f"net: input {n} must be {self._dtypes[n]}; got {found.dtype}. Convert it first.")
            found = found.astype(self._dtypes[n])
        return found if found.flags.c_contiguous else np.ascontiguousarray(found)

    def program(self, shapes: Shapes) -> Program:
        """The plan for inputs of these shapes, made when they first come."""
        program = self._programs.get(shapes)
        if program is None:
            with _lock:
                program = self._programs.get(shapes)
                if program is None:
                    program = Program(self.graph_for(shapes), self._weights, self.precision)
                    if len(self._programs) >= MOST_SHAPES:
                        self._programs.pop(next(iter(self._programs)), None)
                    self._programs[shapes] = program
        return program

    def graph_for(self, shapes: Shapes) -> Graph:
        """The graph for inputs of these shapes, the model read again where they need that."""
        given = [value.shape for value in self.graph.inputs.values()]
        if [len(shape) for shape in shapes] != [len(shape) for shape in given]:
            raise ShapeError(f"net: the network was compiled for inputs of shapes {given}; got {list(shapes)}.")
        batch = next((shape[0] for shape in shapes if shape), 0)
        if any(new[1:] != old[1:] for new, old in zip(shapes, given, strict=True)) or batch not in self.holds_for:
            if self._reread is None:
                wanted = ", ".join(str(("batch", *shape[1:])) for shape in given)
                raise ShapeError(
                    f"net: a network from a file takes inputs of shapes {wanted} and batches {self.holds_for}; "
                    f"got {list(shapes)}. Compile the model itself for others."
                )
            return _prepared(self._reread(shapes))
        named = zip(self.graph.inputs.items(), shapes, strict=True)
        return infer(self.graph, {name: Value(shape, value.dtype) for (name, value), shape in named})

    @property
    def example_program(self) -> Program:
        """The plan for the shapes that the network was compiled with."""
        return self.program(tuple(value.shape for value in self.graph.inputs.values()))

    @property
    def flops(self) -> int:
        """Two for each multiply-add of direct summation, for the batch that the network was compiled with."""
        return 2 * self.example_program.macs

    @property
    def arena_bytes(self) -> int:
        """Memory for what lies between the layers, for the batch that the network was compiled with."""
        return self.example_program.arena.num_bytes

    @property
    def segments(self) -> list[str]:
        """The parts that follow each other: "12 steps" in one native call, or an island of the host with its reason."""
        return self.example_program.segments

    def report(self) -> str:
        """How much of the network faltung computes, and what its host computes, with the reasons."""
        nodes = [node for node in self.graph.nodes if node.op != "island"]
        islands = [node for node in self.graph.nodes if node.op == "island"]
        lines = [
            f"faltung computes {len(nodes)} of {len(nodes) + len(islands)} nodes in {len(self.segments)} segments."
        ]
        return "\n".join([*lines, *(f"  island {node['description']}: {node['reason']}" for node in islands)])

    def explain(self) -> str:
        """Each step in words: what was fused into it, algorithm, multiply-adds, and where its result lies."""
        from faltung.graph.explain import explain  # which knows networks

        return explain(self.example_program)

    def save(self, path: str | Path) -> None:
        """Write the network to a file of data alone, for `ft.load`; see graph/file.py."""
        from faltung.graph.file import save

        save(self, path)


def _frozen(graph: Graph) -> Graph:
    """The graph with its constants as they are now."""
    fixed = {name: Constant.of(np.array(constant.read())) for name, constant in graph.constants.items()}
    return replace(graph, constants=fixed)


def _prepared(graph: Graph) -> Graph:
    """The graph as it is planned: simplified, each output once."""
    return simplified(infer(replace(graph, outputs=tuple(dict.fromkeys(graph.outputs)))))


def _each_once(graph: Graph, assemble: Assemble) -> Assemble:
    """What assembles the result when outputs that the model returns several times are computed once."""
    once = list(dict.fromkeys(graph.outputs))
    places = [once.index(name) for name in graph.outputs]
    return assemble if len(once) == len(places) else lambda found: assemble([found[place] for place in places])


def _versions(constants: Iterable[Constant]) -> list[Callable[[], Any]]:
    """What tells whether any of these constants has changed; each source is asked once."""
    leaves = (leaf for constant in constants for leaf in constant.leaves())
    return list(dict.fromkeys(leaf.version for leaf in leaves if leaf.version is not None))


def as_given(array: Array, given: Any) -> Any:
    """The array as the kind of the first input: a tensor for a tensor, an array of JAX for one of JAX."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(given, torch.Tensor):
        return torch.from_numpy(array)
    if jax is not None and isinstance(given, jax.Array):
        return jax.numpy.asarray(array)
    return array


__all__ = ["Network"]
