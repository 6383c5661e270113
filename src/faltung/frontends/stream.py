"""`ft.stream`: a whole model, run chunk by chunk."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from faltung.errors import ModelError
from faltung.frontends.compile import compile
from faltung.graph.graph import Constant, Graph
from faltung.graph.network import Network
from faltung.streams.flow import Flows, NotStreamable, flows
from faltung.streams.stream import Stream


def stream(model: Any, example: Any = None, *, axis: int | None = None, batch: int = 1) -> Stream:
    """Make a stream of a model: it takes its signal in chunks of any lengths, and returns what is complete.

    All that `stream(chunk)` and at last `stream.flush()` return is, bit for bit, what
    `ft.compile(model, example, precision="exact")` returns for the whole signal.

    Arguments:
        model: what `ft.compile` takes, or the Network that it made, or one that `ft.load` read.
        example: as for `ft.compile`; a signal that is long enough for the network.
        axis: of the inputs, the one that is time; None: the first along which the network can run.
        batch: signals that run side by side.

    Raises:
        ModelError: a layer that needs the whole signal, by name, with the reason and a way out.

    >>> import keras, faltung as ft                                           # doctest: +SKIP
    >>> listen = ft.stream(keras.saving.load_model("voice.keras"))            # doctest: +SKIP
    >>> listen(chunk)                                                         # doctest: +SKIP
    """
    net = model if isinstance(model, Network) else compile(model, example, freeze=True)
    if not isinstance(net, Network):
        raise ModelError("stream: a single convolution is no network; give it as a model of one layer.")
    graph = _for_batch(net, batch)
    return Stream(_along(graph, axis), flatten=net.flatten, assemble=net.assemble)


def _for_batch(net: Network, batch: int) -> Graph:
    """The graph for so many signals, its learned numbers as they are now."""
    graph = net.graph_for(tuple((batch, *value.shape[1:]) for value in net.graph.inputs.values()))
    fixed = {name: Constant.of(np.array(c.read(), c.dtype)) for name, c in graph.constants.items()}
    return replace(graph, constants=fixed)


def _along(graph: Graph, axis: int | None) -> Flows:
    """The graph along the axis that is asked for, or the first along which it runs."""
    if axis is not None:
        return flows(graph, {name: axis % len(value.shape) for name, value in graph.inputs.items()})
    choices = [range(1, len(value.shape)) for value in graph.inputs.values()]
    refusals: list[NotStreamable] = []
    for axes in product(*choices):
        try:
            return flows(graph, dict(zip(graph.inputs, axes, strict=True)))
        except NotStreamable as refusal:
            refusals.append(refusal)
    if not refusals:
        raise ModelError("stream: the network takes no signal: its inputs have a batch axis alone.")
    raise max(refusals, key=lambda refusal: refusal.reached)  # the axis along which most of it runs
