"""Random networks as graphs: any op, any layout, joins of what has the same shape."""

from collections.abc import Callable
from typing import Any

import numpy as np

from faltung.graph.graph import Constant, Graph, Node, Value
from faltung.graph.shapes import infer

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC")}
KERNELS = {1: ("OIW", "WIO"), 2: ("OIHW", "HWIO")}


class Builder:
    """A graph that grows node by node; `is_integer` keeps all numbers small and whole."""

    def __init__(self, seed: int, *, is_integer: bool = False) -> None:
        self.rng, self.is_integer = np.random.default_rng(seed), is_integer
        self.rank = int(self.rng.integers(1, 3))
        self.layout = LAYOUTS[self.rank][self.rng.integers(2)]
        sizes = {"N": 2, "C": int(self.rng.choice([1, 3, 8, 12])), "W": int(self.rng.integers(9, 40)), "H": 11}
        self.inputs = {"x": Value(tuple(sizes[letter] for letter in self.layout), "float32")}
        self.constants: dict[str, Constant] = {}
        self.nodes: list[Node] = []
        self.alive = ["x"]

    def graph(self) -> Graph:
        outputs = tuple(dict.fromkeys((self.alive[-1], *self.alive[-3:-2])))
        return infer(Graph(self.inputs, self.constants, tuple(self.nodes), outputs))

    def shape(self, name: str) -> tuple[int, ...]:
        partial = infer(Graph(self.inputs, self.constants, tuple(self.nodes), ()))
        return partial.shape(name)

    def constant(self, *shape: int, positive: bool = False) -> str:
        name = f"c{len(self.constants)}"
        if self.is_integer:
            array = self.rng.integers(1 if positive else -1, 2, shape).astype("f4")
        else:
            array = (self.rng.normal(size=shape) * 0.4).astype("f4")
            array = np.abs(array) + np.float32(0.5) if positive else array
        self.constants[name] = Constant.of(array)
        return name

    def add(self, op: str, inputs: tuple[str, ...], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(Node(op, inputs, (name,), attributes))
        self.alive.append(name)
        return name

    def pick(self) -> str:
        recent = self.alive[-4:]
        return recent[self.rng.integers(len(recent))]

    def grow(self, steps: int, kinds: list[Callable[["Builder", str], Any]]) -> Graph:
        for _ in range(steps):
            kinds[self.rng.integers(len(kinds))](self, self.pick())
        return self.graph()


def spatial(b: Builder, x: str) -> list[int]:
    shape = b.shape(x)
    return [shape[n] for n, letter in enumerate(b.layout) if letter not in "NC"]


def channels(b: Builder, x: str) -> int:
    return b.shape(x)[b.layout.index("C")]


def conv(b: Builder, x: str) -> str:
    rng, inputs = b.rng, channels(b, x)
    groups = int(rng.choice([g for g in (1, 1, inputs) if inputs % g == 0]))
    outputs = inputs if groups > 1 else int(rng.choice([inputs, 8, 16, 5]))
    taps = tuple(int(rng.choice([1, 3, 5])) for _ in range(b.rank))
    dilation = tuple(int(rng.choice([1, 1, 2])) for _ in range(b.rank))
    padding = tuple(
        (d * (k - 1), 0) if rng.integers(3) == 0 else (d * (k - 1) // 2,) * 2
        for k, d in zip(taps, dilation, strict=True)
    )
    layout = KERNELS[b.rank][rng.integers(2)]
    sizes = dict(zip((letter for letter in layout if letter not in "IO"), taps, strict=True)) | {
        "O": outputs,
        "I": inputs // groups,
    }
    kernel = b.constant(*(sizes[letter] for letter in layout))
    has_bias = bool(rng.integers(2))
    bias = (b.constant(outputs),) if has_bias else ()
    stride = tuple(int(rng.choice([1, 1, 1, 2])) for _ in range(b.rank))
    return b.add(
        "conv",
        (x, kernel, *bias),
        layout=b.layout,
        kernel_layout=layout,
        stride=stride,
        dilation=dilation,
        groups=groups,
        padding=padding,
        padding_mode="zeros",
        activation=None,
        has_bias=has_bias,
        adds=False,
    )


def activation(b: Builder, x: str) -> str:
    if b.is_integer:
        return b.add("map", (x,), expression=("relu", 0))
    expressions = [("relu", 0), ("gelu", 0), ("tanh", 0), ("silu", 0), ("elu", 0, 1.0), ("leaky_relu", 0, 0.1)]
    return b.add("map", (x,), expression=expressions[b.rng.integers(len(expressions))])


def batch_norm(b: Builder, x: str) -> str:
    if b.is_integer:
        return activation(b, x)
    count = channels(b, x)
    names = (b.constant(count), b.constant(count, positive=True), b.constant(count), b.constant(count))
    return b.add("batch_norm", (x, *names), axis=b.layout.index("C"), epsilon=1e-3, has_scale=True, has_shift=True)


def residual(b: Builder, x: str) -> str:
    """conv → batch norm → add → relu, as in residual networks."""
    y = batch_norm(b, conv(b, x))
    if b.shape(y) == b.shape(x):
        y = b.add("map", (y, x) if b.rng.integers(2) else (x, y), expression=("add", 0, 1))
    return activation(b, y)


def join(b: Builder, x: str) -> str:
    same = [name for name in b.alive if b.shape(name) == b.shape(x)]
    other = same[b.rng.integers(len(same))]
    if b.rng.integers(2):
        return b.add("concat", (x, other), axis=b.layout.index("C"))
    return b.add("map", (x, other), expression=(str(b.rng.choice(["add", "sub", "maximum"])), 0, 1))


def gate(b: Builder, x: str) -> str:
    """GLU: one half of the channels times the sigmoid of the other."""
    count, axis = channels(b, x), b.layout.index("C")
    if count % 2 or b.is_integer:
        return join(b, x)
    halves = []
    for start, stop in ((0, count // 2), (count // 2, None)):
        starts, stops = [0] * len(b.layout), [None] * len(b.layout)
        starts[axis], stops[axis] = start, stop
        halves.append(b.add("slice", (x,), starts=tuple(starts), stops=tuple(stops), steps=(1,) * len(b.layout)))
    return b.add("map", tuple(halves), expression=("mul", 0, ("sigmoid", 1)))


def pad(b: Builder, x: str) -> str:
    mode = str(b.rng.choice(["constant", "reflect", "replicate", "circular"]))
    pairs = tuple((0, 0) if letter in "NC" else (int(b.rng.integers(3)), int(b.rng.integers(3))) for letter in b.layout)
    if min(spatial(b, x)) < 4:
        return x
    return b.add("pad", (x,), padding=pairs, mode=mode, value=0.0 if b.rng.integers(2) else 2.0)


def chomp(b: Builder, x: str) -> str:
    if min(spatial(b, x)) < 8:
        return x
    axis = next(n for n, letter in enumerate(b.layout) if letter not in "NC")
    stops: list[int | None] = [None] * len(b.layout)
    stops[axis] = -2
    return b.add("slice", (x,), starts=(0,) * len(b.layout), stops=tuple(stops), steps=(1,) * len(b.layout))


def repeat(b: Builder, x: str) -> str:
    if max(spatial(b, x)) > 60:
        return x
    return b.add(
        "resize", (x,), layout=b.layout, out_size=None, scale=(2,) * b.rank, mode="nearest", coordinates="asymmetric"
    )


def turn(b: Builder, x: str) -> str:
    """There and back again through a transposition and a reshape."""
    shape = b.shape(x)
    axes = (0, *reversed(range(1, len(shape))))
    y = b.add("transpose", (x,), axes=axes)
    y = b.add("map", (y,), expression=("neg", 0))
    return b.add("transpose", (y,), axes=axes)


def transposed(b: Builder, x: str) -> str:
    inputs, outputs = channels(b, x), int(b.rng.choice([4, 8]))
    if max(spatial(b, x)) > 60:
        return x
    taps, stride = (3,) * b.rank, (2,) * b.rank
    letters = "WH"[: b.rank][::-1]
    kernel = b.constant(inputs, outputs, *taps)
    return b.add(
        "conv_transpose",
        (x, kernel),
        layout=b.layout,
        kernel_layout="IO" + letters,
        stride=stride,
        dilation=(1,) * b.rank,
        groups=1,
        padding=((1, 1),) * b.rank,
        output_padding=(int(b.rng.integers(2)),) * b.rank,
        activation=None,
        has_bias=False,
    )


def pool(b: Builder, x: str) -> str:
    """Any kind of pool, its padding less than half its window, as hosts ask."""
    if min(spatial(b, x)) < 6:
        return x
    taps = tuple(int(b.rng.integers(2, 4)) for _ in range(b.rank))
    kind = "max" if b.is_integer else str(b.rng.choice(["max", "average"]))
    return b.add(
        "pool",
        (x,),
        kind=kind,
        layout=b.layout,
        kernel_size=taps,
        stride=tuple(int(b.rng.integers(1, 3)) for _ in taps),
        dilation=(1,) * b.rank,
        padding=tuple((int(b.rng.integers(k // 2 + 1)),) * 2 for k in taps),
        ceil_mode=bool(b.rng.integers(2)),
        counts_padding=bool(b.rng.integers(2)),
    )


def excite(b: Builder, x: str) -> str:
    """Squeeze and excite: the mean over space scales each channel."""
    axes = tuple(n for n, letter in enumerate(b.layout) if letter not in "NC")
    mean = b.add("reduce", (x,), kind="mean", axes=axes, keeps_axes=True, correction=0)
    return b.add("map", (x, mean), expression=("mul", 0, ("sigmoid", 1)))


def norm(b: Builder, x: str) -> str:
    count, axis = channels(b, x), b.layout.index("C")
    if b.rng.integers(2):
        groups = int(b.rng.choice([g for g in (1, 2, 4, count) if count % g == 0]))
        learned = (b.constant(count), b.constant(count))
        return b.add(
            "group_norm", (x, *learned), axis=axis, groups=groups, epsilon=1e-3, has_scale=True, has_shift=True
        )
    size = b.shape(x)[-1]
    return b.add("layer_norm", (x, b.constant(size)), num_axes=1, epsilon=1e-3, has_scale=True, has_shift=False)


def softmax(b: Builder, x: str) -> str:
    axis = int(b.rng.integers(1, len(b.layout)))
    return b.add("softmax", (x,), axis=axis, is_log=bool(b.rng.integers(2)))


def resize(b: Builder, x: str) -> str:
    if max(spatial(b, x)) > 60:
        return x
    mode, coordinates = [
        ("nearest", "asymmetric"),
        ("nearest", "nearest_exact"),
        ("linear", "half_pixel"),
        ("linear", "align_corners"),
        ("cubic", "half_pixel"),
    ][b.rng.integers(5)]
    sizes = tuple(int(b.rng.integers(5, 30)) for _ in range(b.rank))
    return b.add("resize", (x,), layout=b.layout, out_size=sizes, scale=None, mode=mode, coordinates=coordinates)


def adaptive(b: Builder, x: str) -> str:
    sizes = tuple(int(b.rng.integers(3, 9)) for _ in range(b.rank))
    if min(spatial(b, x)) < 9:
        return x
    return b.add("adaptive_pool", (x,), kind=str(b.rng.choice(["max", "average"])), layout=b.layout, out_size=sizes)


def statistics(b: Builder, x: str) -> str:
    """Mean and deviation over one axis, joined to what they were taken from."""
    axis = int(b.rng.integers(1, len(b.layout)))
    if b.shape(x)[axis] < 3:
        return x
    kind = str(b.rng.choice(["std", "variance", "max", "min", "sum", "mean"]))
    found = b.add("reduce", (x,), kind=kind, axes=(axis,), keeps_axes=True, correction=int(b.rng.integers(2)))
    return b.add("map", (x, found), expression=("sub", 0, ("mul", 1, 0.25)))


def flatten_dense(b: Builder, x: str) -> None:
    shape = b.shape(x)
    flat = b.add("reshape", (x,), shape=(0, -1))
    kernel = b.constant(int(np.prod(shape[1:])), 7)
    b.add("dense", (flat, kernel, b.constant(7)), kernel_layout="IO", activation=None, has_bias=True)


FIRST = [conv, conv, residual, residual, activation, batch_norm, join, join, gate, pad, chomp, repeat, turn, transposed]
KINDS = [*FIRST, pool, pool, excite, norm, softmax, resize, adaptive, statistics]
EXACT_KINDS = [conv, residual, activation, join, pad, chomp, repeat, turn, pool]
