"""Random calls: most of them right, about a third with something odd in one or two places."""

from random import Random
from typing import Any

from faltung.fuzz.case import Case, Numbers
from faltung.spec.activation import ACTIVATIONS
from faltung.spec.geometry import PADDING_MODES, PADDINGS
from faltung.spec.layout import join_kernel_shape, join_shape, kernel_layouts, layouts

SIZES = (1, 2, 3, 5, 8, 9, 16, 17, 33)
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.0, 2.5, float("nan"), 1 << 40, "same", "no such word", "x" * 5000, b"bytes", ""),
    *((), [], [1], (1, 2), (1, 2, 3, 4), ((1, 2), (3, 4)), [[[1]]], {}, {"a": 1}, {1, 2}, object, len, 1j),
    *(
        (-1,),
        (0, 0),
        ("1",),
        (None,),
        ((1, -1),),
        (1.5, 2),
        ((1 << 40, 1 << 40),),
        ((1 << 31, 1 << 31),) * 2,
        "9" * 5000,
        slice(3),
    ),
)
"""What anybody might give where something else is wanted."""
ODD_ARRAYS: tuple[Any, ...] = (
    *(None, "text", 3, 2.5, [], [[1.0], [1.0, 2.0]], {}, object, len, [[["a"]]], (), [None]),
    *(Numbers((2, 9, 4), "float16"), Numbers((3, 4, 8), "int32"), Numbers((3, 4, 8), "complex64"), Numbers(())),
    *(Numbers((3, 4, 8), "object"), Numbers((3, 4, 8), "bool"), Numbers((2, 9, 0)), Numbers((0, 4, 8)), Numbers((7,))),
    Numbers((1,) * 20),
)
FORWARD = {1: "conv1d", 2: "conv2d", 3: "conv3d"}
KINDS = (
    "forward",
    "forward",
    "conv",
    "transposed",
    "depthwise",
    "separable",
    "input_gradient",
    "kernel_gradient",
    "all",
)


def draw(random: Random) -> Case:
    """A call, odd or not."""
    case = _usual(random)
    for _ in range(random.choice((0, 0, 0, 0, 1, 1, 2))):
        name = random.choice(list(case.arguments))
        pool = ODD_ARRAYS if isinstance(case.arguments[name], Numbers) and random.random() < 0.7 else ODD
        case = case.with_argument(name, random.choice(pool))
    return case


def _usual(random: Random) -> Case:
    """A call as it is meant: its arrays fit together unless padding or the kernel's length say otherwise."""
    kind, pick = random.choice(KINDS), random.choice
    rank = pick((1, 1, 2, 2, 3) if kind not in ("depthwise", "separable") else (1, 2))
    layout, kernel_layout = pick(layouts(rank)), pick(kernel_layouts(rank))
    groups, most = pick((1, 1, 1, 2, 3)), 17 if rank < 3 else 5
    inputs, outputs = (groups * min(pick(SIZES), most) for _ in range(2))
    taps = tuple(pick((1, 2, 3, 5)) for _ in range(rank))
    sizes = tuple(pick(SIZES[3 - rank :]) if rank < 3 else pick((1, 4, 7)) for _ in range(rank))
    batch = tuple(pick((0, 1, 2, 3, 3)) for _ in range(pick((1, 1, 2)) if layout.endswith("C") else 1))
    dtype, order = pick(("float32", "float32", "float64")), pick(("C", "C", "F", "gaps"))

    def numbers(*shape: int) -> Numbers:
        return Numbers(shape, dtype, order)

    arguments: dict[str, Any] = {"x": numbers(*join_shape(layout, batch, inputs, sizes))}
    options: dict[str, Any] = {
        "stride": pick((1, 1, 2, 3, tuple(pick((1, 2)) for _ in range(rank)))),
        "padding": pick((*PADDINGS, 0, 1, 3, tuple((pick((0, 1, 4)), pick((0, 2))) for _ in range(rank)))),
        "dilation": pick((1, 1, 2, tuple(pick((1, 3)) for _ in range(rank)))),
        "groups": groups,
        "layout": layout,
        "kernel_layout": kernel_layout,
        "padding_mode": pick(("zeros", *PADDING_MODES)),
        "activation": pick((None, None, *ACTIVATIONS, ("leaky_relu", 0.1))),
        "precision": pick(("high", "exact")),
    }
    kernel, bias = numbers(*join_kernel_shape(kernel_layout, taps, inputs // groups, outputs)), numbers(outputs)
    if kind in ("forward", "conv"):
        arguments |= {"kernel": kernel, "bias": pick((None, bias))}
        function = FORWARD[rank] if kind == "forward" else "conv"
    elif kind == "transposed":
        of_transposed = join_kernel_shape(kernel_layout, taps, outputs // groups, inputs)
        arguments |= {"kernel": numbers(*of_transposed), "bias": pick((None, bias))}
        options["output_padding"] = pick((None, None, 0, 1))
        del options["padding_mode"]
        function = f"conv{rank}d_transpose"
    elif kind in ("depthwise", "separable"):
        multiplier = pick((1, 1, 2))
        first = kernel_layout.startswith("O")
        by_channel = (inputs * multiplier, 1, *taps) if first else (*taps, inputs, multiplier)
        point = join_kernel_shape(kernel_layout, (1,) * rank, inputs * multiplier, outputs)
        name = "kernel" if kind == "depthwise" else "depthwise_kernel"
        arguments[name] = numbers(*by_channel)
        if kind == "separable":
            arguments["pointwise_kernel"] = numbers(*point)
        del options["groups"]
        function = f"{kind}_conv{rank}d"
    else:
        out = tuple(max(1, size - pick((0, 1, 2))) for size in sizes)
        dy = numbers(*join_shape(layout, batch, outputs, out))
        arguments |= {"kernel": kernel, "dy": dy}
        if kind != "all":
            del options["activation"]
        if kind == "input_gradient":
            arguments["input_shape"] = arguments.pop("x").shape
        if kind == "kernel_gradient":
            arguments["kernel_size"] = pick((taps, taps[0]))
            del arguments["kernel"]
        function = "conv_gradients" if kind == "all" else kind
    kept = {
        name: value for name, value in options.items() if random.random() < 0.6 or "layout" in name or name == "groups"
    }
    return Case(function, arguments | kept)
