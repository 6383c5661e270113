"""The Winograd kernel: right wherever it may be chosen, within the accuracy rule, and chosen where it pays."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from checking import assert_is_right, call, preferring, random_dy, repro, resized
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import random_arrays, winograd_specs

import faltung as ft
from faltung import reference
from faltung.algorithms import choose
from faltung.algorithms.winograd import plan
from faltung.algorithms.winograd.toom_cook import matrices
from faltung.algorithms.winograd_gradient import plan as winograd_gradient
from faltung.machine import known
from faltung.operators.convolution import Convolution
from faltung.operators.gradients import KernelGradient
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.runtime import processor
from faltung.runtime.launch import Launch

MOST_TIMES_DIRECT = 8  # the accuracy rule of precision="high"


@pytest.fixture
def preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Winograd kernel computes whatever it can, also where it does not pay."""
    monkeypatch.setattr(choose, "FORWARD", preferring("winograd"))


@pytest.mark.parametrize("form", plan.FORMS, ids=str)
def test_the_matrices_are_exact(form: tuple[int, int]) -> None:
    outputs, taps = form
    a, g, b = matrices(outputs, taps)
    rng = np.random.default_rng(0)
    x, w = ([Fraction(int(n)) for n in rng.integers(-9, 10, size)] for size in (outputs + taps - 1, taps))

    def times(matrix: tuple[tuple[Fraction, ...], ...], vector: list[Fraction]) -> list[Fraction]:
        return [sum((m * v for m, v in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]

    y = times(a, [p * q for p, q in zip(times(g, w), times(b, x), strict=True)])
    assert y == [sum(x[j + k] * w[k] for k in range(taps)) for j in range(outputs)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(winograd_specs(), st.integers(0, 2**32 - 1))
def test_every_spec_is_within_the_bound(preferred: None, spec: ft.ConvSpec, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for sized in (spec, resized(spec, rng), resized(spec, rng)):
        arrays, line = random_arrays(sized, seed), repro(sized, seed)
        assert_is_right(call(sized, *arrays), sized, *arrays, line)


LAYERS = [
    "conv1d n2 w200 ic128 oc32 kw3 f32",
    "conv1d n2 w200 ic128 oc32 kw4 dw3 f32",
    "conv1d n2 w200 ic128 oc32 kw5 f32",
    "conv1d n2 w200 ic64 oc32 kw7 f32",
    "conv1d n2 w200 ic64 oc32 kw6 ncw oiw f32",
    "conv1d n2 w400 ic64 oc32 kw7 sw2 same f32",
    "conv1d n2 w401 ic64 oc32 kw5 sw2 same ncw oiw f32",
    "conv1d n2 w600 ic32 oc32 kw10 sw3 f32",
    "conv2d n2 h20 w20 ic64 oc64 kh3 kw3 same f32",
    "conv2d n2 h20 w20 ic64 oc64 kh3 kw3 same nchw oihw f32",
    "conv3d n1 d8 h12 w12 ic32 oc32 kd3 kh3 kw3 same f32",
]


@pytest.mark.parametrize(("layer", "mean"), list(product(LAYERS, (0.0, 100.0))))
def test_the_error_is_within_eight_times_that_of_direct_summation(preferred: None, layer: str, mean: float) -> None:
    spec = ft.ConvSpec.from_text(layer)
    for form in plan.FORMS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "FORMS", (form,))
            if plan.refuse(Problem.of(spec), processor.current()) is not None:
                continue
            worst = {"high": 0.0, "exact": 0.0}
            fast, direct = (Convolution(spec.replace(precision=p)) for p in worst)
            assert (fast.algorithm, direct.algorithm != "winograd") == ("winograd", True)
            for seed in range(10):
                x, kernel, _ = random_arrays(spec, seed)
                x += np.float32(mean)
                expected = reference.conv(x, kernel, spec=spec)
                for precision, conv in (("high", fast), ("exact", direct)):
                    worst[precision] = max(worst[precision], float(abs(conv(x, kernel) - expected).max()))
            assert worst["high"] <= MOST_TIMES_DIRECT * worst["exact"], (form, worst)


@pytest.mark.parametrize("layer", LAYERS[:1] + LAYERS[5:])
def test_dense_layers_of_three_taps_are_served(layer: str) -> None:
    spec = ft.ConvSpec.from_text(layer)
    assert ft.compile(spec).algorithm == "winograd"
    assert ft.compile(spec.replace(precision="exact")).algorithm != "winograd"


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        ("conv2d n2 h20 w20 ic64 oc64 kh3 kw3 sh2 f32", "the stride of lines is not 1"),
        ("conv1d n2 w200 ic128 oc128 kw3 sw2 f32", "fewer than 3 taps along w in a component"),
        ("conv1d n2 w200 ic128 oc128 kw7 sw2 dw2 f32", "a stride together with a dilation"),
        ("conv1d n2 w200 ic130 oc128 kw7 sw2 f32", "the channels of a component do not fill vectors"),
        ("conv1d n2 w200 ic128 oc128 kw2 f32", "fewer than 3 taps along w"),
        ("conv1d n2 w200 ic128 oc128 kw3 g32 f32", "channels in or out of a group"),
        ("conv1d n2 w200 ic4 oc128 kw3 f32", "channels in or out of a group"),
        ("conv1d n2 w200 ic128 oc128 kw3 exact f32", 'precision "exact" asks for direct summation'),
    ],
)
def test_what_it_refuses_it_explains(layer: str, why: str) -> None:
    reasons = [
        reason for reason in ft.compile(ft.ConvSpec.from_text(layer)).plan.reasons if reason.startswith("winograd")
    ]
    assert len(reasons) == 1 and why in reasons[0]


STRIDES = ["kw7 sw2", "kw5 sw2", "kw10 sw3", "kw13 sw4", "kw9 sw3 reflect pw4"]


@pytest.mark.parametrize(("window", "ending"), list(product(STRIDES, ("", " bias relu", " ncw oiw"))))
def test_phases_of_a_stride_are_further_inputs(preferred: None, window: str, ending: str) -> None:
    for width in (30, 61, 250):
        spec = ft.ConvSpec.from_text(f"conv1d n3 w{width} ic16 oc24 {window}{ending} f32")
        assert Convolution(spec).algorithm == "winograd"
        arrays, line = random_arrays(spec, width), repro(spec, width)
        assert_is_right(call(spec, *arrays), spec, *arrays, line)


@pytest.mark.parametrize("layer", LAYERS)
def test_bits_do_not_depend_on_the_number_of_threads(preferred: None, layer: str) -> None:
    spec = ft.ConvSpec.from_text(layer)
    arrays = random_arrays(spec, 1)
    before, results = ft.get_num_threads(), set()
    try:
        for num_threads in (1, 2, 5):
            ft.set_num_threads(num_threads)
            results.add(call(spec, *arrays).tobytes())
    finally:
        ft.set_num_threads(before)
    assert len(results) == 1


@pytest.mark.parametrize("layer", ["conv1d n2 w60 ic16 oc16 kw3 f32", "conv2d n1 h9 w20 ic16 oc16 kh3 kw3 nchw f32"])
def test_nan_and_infinity_stay_near(preferred: None, layer: str) -> None:
    """A tile shares its inputs: what one of them spoils reaches at most the outputs of the tiles that read it."""
    spec = ft.ConvSpec.from_text(layer)
    x, kernel, _ = random_arrays(spec)
    clean = call(spec, x, kernel)
    for special in (np.nan, np.inf):
        spoilt = x.copy()
        place = tuple(size // 2 for size in x.shape)
        spoilt[place] = special
        y = call(spec, spoilt, kernel)
        touched = ~np.isfinite(reference.conv(spoilt, kernel, spec=spec))
        assert not np.isfinite(y[touched]).any()
        assert np.isfinite(y[~touched]).all()
        np.testing.assert_allclose(y[~touched], clean[~touched], rtol=0, atol=2e-4)  # beside it, directly


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(winograd_specs(), st.integers(0, 2**32 - 1))
def test_every_kernel_gradient_is_within_the_bound(spec: ft.ConvSpec, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for sized in (spec, resized(spec, rng), resized(spec, rng)):
        sized = sized.replace(bias=False, activation=None)
        problem, line = Problem.of(sized), repro(sized, seed)
        if 0 in sized.output_shape or winograd_gradient.refuse(problem, processor.current()) is not None:
            continue
        launch = Launch(winograd_gradient.plan(problem, processor.current()))
        (x, *_), dy = random_arrays(sized, seed), random_dy(sized, seed)
        dw = np.full(sized.kernel_shape, np.nan, sized.dtype)
        launch(np.ascontiguousarray(x), dy, None, dw)
        expected = reference.kernel_gradient(x, dy, spec=sized)
        error = abs(dw - expected)
        assert (error <= reference.kernel_gradient_bound(x, dy, spec=sized)).all(), line


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_are_fast_and_within_the_accuracy_rule(layer: str) -> None:
    spec = ft.ConvSpec.from_text(layer)
    worst = {"high": 0.0, "exact": 0.0}
    for precision in worst:
        gradient = KernelGradient(spec.replace(precision=precision))
        assert gradient.plan is not None
        assert gradient.plan.algorithm.startswith("winograd") == (precision == "high")
        for seed in range(10):
            (x, *_), dy = random_arrays(spec, seed), random_dy(spec, seed)
            error = gradient.run(np.ascontiguousarray(x), dy) - reference.kernel_gradient(x, dy, spec=spec)
            worst[precision] = max(worst[precision], float(abs(error).max()))
    assert worst["high"] <= MOST_TIMES_DIRECT * worst["exact"], worst


SMALL_LAYERS = ["w32 ic64 oc128 kw5 pw2", "h8 w8 ic64 oc64 kh3 kw3 ph1 pw1", "h4 w4 ic256 oc256 kh3 kw3 ph1 pw1"]


def small_plans(layer: str) -> list[Plan]:
    """Of a layer of a network, for several batches."""
    rank = 2 if "h" in layer.split()[0] else 1
    spec = ft.ConvSpec.from_text(f"conv{rank}d {layer} n1 f32")
    problems = [Problem.of(spec.replace(batch=batch)) for batch in (1, 2, 7, 32)]
    return [plan.plan(replace(problem, is_kernel_constant=True), known.AVX512) for problem in problems]


@pytest.mark.parametrize("layer", SMALL_LAYERS)
def test_few_tiles_fill_their_register_tile(layer: str) -> None:
    """Rows of a register tile that hold none cost as much as those that hold one."""
    found, *_ = small_plans(layer)
    tiles, rows = found.parameters.block_lines * found.parameters.staged_tiles, found.kernel.rows
    assert tiles > 0.85 * (-(-tiles // rows) * rows), found.reasons


@pytest.mark.parametrize("layer", [*SMALL_LAYERS, "w60 ic64 oc64 kw3 pw1", "w25 ic128 oc128 kw6", "w100 ic32 oc64 kw3"])
def test_batches_have_the_sums_of_single_samples(layer: str) -> None:
    """Other outputs and taps at once give other bits.

    Images are not cut together: their tiles are the same too.
    """
    kernels = [found.kernel for found in small_plans(layer)]
    assert len({(kernel.outputs, kernel.segment_taps) for kernel in kernels}) == 1
    assert len({*kernels}) == 1 or len(kernels[0].axes) == 1
