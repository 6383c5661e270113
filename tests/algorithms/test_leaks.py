"""Numbers outside the window stay out of a sum, whatever the data: the rule that docs/accuracy.md states."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checking import preferring

import faltung as ft
from faltung.algorithms import choose
from faltung.bench.accuracy import ALLOWED, FUNCTIONS, Numbers, Sum, compare, sums_of
from faltung.bench.kinds import KINDS, random_kernels, random_spec

FAR = (-9999.0, 1e6, 1e9, 1e20)
LAYERS = [
    "conv1d n2 w90 ic8 oc16 kw3 same f32",
    "conv1d n2 w90 ic16 oc24 kw7 sw2 bias f32",
    "conv1d n1 w120 ic24 oc16 kw9 causal f32",
    "conv1d n2 w77 ic16 oc16 kw5 dw3 ncw oiw f32",
    "conv2d n1 h9 w12 ic8 oc16 kh5 kw5 dw2 ph2 pw4 nchw oihw f32",
    "conv3d n1 d5 h6 w9 ic16 oc8 kd3 kh3 kw3 same f32",
    "conv1d n2 w700 ic2 oc2 kw101 same f32",
]


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Toom-Cook computes whatever it can, also where it does not pay."""
    monkeypatch.setattr(choose, "FORWARD", preferring("winograd"))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("layer", LAYERS)
def test_every_kind_of_data_keeps_the_rule(layer: str, function: str) -> None:
    found: Numbers = {}
    for seed, kind in enumerate(KINDS):
        compare(sums_of(np.random.default_rng(seed), ft.ConvSpec.from_text(layer), function, kind), kind, found)
    assert any(name.startswith(("winograd", "fft")) for name, _ in found)
    assert [line for errors in found.values() for line in errors.beyond] == []


def test_random_convolutions_keep_the_rule() -> None:
    rng, found = np.random.default_rng(20), Numbers()
    for number, kernel in enumerate(random_kernels(rng, 10)):
        spec = random_spec(rng, kernel)
        for kind in KINDS:
            compare(sums_of(rng, spec, FUNCTIONS[number % 3], kind), kind, found)
    assert [line for errors in found.values() for line in errors.beyond] == []


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("layout", ["NWC", "NCW"])
def test_a_far_number_leaks_into_no_other_output(far: float, layout: str) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((1, 400, 64)).astype("f4"), rng.standard_normal((3, 64, 64)).astype("f4")
    x[0, 200, 5] = far
    results = []
    for precision in ("high", "exact"):
        data = x if layout == "NWC" else np.ascontiguousarray(x.transpose(0, 2, 1))
        y = ft.conv1d(data, kernel, padding="same", layout=layout, precision=precision)
        results.append(y if layout == "NWC" else y.transpose(0, 2, 1))
    high, exact = (np.delete(y, [199, 200, 201], axis=1) for y in results)
    assert np.abs(high - exact).max() < 2e-4


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_a_causal_layer_does_not_see_the_future(special: float) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((1, 100, 16)).astype("f4"), rng.standard_normal((5, 16, 16)).astype("f4")
    x[0, 50:] = special
    y = ft.conv1d(x, kernel, padding="causal")
    assert np.isfinite(y[0, :50]).all() and not np.isfinite(y[0, 50:]).any()
    x[0, 51:] = 0
    y = ft.conv1d(x, kernel, padding="causal")
    assert np.argwhere(~np.isfinite(y[0]).all(axis=1)).ravel().tolist() == [50, 51, 52, 53, 54]
    np.testing.assert_array_equal(y[0, 55:], 0)


@pytest.mark.usefixtures("fast")
def test_zeros_give_the_bias_and_what_is_not_negative_stays_so() -> None:
    rng = np.random.default_rng(0)
    x, kernel = np.zeros((1, 16, 16, 16), "f4"), rng.random((3, 3, 16, 16)).astype("f4")
    x[0, 7, 7, 3] = 1e6
    y = ft.conv2d(x, kernel, padding="same")
    assert y.min() >= 0 and np.count_nonzero(y) == 9 * 16
    bias = rng.standard_normal(16).astype("f4")
    y = ft.conv2d(x, kernel, bias, padding="same")
    assert (y[0, :6] == bias).all() and (y[0, 9:] == bias).all()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "change",
    [lambda w: w * np.array([1e6, 1, 1e-6]).reshape(3, 1, 1), lambda w: w * np.array([1, 0, 0]).reshape(3, 1, 1)],
    ids=["unlike taps", "a single tap"],
)
def test_taps_that_an_end_does_not_meet_leak_nothing(change: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((2, 30, 16)).astype("f4"), change(rng.standard_normal((3, 16, 16))).astype("f4")
    high, exact = (ft.conv1d(x, kernel, padding="same", precision=precision) for precision in ("high", "exact"))
    own = ft.conv1d(np.abs(x), np.abs(kernel), padding="same", precision="exact")
    assert (np.abs(high - exact) <= ALLOWED * 48 * 2.0**-23 * own).all()


@pytest.mark.parametrize("exponent", [0.3, 1.0, 6.0])
@pytest.mark.parametrize("layer", ["conv2d n2 h12 w14 ic8 oc16 kh3 kw3 same f32", LAYERS[5]])
def test_rows_of_unlike_scales_in_a_kernel_gradient(layer: str, exponent: float) -> None:
    spec, found = ft.ConvSpec.from_text(layer), Numbers()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x, dy = (rng.standard_normal(shape) for shape in (spec.input_shape, spec.output_shape))
        rows = [1, *spec.in_size[:-1], 1, 1]
        scales = 10 ** rng.uniform(-exponent, exponent, rows)
        for name, theirs in (("of x", 1), ("of both", scales), ("inverse", 1 / scales)):
            arrays = (x * scales).astype("f4"), (dy * theirs).astype("f4")
            compare(Sum(spec, "kernel gradient", arrays, None), name, found)
    assert found["winograd_gradient", "of x"].count
    assert [line for errors in found.values() for line in errors.beyond] == []


def alone_in_each_part(x: Any, kernel: Any, dilation: int) -> None:
    """Few numbers in every window; some windows meet each of theirs with a tap that is next to nothing."""
    apart = len(kernel) // 4
    x[:] = (np.arange(x.shape[1]) % (apart * dilation) < dilation)[None, :, None]
    kernel[10::apart] = 1e-7


def alone_at_an_end(x: Any, kernel: Any, dilation: int) -> None:
    """One number at the end, which the first outputs that an FFT computes see with a tap that is next to nothing."""
    reach = math.ceil(4 * len(kernel) ** 0.25)
    x[:, : reach * dilation] = 0
    x[:, :dilation] = 2
    kernel[-reach] = 1e-7


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("change", [alone_in_each_part, alone_at_an_end])
def test_a_number_that_is_alone_in_a_window_of_an_fft(change: Callable[..., None], dilation: int) -> None:
    spec = ft.ConvSpec.from_text(f"conv1d n1 w1910 ic1 oc1 kw200 dw{dilation} causal f32")
    rng, found = np.random.default_rng(0), Numbers()
    x, kernel = (rng.standard_normal(shape).astype("f4") for shape in (spec.input_shape, spec.kernel_shape))
    change(x, kernel, dilation)
    compare(Sum(spec, "forward", (x, kernel), None), "normal", found)
    assert found["fft", "normal"].beyond == []


def test_tiles_that_are_summed_directly_do_not_depend_on_the_threads() -> None:
    rng = np.random.default_rng(0)
    x, kernel = rng.standard_normal((4, 300, 64)).astype("f4"), rng.standard_normal((3, 64, 64)).astype("f4")
    x[1, 100, 3], x[3, 250:] = np.nan, 0
    dy, threads, results = rng.standard_normal((4, 298, 64)).astype("f4"), ft.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            ft.set_num_threads(count)
            results.append((ft.conv1d(x, kernel).tobytes(), ft.kernel_gradient(x, dy, 3).tobytes()))
    finally:
        ft.set_num_threads(threads)
    assert results[0] == results[1] == results[2]
