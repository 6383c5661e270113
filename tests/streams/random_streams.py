"""Random networks that can run chunk by chunk, and random chunkings of a signal."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from faltung.errors import ShapeError
from faltung.graph.graph import Array, Graph
from faltung.graph.network import Network
from tests.graph import random_graphs as kinds
from tests.graph.random_graphs import Builder

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)


def pad(b: Builder, x: str) -> str:
    pairs = tuple((0, 0) if letter in "NC" else (int(b.rng.integers(3)), int(b.rng.integers(3))) for letter in b.layout)
    return b.add("pad", (x,), padding=pairs, mode="constant", value=0.0 if b.rng.integers(2) else 2.0)


def crop(b: Builder, x: str) -> str:
    """Some steps off both ends, or every other one."""
    if min(kinds.spatial(b, x)) < 8:
        return x
    axis = next(n for n, letter in enumerate(b.layout) if letter not in "NC")
    starts, stops, steps = [0] * len(b.layout), [None] * len(b.layout), [1] * len(b.layout)
    starts[axis], steps[axis] = int(b.rng.integers(3)), int(b.rng.integers(1, 3))
    stops[axis] = (None, -1, -2)[b.rng.integers(3)]  # type: ignore[call-overload]
    return b.add("slice", (x,), starts=tuple(starts), stops=tuple(stops), steps=tuple(steps))


def causal(b: Builder, x: str) -> str:
    """A padded convolution of stride 1 whose end is cut off."""
    y = kinds.conv(b, x)
    shape, wanted = b.shape(y), b.shape(x)
    axis = next(n for n, letter in enumerate(b.layout) if letter not in "NC")
    if shape[axis] <= 4 or wanted[axis] != shape[axis]:
        return y
    stops: list[int | None] = [None] * len(shape)
    stops[axis] = -2
    return b.add("slice", (y,), starts=(0,) * len(shape), stops=tuple(stops), steps=(1,) * len(shape))


def transposed(b: Builder, x: str) -> str:
    """Windows shorter and longer than the stride, dilated ones, cropped unevenly."""
    if max(kinds.spatial(b, x)) > 60:
        return x
    rng = b.rng
    inputs, groups = kinds.channels(b, x), 1
    if inputs % 2 == 0 and rng.integers(3) == 0:
        groups = 2
    outputs = int(rng.choice([1, 4, 8]))
    taps, stride, dilation, padding, more = [], [], [], [], []
    for _ in range(b.rank):
        k, s, d = int(rng.integers(1, 6)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
        window = d * (k - 1) + 1
        pair = (int(rng.integers(window // 2 + 1)), int(rng.integers(window // 2 + 1)))
        taps, stride, dilation, padding = [*taps, k], [*stride, s], [*dilation, d], [*padding, pair]
        more.append(int(rng.integers(max(s, d))))
    return b.add(
        "conv_transpose",
        (x, b.constant(inputs, outputs, *taps), b.constant(outputs * groups)),
        layout=b.layout,
        kernel_layout="IO" + "WH"[: b.rank][::-1],
        stride=tuple(stride),
        dilation=tuple(dilation),
        groups=groups,
        padding=tuple(padding),
        output_padding=tuple(more),
        activation=("tanh", None) if rng.integers(2) else None,
        has_bias=True,
    )


def norm(b: Builder, x: str) -> str:
    """Of the channels, where they are the last axis; else of the last axis of two in space."""
    if b.rank == 1 and b.layout == "NCW":
        return x
    size = b.shape(x)[-1]
    return b.add("layer_norm", (x, b.constant(size)), num_axes=1, epsilon=1e-3, has_scale=True, has_shift=False)


def softmax(b: Builder, x: str) -> str:
    return b.add("softmax", (x,), axis=b.layout.index("C"), is_log=bool(b.rng.integers(2)))


def statistics(b: Builder, x: str) -> str:
    axis = b.layout.index("C")
    kind = str(b.rng.choice(["variance", "max", "min", "sum", "mean"]))
    found = b.add("reduce", (x,), kind=kind, axes=(axis,), keeps_axes=True, correction=0)
    return b.add("map", (x, found), expression=("sub", 0, ("mul", 1, 0.25)))


def dense(b: Builder, x: str) -> str:
    if b.layout[-1] != "C":
        return x
    names = (b.constant(kinds.channels(b, x), 6), b.constant(6))
    return b.add("dense", (x, *names), kernel_layout="IO", activation=("relu", None), has_bias=True)


KINDS = [
    *(kinds.conv, kinds.conv, kinds.residual, kinds.residual, kinds.activation, kinds.batch_norm, kinds.join),
    *(kinds.join, kinds.gate, kinds.repeat, kinds.turn, kinds.pool, kinds.pool, pad, crop, causal, transposed),
    *(transposed, norm, softmax, statistics, dense),
]


def networks(seed: int) -> Iterator[tuple[Network, int, Array]]:
    """A random network, its axis of time and a signal, if the signal is long enough for it."""
    b = Builder(seed)
    try:
        graph = b.grow(int(b.rng.integers(1, 7)), KINDS)
    except ShapeError:
        return
    time = next(n for n, letter in enumerate(b.layout) if letter not in "NC")
    shape = graph.inputs["x"].shape
    yield network(graph), time, b.rng.normal(size=shape).astype("f4")


def network(graph: Graph) -> Network:
    return Network(graph, flatten=lambda given, _: list(given), assemble=lambda found: tuple(found), precision="exact")


def chunking(rng: np.random.Generator, length: int) -> list[int]:
    """Lengths of chunks: all at once, one by one, or a random walk over 0, 1 and primes."""
    kind = rng.integers(4)
    if kind == 0:
        return [length]
    if kind == 1:
        return [1] * length
    sizes: list[int] = []
    while sum(sizes) < length:
        sizes.append(int(rng.choice([0, 1, *PRIMES])))
    sizes[-1] -= sum(sizes) - length
    return sizes


def in_chunks(stream: Any, x: Array, time: int, sizes: list[int]) -> list[Array]:
    """All that a stream returns, one behind the other."""
    parts, first = [], 0
    for size in sizes:
        index = [slice(None)] * x.ndim
        index[time] = slice(first, first + size)
        parts.append(stream(x[tuple(index)]))
        first += size
    parts.append(stream.flush())
    axes = [stream.flows.axes[name] for name in stream.graph.outputs]
    return [np.concatenate(part, axis) for part, axis in zip(zip(*parts, strict=True), axes, strict=True)]
