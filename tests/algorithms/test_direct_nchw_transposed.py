"""Direct summation through a transposition: right wherever it may be chosen, on sizes that fill tiles or do not."""

from itertools import product
from math import prod

import numpy as np
import pytest
from checking import assert_is_right, call, plain_options, preferring, random_dy, repro, resized, with_costs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import conv_specs, random_arrays

import faltung as ft
from faltung import reference
from faltung.algorithms import choose
from faltung.operators.convolution import Convolution
from faltung.runtime import processor


@pytest.fixture(autouse=True)
def preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel computes whatever it can, also where it does not pay."""
    monkeypatch.setattr(choose, "FORWARD", preferring("direct_nchw_transposed"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conv_specs(group_counts=(1,)), st.integers(0, 2**32 - 1))
def test_every_spec_is_right(spec: ft.ConvSpec, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for sized in (spec, resized(spec, rng), resized(spec, rng)):
        arrays, line = random_arrays(sized, seed), repro(sized, seed)
        assert_is_right(call(sized, *arrays), sized, *arrays, line)


CHANNELS = [(1, 3), (3, 17), (8, 8), (16, 65), (512, 9)]
WINDOWS = ["kw1", "kw3", "kw3 sw2", "kw4 dw3", "kw5 sw3 dw2 same"]
ENDINGS = ["", " bias relu", " same reflect gelu bias"]


@pytest.mark.parametrize(("channels", "window", "ending"), list(product(CHANNELS, WINDOWS, ENDINGS)))
def test_channels_windows_and_endings(channels: tuple[int, int], window: str, ending: str) -> None:
    window = window.replace(" same", "") if "same" in ending else window
    for width in (14, 25, 203):
        spec = ft.ConvSpec.from_text(f"conv1d n2 w{width} ic{channels[0]} oc{channels[1]} {window}{ending} ncw oiw")
        assert Convolution(spec).algorithm == "direct_nchw_transposed"
        arrays = random_arrays(spec, width)
        assert_is_right(call(spec, *arrays), spec, *arrays, repro(spec, width))


@pytest.mark.parametrize("layer", [
    "conv2d n2 h7 w9 ic20 oc33 kh1 kw1 nchw oihw",
    "conv2d n2 h7 w9 ic20 oc33 kh1 kw1 sh2 sw2 nchw oihw",
    "conv2d n2 h7 w9 ic20 oc33 kh1 kw3 same nchw oihw",
    "conv3d n2 d3 h5 w7 ic20 oc33 kd1 kh1 kw1 ncdhw oidhw",
    "conv3d n2 d5 h5 w7 ic9 oc33 kd1 kh1 kw1 sd2 sh1 sw1 ncdhw oidhw",
])  # fmt: skip
def test_images_and_volumes(layer: str) -> None:
    spec = ft.ConvSpec.from_text(layer)
    assert Convolution(spec).algorithm == "direct_nchw_transposed"
    arrays = random_arrays(spec)
    assert_is_right(call(spec, *arrays), spec, *arrays, repro(spec, 0))


def test_stretches_share_threads_and_the_second_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    small = with_costs(processor.current(), transposed={"l2_share": 0.01})
    monkeypatch.setattr(processor, "current", lambda: small)
    spec = ft.ConvSpec.from_text("conv1d n2 w800 ic64 oc70 kw3 same bias ncw oiw")
    plan = Convolution(spec).plan
    assert plan.parameters.num_w_blocks > 4
    arrays = random_arrays(spec)
    assert_is_right(call(spec, *arrays), spec, *arrays, repro(spec, 0))


def test_lines_behind_the_input_are_not_read() -> None:
    """Some polyphase components of a strided gradient have more lines than there are gradients of outputs."""
    spec = ft.ConvSpec.from_text("conv3d n1 d7 h13 w3 ic8 oc16 kd1 kh3 kw1 sd3 sh3 ncdhw f32")
    (_, kernel, _), dy = random_arrays(spec), np.full(2 * prod(spec.output_shape), np.nan, "f4")
    dy = dy[: dy.size // 2].reshape(spec.output_shape)
    dy[...] = random_dy(spec, 0)
    dx = ft.input_gradient(dy, kernel, spec.input_shape, **plain_options(spec))
    error = abs(dx - reference.input_gradient(dy, kernel, spec=spec))
    assert (error <= reference.input_gradient_bound(dy, kernel, spec=spec)).all()
