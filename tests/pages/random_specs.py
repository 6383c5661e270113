"""Random convolutions and transposed ones over every option, small enough to compare each number of a page."""

from functools import partial
from typing import Any

import numpy as np

import faltung as ft
from faltung import reference
from faltung.spec import ACTIVATIONS, PADDING_MODES

Array = np.ndarray


def forward(seed: int) -> tuple[ft.ConvSpec, Array, Array, Array | None]:
    """Return a spec in float64 with its x, kernel and bias."""
    rng = np.random.default_rng(seed)
    while True:
        rank, groups = 1 + seed % 3, int(rng.choice([1, 1, 2, 3]))
        words = ["valid", "same", "same_lower", *(["causal"] if rank == 1 else [])]
        pairs = [tuple(map(int, rng.integers(0, 3, 2))) for _ in range(rank)]
        try:
            spec = ft.ConvSpec(
                in_size=tuple(map(int, rng.integers(3, (15, 8, 5)[rank - 1], rank))),
                in_channels=groups * int(rng.integers(1, 4)),
                out_channels=groups * int(rng.integers(1, 4)),
                kernel_size=tuple(map(int, rng.integers(1, (6, 4, 3)[rank - 1], rank))),
                stride=tuple(map(int, rng.integers(1, 4, rank))),
                dilation=tuple(map(int, rng.integers(1, 3, rank))),
                padding=pairs if rng.integers(2) else str(rng.choice(words)),
                padding_mode=str(rng.choice(PADDING_MODES)),
                groups=groups,
                bias=bool(rng.integers(2)),
                activation=str(rng.choice(list(ACTIVATIONS))) if rng.integers(2) else None,
                dtype="float64",
            )
        except ft.ShapeError:
            continue
        x, kernel = rng.standard_normal(spec.input_shape), rng.standard_normal(spec.kernel_shape)
        return spec, x, kernel, rng.standard_normal(spec.out_channels) if spec.bias else None


def transposed(seed: int) -> tuple[Any, Array, Array]:
    """Return a transposed convolution with everything filled in but x, x, and what it gives by the reference."""
    rng = np.random.default_rng(seed)
    rank, groups = 1 + seed % 3, int(rng.choice([1, 2]))
    size = tuple(map(int, rng.integers(2, (7, 5, 4)[rank - 1], rank)))
    taps = tuple(map(int, rng.integers(1, (5, 4, 3)[rank - 1], rank)))
    stride, dilation = (tuple(map(int, rng.integers(1, 4, rank))) for _ in range(2))
    padding = [(int(rng.integers(0, 2)), 0) if taps[axis] > 1 else (0, 0) for axis in range(rank)]
    inputs, outputs = groups * int(rng.integers(1, 3)), groups * int(rng.integers(1, 3))
    x, kernel = rng.standard_normal((1, *size, inputs)), rng.standard_normal((*taps, outputs // groups, inputs))
    bias = rng.standard_normal(outputs)
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    call = partial((ft.conv1d_transpose, ft.conv2d_transpose, ft.conv3d_transpose)[rank - 1], kernel=kernel, bias=bias)
    y = call(x, **options)
    spec = ft.ConvSpec(
        in_size=y.shape[1:-1],
        in_channels=outputs,
        out_channels=inputs,
        kernel_size=taps,
        dtype="float64",
        **options,
    )
    expected = reference.input_gradient(x, kernel, spec=spec) + bias
    return partial(call, **options), x, expected
