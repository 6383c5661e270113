"""Hypothesis strategies for specs over the whole space, small enough that an example takes milliseconds."""

from collections.abc import Sequence

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from faltung.spec import ACTIVATIONS, PADDING_MODES, ConvSpec
from faltung.spec.geometry import window_size
from faltung.spec.layout import kernel_layouts, layouts

LENGTHS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33)  # around the widths of vectors
GROUPS = (1, 1, 1, 2, 3, 4, 8, 16, 17)


@st.composite
def conv_specs(
    draw: st.DrawFn,
    *,
    ranks: Sequence[int] = (1, 2, 3),
    dtypes: Sequence[str] = ("float32", "float64"),
    padding_modes: Sequence[str] = PADDING_MODES,
    activations: Sequence[str | None] = (None, *ACTIVATIONS),
    precisions: Sequence[str] = ("high", "exact"),
    channels_last: bool | None = None,
    group_counts: Sequence[int] = GROUPS,
    group_channels: Sequence[int] = LENGTHS,
    most_stride: int = 4,
    max_macs: int = 200_000,
) -> ConvSpec:
    """Draw a valid spec of at most ``max_macs``; a tuple of one value fixes a field."""
    budget = max_macs

    def size(values: Sequence[int]) -> int:
        """Draw a size that the rest of the budget can pay, and pay it."""
        nonlocal budget
        drawn = draw(st.sampled_from([value for value in values if value <= max(budget, 1)]))
        budget //= max(drawn, 1)
        return drawn

    rank = draw(st.sampled_from(ranks))
    is_last = draw(st.booleans()) if channels_last is None else channels_last
    layout = layouts(rank)[0 if is_last else 1]
    mode = draw(st.sampled_from(padding_modes))
    words = ["valid", "same", "same_lower", *(["causal"] if rank == 1 else [])]
    word = draw(st.sampled_from(["pairs", *words]))

    groups = draw(st.sampled_from(group_counts))
    budget //= groups
    inputs, outputs = (size(group_channels if groups <= 4 else (1, 2, 3)) for _ in range(2))
    kernel_size = tuple(size(range(1, 8) if rank > 1 else (1, 2, 3, 4, 5, 7, *LENGTHS)) for _ in range(rank))
    dilation = tuple(draw(st.integers(1, 3)) for _ in range(rank))
    stride = tuple(draw(st.integers(1, most_stride)) for _ in range(rank))
    batch = tuple(size((1, 2, 3)) for _ in range(draw(st.integers(1, 3)) if is_last else 1))
    if draw(st.integers(0, 19)) == 0:
        batch = (0, *batch[1:])

    in_size, pairs = [], []
    for window in map(window_size, kernel_size, dilation):
        low, high = (draw(st.integers(0, window + 1)) for _ in range(2)) if word == "pairs" else (0, 0)
        length = size(LENGTHS)
        if mode != "zeros":
            length = max(length, window, low + 1, high + 1)
        elif word in ("valid", "pairs"):
            length = max(length, window - low - high)
        elif draw(st.integers(0, 19)) == 0:
            length = 0
        in_size.append(length)
        pairs.append((low, high))

    activation = draw(st.sampled_from(activations))
    parameter = None
    if activation and ACTIVATIONS[activation] is not None:
        parameter = draw(st.sampled_from((None, 0.01, 0.3, 1.0, 2.0)))
    spec = ConvSpec(
        in_size=in_size,
        in_channels=groups * inputs,
        out_channels=groups * outputs,
        kernel_size=kernel_size,
        batch=batch,
        stride=stride,
        padding=pairs if word == "pairs" else word,
        dilation=dilation,
        groups=groups,
        layout=layout,
        kernel_layout=draw(st.sampled_from(kernel_layouts(rank))),
        padding_mode=mode,
        bias=draw(st.booleans()),
        activation=activation,
        activation_parameter=parameter,
        precision=draw(st.sampled_from(precisions)),
        dtype=draw(st.sampled_from(dtypes)),
    )
    assume(spec.macs <= max_macs)
    return spec


def winograd_specs(max_macs: int = 400_000) -> st.SearchStrategy[ConvSpec]:
    """Specs that the Winograd kernel may serve, most of them."""
    words = {"group_counts": (1,), "group_channels": (8, 9, 16, 17, 33), "most_stride": 3, "precisions": ("high",)}
    return conv_specs(**words, max_macs=max_macs)


def random_arrays(
    spec: ConvSpec, seed: int = 0, *, integers: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return x, kernel and bias (None where the spec has none) for ``spec``.

    Normal numbers, or small integers whose sums are exact in float32. The arrays are slices of larger ones full of
    NaN, so that a read outside shows.
    """
    rng = np.random.default_rng(seed)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        larger = np.full(np.prod(shape, dtype=int) + 64, np.nan, spec.dtype)
        inner = larger[32:-32].reshape(shape)
        inner[...] = rng.integers(-4, 5, shape) if integers else rng.standard_normal(shape)
        return inner

    return draw(spec.input_shape), draw(spec.kernel_shape), draw((spec.out_channels,)) if spec.bias else None
