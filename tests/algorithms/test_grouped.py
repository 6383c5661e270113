"""Depthwise layers and small groups on sizes that fill a tile, leave a remainder, or are smaller than one."""

from itertools import product

import numpy as np
import pytest
from checking import assert_is_right, call, plain_options, random_dy
from strategies import random_arrays

import faltung as ft
from faltung import reference
from faltung.algorithms.direct_nchw.kernel import DirectNchwKernel
from faltung.algorithms.grouped.kernel import GroupedKernel
from faltung.operators.convolution import Convolution

GROUPS = {"depthwise": (40, 1, 1), "multiplier": (5, 1, 2), "pairs": (6, 2, 4), "one": (1, 3, 1)}
WINDOWS = [(3, 3, 1, 1), (7, 7, 1, 1), (5, 2, 2, 1), (1, 9, 1, 2), (3, 3, 2, 2), (17, 3, 1, 1), (9, 3, 4, 1)]
SIZES = [(20, 50), (17, 9), (33, 14)]


def spec_of(groups: str, window: tuple[int, int, int, int], size: tuple[int, int], layout: str) -> ft.ConvSpec:
    count, inputs, outputs = GROUPS[groups]
    kh, kw, stride, dilation = window
    return ft.ConvSpec(
        in_size=(size[0] + (kh - 1) * dilation, size[1] + (kw - 1) * dilation),
        in_channels=count * inputs,
        out_channels=count * outputs,
        kernel_size=(kh, kw),
        batch=2,
        stride=(stride, stride),
        padding="same" if (kh + size[1]) % 2 else "valid",
        dilation=(dilation, dilation),
        groups=count,
        layout=layout,
        kernel_layout="OIHW",
        bias=True,
        activation="relu",
        precision="exact",
    )


CASES = list(product(GROUPS, WINDOWS, SIZES))


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("groups", "window", "size"), CASES)
def test_forward(groups: str, window: tuple[int, int, int, int], size: tuple[int, int], layout: str) -> None:
    spec = spec_of(groups, window, size, layout)
    x, kernel, bias = random_arrays(spec, 1)
    assert_is_right(call(spec, x, kernel, bias), spec, x, kernel, bias, spec.to_text())


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize(("groups", "window", "size"), CASES[::3])
def test_gradients(groups: str, window: tuple[int, int, int, int], size: tuple[int, int], layout: str) -> None:
    spec = spec_of(groups, window, size, layout).replace(bias=False, activation=None)
    x, kernel, _ = random_arrays(spec, 2)
    dy = random_dy(spec, 3)
    options = plain_options(spec)
    dx = ft.input_gradient(dy, kernel, spec.input_shape, **options)
    dw = ft.kernel_gradient(x, dy, spec.kernel_size, **options)
    dx_bound = reference.input_gradient_bound(dy, kernel, spec=spec)
    dw_bound = reference.kernel_gradient_bound(x, dy, spec=spec)
    assert np.all(np.abs(dx - reference.input_gradient(dy, kernel, spec=spec)) <= dx_bound)
    assert np.all(np.abs(dw - reference.kernel_gradient(x, dy, spec=spec)) <= dw_bound)


def test_the_tiles_above_are_those_of_the_title() -> None:
    last = Convolution(spec_of("depthwise", WINDOWS[0], SIZES[0], "NHWC")).plan
    first = Convolution(spec_of("depthwise", WINDOWS[0], SIZES[0], "NCHW")).plan
    assert last is not None and isinstance(last.kernel, GroupedKernel) and last.kernel.rows > 1  # type: ignore[union-attr]
    assert first is not None and isinstance(first.kernel, DirectNchwKernel) and first.kernel.lines > 1  # type: ignore[union-attr]


@pytest.mark.parametrize("layout", ["NWC", "NCW"])
@pytest.mark.parametrize(
    ("kw", "stride", "padding"), [(8, 4, "valid"), (12, 4, [(4, 4)]), (6, 2, "valid"), (7, 2, "same")]
)
def test_a_transposed_sequence_to_one_channel(layout: str, kw: int, stride: int, padding: str) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((3, 20, 5) if layout == "NWC" else (3, 5, 20))
    kernel = rng.standard_normal((5, 1, kw))
    y = ft.conv1d_transpose(x, kernel, stride=stride, padding=padding, layout=layout, kernel_layout="OIW")
    length = y.shape[1] if layout == "NWC" else y.shape[2]
    forward = ft.ConvSpec(
        in_size=(length,),
        in_channels=1,
        out_channels=5,
        kernel_size=(kw,),
        batch=3,
        stride=(stride,),
        padding=padding,
        layout=layout,
        kernel_layout="OIW",
        dtype="float64",
    )
    assert forward.output_shape == x.shape
    np.testing.assert_allclose(y, reference.input_gradient(x, kernel, spec=forward), rtol=1e-12, atol=1e-12)
