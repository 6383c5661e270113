"""Networks as files: a JSON text and arrays in one archive, data only, checked when loaded.

The archive is NumPy's .npz: "network" holds the text as bytes, the others are the learned numbers. No pickle, no code.
"""

import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from faltung.errors import FaltungError, ModelError
from faltung.graph.graph import Array, Batches, Constant, Graph, Node, Value
from faltung.graph.network import Network
from faltung.graph.ops import OPS
from faltung.graph.shapes import infer

FORMAT, VERSION = "faltung network", 2


def save(net: Network, path: str | Path) -> None:
    """Write a network with its present weights; `load` needs neither Keras nor PyTorch.

    Raises:
        ModelError: if parts of it are computed by its host, which the file cannot hold.
    """
    graph = net.graph
    islands = [node["description"] for node in graph.nodes if node.op == "island"]
    if islands:
        raise ModelError(
            f"save: the host computes {', '.join(islands[:5])}; a file can hold only what faltung computes."
        )
    names = list(graph.constants)
    text = {
        "format": FORMAT,
        "version": VERSION,
        "inputs": {name: [value.dtype, *value.shape] for name, value in graph.inputs.items()},
        "constants": names,
        "nodes": [[n.op, n.inputs, n.outputs, _plain(dict(n.attributes)), n.name] for n in graph.nodes],
        "outputs": graph.outputs,
        "batches": [net.holds_for.least, net.holds_for.most],
        "returns": _template(net),
    }
    arrays = {
        f"c{n}": np.asarray(graph.constants[name].read(), graph.constants[name].dtype) for n, name in enumerate(names)
    }
    with Path(path).open("wb") as file:
        np.savez(file, network=np.frombuffer(json.dumps(text).encode(), np.uint8), **arrays)  # type: ignore[arg-type]


def load(path: str | Path) -> Network:
    """Read a network that `net.save` wrote.

    Raises:
        ModelError: if the file is none, is damaged or of a later version.
    """
    try:
        with Path(path).open("rb") as file:
            graph, returns, batches = _read(file)
    except FaltungError:
        raise
    except FileNotFoundError:
        raise ModelError(f"load: the file must exist; got {str(path)!r}. Check the path.") from None
    except Exception as error:  # whatever a damaged archive makes of its readers
        raise ModelError(f"load: {str(path)!r} is no network that faltung saved: {error}.") from None
    return Network(
        graph,
        flatten=_by_name(list(graph.inputs)),
        assemble=lambda found: _filled(returns, found),
        holds_for=batches,
        is_frozen=True,
    )


def _read(file: BinaryIO) -> tuple[Graph, Any, Batches]:
    with np.load(file, allow_pickle=False) as archive:
        text = json.loads(archive["network"].tobytes())
        if text["format"] != FORMAT or text["version"] != VERSION:
            raise ModelError(f"load: written by another version of faltung ({text['version']}). Save it again.")
        constants = {name: Constant.of(archive[f"c{n}"]) for n, name in enumerate(text["constants"])}
    nodes = tuple(
        Node(op, tuple(inputs), tuple(outputs), _tuples(attributes), name)
        for op, inputs, outputs, attributes, name in text["nodes"]
    )
    inputs = {name: Value(tuple(shape), dtype) for name, (dtype, *shape) in text["inputs"].items()}
    known = {*inputs, *constants}
    for node in nodes:
        if node.op not in OPS - {"island"} or not known.issuperset(node.inputs):
            raise ModelError(f"load: the node {node.op!r} is unknown or reads what nobody computes.")
        known.update(node.outputs)
    least, most = text["batches"]
    return infer(Graph(inputs, constants, nodes, tuple(text["outputs"]))), text["returns"], Batches(least, most)


def _by_name(names: list[str]) -> Any:
    def flatten(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> list[Any]:
        given = [*arguments, *(keywords[name] for name in names[len(arguments) :] if name in keywords)]
        if len(given) == 1 and isinstance(given[0], dict | list | tuple):
            given = [given[0][name] for name in names] if isinstance(given[0], dict) else list(given[0])
        if len(given) != len(names):
            raise ModelError(f"net: takes {len(names)} inputs, {', '.join(names)}; got {len(given)}.")
        return given

    return flatten


def _template(net: Network) -> Any:
    """What the model returns, with the number of an output in place of each array."""
    marks = [np.full(1, n) for n in range(len(net.graph.outputs))]
    return _described(net.assemble(list(marks)), marks)


def _described(found: Any, marks: list[Array]) -> Any:
    if isinstance(found, dict):
        return {"dict": [[key, _described(value, marks)] for key, value in found.items()]}
    if isinstance(found, list | tuple):
        return {
            type(found).__name__ if type(found) in (list, tuple) else "tuple": [_described(f, marks) for f in found]
        }
    return next((n for n, mark in enumerate(marks) if mark is found), None)


def _filled(template: Any, found: list[Array]) -> Any:
    if not isinstance(template, dict):
        return None if template is None else found[template]
    ((kind, parts),) = template.items()
    if kind == "dict":
        return {key: _filled(part, found) for key, part in parts}
    filled = [_filled(part, found) for part in parts]
    return filled if kind == "list" else tuple(filled)


def _plain(value: Any) -> Any:
    """Attributes as JSON has them; NumPy's numbers become Python's."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _tuples(value: Any) -> Any:
    """Lists back to tuples, as attributes hold them."""
    if isinstance(value, dict):
        return {key: _tuples(part) for key, part in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
