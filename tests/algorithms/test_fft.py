"""Long kernels by FFT against the oracle, forward and backward, and where FFT is chosen at all.

The rule for a fast algorithm: its error stays within 8 times that of direct summation on random data. On such data it
also stays within the bound of direct summation, output by output.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from checking import Array, exit_code, fork, preferring, random_dy, repro, with_costs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import random_arrays

import faltung as ft
import faltung.torch
from faltung import reference
from faltung.algorithms import choose
from faltung.algorithms.fft import plan as fft
from faltung.algorithms.fft.good_size import good_size
from faltung.algorithms.fft.plan import FftGradientPlan, FftPlan
from faltung.operators.convolution import Convolution
from faltung.operators.executor import executor_of
from faltung.operators.gradients import InputGradient, KernelGradient
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.problem import Problem
from faltung.runtime import processor
from faltung.runtime.python_threads import on_threads
from faltung.spec import ACTIVATIONS, PADDING_MODES
from faltung.spec.activation import NOT_IN_NUMPY

SEEDS = st.integers(0, 2**32 - 1)
MEANS = st.sampled_from((0.0, 0.0, 100.0))
LONG = "conv1d n1 w60000 ic1 oc1 kw1001 f32"


def quick(max_examples: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=max_examples, deadline=None, suppress_health_check=checks)


@pytest.fixture
def always_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFT costs nothing, so that it is chosen for small problems too, in tasks that are many."""
    free = dict.fromkeys(
        ("call_cycles", "task_cycles", "move_cycles", "interleaved_move_cycles", "product_cycles"), 0.0
    ) | dict.fromkeys(("butterfly_cycles", "far_butterfly_cycles", "matrix_product_cycles"), 1e-9)
    target = with_costs(processor.current(), fft=free | {"task_elements": 1000, "matrix_task_elements": 20_000})
    monkeypatch.setattr(processor, "current", lambda: target)


@pytest.fixture
def preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    """FFT computes whatever it can, whichever processor this is, in tasks of their usual size."""
    monkeypatch.setattr(choose, "FORWARD", preferring("fft"))


@st.composite
def long_specs(draw: st.DrawFn, *, activations: bool = True) -> ft.ConvSpec:
    """Draw a spec that FFT covers, of some ten milliseconds in the reference."""
    groups = draw(st.sampled_from((1, 1, 2, 5)))
    few = groups * draw(st.sampled_from((1, 2, 3))), groups * draw(st.sampled_from((1, 2, 4)))
    inputs, outputs = draw(st.sampled_from((few, few, few, (16, 17) if groups == 1 else few)))
    dilation, taps = draw(st.integers(1, 3)), draw(st.sampled_from((64, 65, 100)))
    window, stride = dilation * (taps - 1) + 1, draw(st.sampled_from((1, 1, 2, 5)))
    padding = draw(st.sampled_from(("valid", "valid", "same", "causal", (3, window // 2))))
    activation = draw(st.sampled_from((None, *ACTIVATIONS))) if activations else None
    return ft.ConvSpec(
        in_size=window + stride * (fft.FEWEST_TAPS - 1) + draw(st.sampled_from((0, 1, 40, 333))),
        in_channels=inputs,
        out_channels=outputs,
        kernel_size=taps,
        batch=draw(st.sampled_from((1, 2, 3))),
        stride=stride,
        padding=[padding] if isinstance(padding, tuple) else padding,
        dilation=dilation,
        groups=groups,
        layout=draw(st.sampled_from(("NWC", "NCW"))),
        kernel_layout=draw(st.sampled_from(("WIO", "OIW"))),
        padding_mode=draw(st.sampled_from(PADDING_MODES)),
        bias=activations and draw(st.booleans()),
        activation=None if activation in NOT_IN_NUMPY else activation,
        dtype=draw(st.sampled_from(("float32", "float32", "float64"))),
    )


Compute = Callable[..., Array]


def assert_follows_the_rule(y: Array, arrays: tuple[Array, ...], oracle: Compute, direct: Compute, line: str) -> None:
    """Compare errors in units of the last place; direct summation's in float32, where the oracle has none of its own.

    They count as at least the rounding of a sum of random signs, the root of the sum of squares.
    """
    error = np.abs(y - oracle(*arrays)).max(initial=0.0) / np.finfo(y.dtype).eps
    single = [array.astype(np.float32) for array in arrays]
    of_direct = np.abs(direct(*single) - oracle(*single)).max(initial=0.0) / np.finfo(np.float32).eps
    least = np.sqrt(np.abs(oracle(*(array.astype(float) ** 2 for array in single))).max(initial=0.0))
    most = 8 * max(of_direct, least)
    assert error <= most, f"{line}: error {error:.3g}, 8 times direct summation's is {most:.3g}"


def exact(spec: ft.ConvSpec) -> ft.ConvSpec:
    return spec.replace(precision="exact", dtype="float32")


@quick(40)
@given(long_specs(), SEEDS, MEANS)
@pytest.mark.usefixtures("always_fft")
def test_forward(spec: ft.ConvSpec, seed: int, mean: float) -> None:
    x, kernel, bias = random_arrays(spec, seed)
    x += np.asarray(mean, x.dtype)
    line = repro(spec, seed, mean=mean)
    conv = Convolution(spec)
    assert isinstance(conv.plan, FftPlan), conv.explain()
    y = conv(x, kernel, bias, out=np.full(spec.output_shape, np.nan, spec.dtype))
    if spec.activation is None and bias is None:
        oracle = partial(reference.conv, spec=spec)
        assert_follows_the_rule(y, (x, kernel), oracle, Convolution(exact(spec)), line)
    error = abs(y - reference.conv(x, kernel, bias, spec=spec))
    assert np.all(error <= reference.bound(x, kernel, bias, spec=spec)), line


@quick(25)
@given(long_specs(activations=False), SEEDS, MEANS)
@pytest.mark.usefixtures("always_fft")
def test_kernel_gradient(spec: ft.ConvSpec, seed: int, mean: float) -> None:
    (x, _, _), dy = random_arrays(spec, seed), random_dy(spec, seed)
    x += np.asarray(mean, x.dtype)
    gradient = KernelGradient(spec)
    assert isinstance(gradient.plan, FftGradientPlan)
    dw = gradient.run(x, dy, out=np.full(spec.kernel_shape, np.nan, spec.dtype))
    oracle, direct = partial(reference.kernel_gradient, spec=spec), KernelGradient(exact(spec)).run
    assert_follows_the_rule(dw, (x, dy), oracle, direct, repro(spec, seed, mean=mean))
    if not any(map(any, spec.padding)):  # or some lags meet few terms
        assert np.all(abs(dw - oracle(x, dy)) <= reference.kernel_gradient_bound(x, dy, spec=spec))


@quick(15)
@given(long_specs(activations=False), SEEDS)
@pytest.mark.usefixtures("always_fft")
def test_input_gradient(spec: ft.ConvSpec, seed: int) -> None:
    dy, kernel = random_dy(spec, seed), random_arrays(spec, seed)[1]
    gradient = InputGradient(spec)
    num_fft = sum(isinstance(one, FftPlan) for one in gradient.plans)
    num_long = sum(one.problem.kernel_size[0] >= fft.FEWEST_TAPS for one in gradient.plans)
    assert num_fft == num_long and (num_long or spec.stride[0] > 1), repro(spec, seed)
    dx = gradient.run(dy, kernel, out=np.full(spec.input_shape, np.nan, spec.dtype))
    oracle, direct = partial(reference.input_gradient, spec=spec), InputGradient(exact(spec)).run
    assert_follows_the_rule(dx, (dy, kernel), oracle, direct, repro(spec, seed))
    assert np.all(abs(dx - oracle(dy, kernel)) <= reference.input_gradient_bound(dy, kernel, spec=spec))


# --- what an FFT would spoil


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_where_they_belong(special: float) -> None:
    spec = ft.ConvSpec.from_text(LONG)
    x, kernel, _ = random_arrays(spec)
    x[0, 30_000] = special
    y = ft.compile(spec)(x, kernel)
    assert ft.compile(spec).algorithm == "fft"
    direct = ft.compile(spec.replace(precision="exact"))(x, kernel)
    is_finite = np.isfinite(direct)
    np.testing.assert_array_equal(y[~is_finite], direct[~is_finite])
    bound = reference.bound(np.nan_to_num(x, posinf=0, neginf=0), kernel, spec=spec)
    assert (abs(y[is_finite] - direct[is_finite]) <= bound[is_finite]).all()
    assert np.isfinite(y).sum() == y.size - 1001
    dy = random_dy(spec, 0)
    dw = ft.kernel_gradient(x, dy, 1001)
    assert not np.isfinite(dw).any()
    assert dw.tobytes() == ft.kernel_gradient(x, dy, 1001, precision="exact").tobytes()


def test_spectra_that_overflow_do_not_spoil_the_result() -> None:
    spec = ft.ConvSpec.from_text(LONG)
    x, kernel = np.full(spec.input_shape, 3e36, "f4"), np.full(spec.kernel_shape, 1e-2, "f4")
    y = ft.compile(spec)(x, kernel)
    np.testing.assert_allclose(y, 3e36 * 1e-2 * 1001, rtol=1e-4)


# --- where it is chosen


def verdict(text: str) -> str:
    lines = ft.compile(ft.ConvSpec.from_text(text)).explain().splitlines()
    return next(line.strip() for line in lines if line.strip().startswith("fft: "))


def test_explain_says_why_not() -> None:
    assert verdict("conv1d n1 w60000 ic1 oc1 kw1001 exact").endswith("are not those of direct summation")
    assert verdict("conv1d n1 w60000 ic1 oc1 kw63") == "fft: passed over, fewer than 64 taps"
    assert verdict("conv1d n1 w1063 ic1 oc1 kw1001").endswith("fewer than 64 inputs or outputs")
    assert verdict("conv1d n1 w2000 ic1 oc1 kw64").startswith("fft: passed over, ")
    assert verdict("conv2d n1 h64 w64 ic1 oc1 kh32 kw32").endswith("it convolves along one axis only")
    assert verdict("conv1d n1 w60000 ic1 oc1 kw1001 gelu").endswith("NumPy does not compute gelu")
    assert verdict("conv1d n1 w60000 ic512 oc512 kw1001").endswith("take too much memory")


@pytest.mark.parametrize(
    "text", [LONG, "conv1d n1 w64000 ic64 oc64 kw2048 g64 ncw", "conv1d n1 w200000 ic1 oc1 kw100000"]
)
def test_long_kernels_take_the_fft(text: str) -> None:
    spec = ft.ConvSpec.from_text(text)
    conv = ft.compile(spec)
    assert conv.algorithm == "fft" and verdict(text).startswith("fft: chosen, ")
    assert isinstance(conv.plan, FftPlan) and f"transforms of {conv.plan.size} inputs" in conv.explain()
    assert (conv.assembly(), conv.compile_seconds) == ("", 0.0)
    assert conv.workspace_bytes == conv.plan.shared_bytes + ft.get_num_threads() * conv.plan.scratch_bytes
    assert KernelGradient(spec).plan.algorithm == "fft_gradient"  # type: ignore[union-attr]
    assert InputGradient(spec).plans[0].algorithm == "fft"


def test_100_000_taps() -> None:
    spec = ft.ConvSpec.from_text("conv1d n1 w200000 ic1 oc1 kw100000")
    x, kernel, _ = random_arrays(spec)
    y = ft.conv1d(x, kernel)
    for position in (0, 1, 50_000, 100_000):
        window, taps = x[0, position : position + 100_000, 0].astype(float), kernel[:, 0, 0].astype(float)
        typical = np.finfo("f4").eps * np.sqrt((window**2) @ (taps**2))
        assert abs(y[0, position, 0] - window @ taps) <= 8 * typical


def test_the_cost_model_prefers_larger_gains() -> None:
    """With more taps direct summation costs more, the FFT hardly."""
    ratios = []
    for taps in (64, 256, 1024, 4096, 16384):
        problem = Problem.of(ft.ConvSpec.from_text(f"conv1d n1 w100000 ic1 oc1 kw{taps}"))
        ratios.append(taps / fft.plan(problem, processor.current()).cycles)
    assert ratios == sorted(ratios)


def test_good_sizes_are_the_smallest_without_large_factors() -> None:
    def is_good(size: int) -> bool:
        for factor in (2, 3, 5):
            while size % factor == 0:
                size //= factor
        return size == 1

    good = [size for size in range(2, 2200, 2) if is_good(size)]
    for least in range(1, 2100):
        assert good_size(least) == next(size for size in good if size >= least)


# --- calls


def test_strided_inputs_leading_axes_and_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 5000, 4)).astype("f4")
    kernel = rng.standard_normal((900, 2, 6)).astype("f4")
    wanted = ft.conv1d(x[..., :2].reshape(6, 5000, 2), kernel, padding="same").reshape(2, 3, 5000, 6)
    spec = ft.ConvSpec.from_text("conv1d n6 w5000 ic2 oc6 kw900 same")
    assert ft.compile(spec).algorithm == "fft"
    out = np.zeros((2, 3, 5000, 12), "f4")[..., ::2]
    assert ft.conv1d(x[..., :2], kernel, padding="same", out=out) is out
    assert out.tobytes() == wanted.tobytes()
    first = ft.conv1d(np.moveaxis(x[0, ..., :2], -1, 1), kernel, padding="same", layout="NCW")
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), wanted[0], atol=1e-3)


@pytest.fixture
def thread_counts() -> Iterator[tuple[int, ...]]:
    before = ft.get_num_threads()
    yield 1, 2, 5
    ft.set_num_threads(before)


def results(spec: ft.ConvSpec) -> tuple[bytes, bytes, bytes]:
    (x, kernel, _), dy = random_arrays(spec), random_dy(spec, 0)
    gradients = InputGradient(spec).run(dy, kernel), KernelGradient(spec).run(x, dy)
    return (ft.compile(spec)(x, kernel).tobytes(), *(gradient.tobytes() for gradient in gradients))


@pytest.mark.usefixtures("preferred")
@pytest.mark.parametrize("text", [LONG, "conv1d n3 w4000 ic16 oc16 kw300 ncw f32", "conv1d n2 w9000 ic6 oc6 kw999 g6"])
def test_bits_do_not_depend_on_threads(text: str, thread_counts: tuple[int, ...]) -> None:
    spec, found = ft.ConvSpec.from_text(text), set()
    assert ft.compile(spec).algorithm == "fft"
    for num_threads in thread_counts:
        ft.set_num_threads(num_threads)
        found |= {results(spec) for _ in range(3)}
    assert len(found) == 1


def test_concurrent_callers_and_forks(thread_counts: tuple[int, ...]) -> None:
    ft.set_num_threads(max(thread_counts))
    spec = ft.ConvSpec.from_text(LONG)
    wanted = results(spec)
    with ThreadPoolExecutor(4) as callers:
        assert set(callers.map(lambda _: results(spec), range(8))) == {wanted}
    assert exit_code(fork(lambda: results(spec) == wanted)) == 0


def test_an_error_on_a_thread_reaches_the_caller(thread_counts: tuple[int, ...]) -> None:
    def fail(index: int) -> int:
        if index == 30:
            raise KeyError(index)
        return index

    for num_threads in thread_counts:
        ft.set_num_threads(num_threads)
        assert on_threads(fail, 30) == list(range(30))
        with pytest.raises(KeyError, match="30"):
            on_threads(fail, 40)


@pytest.mark.usefixtures("preferred")
def test_pytorch_takes_it_too() -> None:
    x = torch.randn(2, 1, 6000, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(1, 1, 999, generator=torch.Generator().manual_seed(1))
    spec = ft.ConvSpec.from_text("conv1d n2 w6000 ic1 oc1 kw999 ncw oiw")
    assert ft.compile(spec).algorithm == "fft"
    y = faltung.torch.functional.conv1d(x, weight)
    torch.testing.assert_close(y, torch.nn.functional.conv1d(x, weight), rtol=1e-4, atol=1e-3)
    results: list[Any] = []
    for convolve in (faltung.torch.functional.conv1d, torch.nn.functional.conv1d):
        leaves = x.clone().requires_grad_(), weight.clone().requires_grad_()
        convolve(*leaves).square().sum().backward()
        results.append([leaf.grad for leaf in leaves])
    torch.testing.assert_close(*results, rtol=1e-3, atol=1.0)


@pytest.mark.usefixtures("preferred")
def test_a_transposed_convolution_has_its_bias_and_activation() -> None:
    rng = np.random.default_rng(0)
    x, kernel, bias = (rng.standard_normal(shape).astype("f4") for shape in ((1, 40_000, 1), (900, 2, 1), (2,)))
    forward = ft.ConvSpec.from_text("conv1d n1 w40899 ic2 oc1 kw900")
    assert InputGradient(forward).plans[0].algorithm == "fft"
    y = ft.conv1d_transpose(x, kernel, bias, activation="relu")
    wanted = np.maximum(reference.input_gradient(x, kernel, spec=forward) + bias, 0.0)
    assert np.count_nonzero(wanted) > 1000
    assert np.all(abs(y - wanted) <= 2 * reference.input_gradient_bound(x, kernel, spec=forward) + 1e-6)


def test_a_phase_of_the_input_gradient_writes_between_others() -> None:
    """FFT on a problem whose results lie apart in the array, as those of a strided input gradient do."""
    spec = ft.ConvSpec.from_text("conv1d n2 w2000 ic2 oc3 kw400 sw2 pw10:7 f64")
    dy, kernel = random_dy(spec, 0), random_arrays(spec)[1]
    problems, leaves_some = adjoint_problems(Problem.of(spec))
    assert len(problems) == 2 and not leaves_some
    dx = np.full(spec.input_shape, np.nan)
    for problem in problems:
        executor_of(fft.plan(problem, processor.current()))(dy, kernel, None, dx)
    np.testing.assert_allclose(dx, reference.input_gradient(dy, kernel, spec=spec), atol=1e-10)
