"""Depthwise and separable convolutions against the oracle of the grouped and pointwise convolutions that they are."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from checking import Array, options_of, repro
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import random_arrays

import faltung as ft
from faltung import reference
from faltung.operators.separable import Separable, separable_of
from faltung.runtime import processor
from faltung.spec import ACTIVATIONS, PADDING_MODES
from faltung.spec.layout import layouts

DEPTHWISE = {1: ft.depthwise_conv1d, 2: ft.depthwise_conv2d}
SEPARABLE = {1: ft.separable_conv1d, 2: ft.separable_conv2d}
SEEDS = st.integers(0, 2**32 - 1)


def quick(max_examples: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=max_examples, deadline=None, suppress_health_check=checks)


@st.composite
def depthwise_specs(draw: st.DrawFn, *, activations: bool = True) -> ft.ConvSpec:
    """Draw a grouped convolution whose groups are single channels."""
    rank, channels = draw(st.sampled_from((1, 1, 2))), draw(st.sampled_from((1, 3, 8, 16, 17)))
    kernel_size = tuple(draw(st.sampled_from((1, 2, 3, 5))) for _ in range(rank))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(rank))
    windows = [d * (k - 1) + 1 for d, k in zip(dilation, kernel_size, strict=True)]
    layout = draw(st.sampled_from(layouts(rank)))
    more = draw(st.booleans()) and layout.endswith("C")
    return ft.ConvSpec(
        in_size=tuple(window + draw(st.sampled_from((0, 1, 7, 30))) for window in windows),
        in_channels=channels,
        out_channels=channels * draw(st.sampled_from((1, 1, 2, 3))),
        kernel_size=kernel_size,
        batch=(2, 2) if more else draw(st.sampled_from((1, 3))),
        stride=tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        padding=draw(st.sampled_from(("valid", "same", *(["causal"] if rank == 1 else []), [(1, 0)] * rank))),
        dilation=dilation,
        groups=channels,
        layout=layout,
        kernel_layout=draw(st.sampled_from(("WIO", "OIW"))),
        # a window of one input has nothing to reflect
        padding_mode=draw(st.sampled_from(("zeros", *(PADDING_MODES if min(windows) > 1 else ())))),
        bias=activations and draw(st.booleans()),
        activation=draw(st.sampled_from((None, *ACTIVATIONS))) if activations else None,
        dtype=draw(st.sampled_from(("float32", "float32", "float64"))),
    )


def familiar(kernel: Array, spec: ft.ConvSpec) -> Array:
    """The kernel (*K, 1, C*multiplier) of a grouped convolution as Keras has it, (*K, C, multiplier)."""
    return kernel if spec.kernel_layout.startswith("O") else kernel.reshape(*spec.kernel_size, spec.groups, -1)


def words(spec: ft.ConvSpec) -> dict[str, Any]:
    return {name: value for name, value in options_of(spec).items() if name != "groups"}


@quick(30)
@given(depthwise_specs(), SEEDS)
def test_depthwise_is_within_the_bound(spec: ft.ConvSpec, seed: int) -> None:
    x, kernel, bias = random_arrays(spec, seed)
    y = DEPTHWISE[spec.rank](x, familiar(kernel, spec), bias, **words(spec))
    error = abs(y - reference.conv(x, kernel, bias, spec=spec))
    assert y.dtype == spec.dtype and np.all(error <= reference.bound(x, kernel, bias, spec=spec)), repro(spec, seed)


def test_the_outputs_of_a_channel_lie_side_by_side() -> None:
    """As in Keras: output c*multiplier + m is channel c with its kernel m."""
    rng = np.random.default_rng(0)
    x, kernel = rng.integers(-4, 5, (2, 20, 3)).astype("f4"), rng.integers(-4, 5, (5, 3, 2)).astype("f4")
    y = ft.depthwise_conv1d(x, kernel)
    for c, m in np.ndindex(3, 2):
        alone = ft.conv1d(x[..., c : c + 1], kernel[:, c : c + 1, m : m + 1])
        np.testing.assert_array_equal(y[..., c * 2 + m], alone[..., 0])


def test_the_kernels_of_pytorch() -> None:
    x, weight = torch.arange(2.0 * 3 * 9).reshape(2, 3, 9) % 7, torch.arange(6.0 * 4).reshape(6, 1, 4) % 5
    y = ft.depthwise_conv1d(x.numpy(), weight.numpy(), layout="NCW", kernel_layout="OIW")
    wanted = torch.nn.functional.conv1d(x, weight, groups=3)
    np.testing.assert_array_equal(y, wanted.numpy())
    mixing = torch.arange(5.0 * 6).reshape(5, 6, 1) % 3
    y = ft.separable_conv1d(x.numpy(), weight.numpy(), mixing.numpy(), layout="NCW", kernel_layout="OIW")
    np.testing.assert_array_equal(y, torch.nn.functional.conv1d(wanted, mixing).numpy())


# --- separable


@pytest.fixture
def small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches so small that blocks have few lines."""
    with_caches(monkeypatch, l2_bytes=2000, l3_bytes=2)


def with_caches(monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
    """Let separable convolutions, and nothing else, believe in caches of other sizes."""
    other = replace(processor.current(), **sizes)
    monkeypatch.setattr("faltung.operators.separable.processor", SimpleNamespace(current=lambda: other))


def parts(spec: ft.ConvSpec, out_channels: int, *, bias: bool, activation: str | None) -> ft.ConvSpec:
    """The pointwise convolution that follows a depthwise one."""
    return ft.ConvSpec(
        in_size=spec.out_size,
        in_channels=spec.out_channels,
        out_channels=out_channels,
        kernel_size=1,
        batch=spec.batch,
        layout=spec.layout,
        kernel_layout=spec.kernel_layout,
        bias=bias,
        activation=activation,
        dtype=spec.dtype,
    )


@quick(30)
@given(depthwise_specs(activations=False), st.sampled_from((1, 5, 16, 33)), st.booleans(), SEEDS)
@pytest.mark.usefixtures("small_caches")
def test_separable_in_blocks_is_exact_in_small_integers(
    spec: ft.ConvSpec, out_channels: int, bias: bool, seed: int
) -> None:
    pointwise = parts(spec, out_channels, bias=bias, activation="relu" if bias else None)
    x, kernel, _ = random_arrays(spec, seed, integers=True)
    _, mixing, numbers = random_arrays(pointwise, seed, integers=True)
    separable = Separable(spec, pointwise)
    is_plain = spec.is_channels_last and spec.padding_mode == "zeros"
    assert (separable.refusal is None) == is_plain, separable.refusal
    y = separable.run(x, kernel, mixing, numbers, np.full(pointwise.output_shape, np.nan, spec.dtype))
    between = reference.conv(x, kernel, spec=spec)
    line = repro(spec, seed, out_channels=out_channels)
    np.testing.assert_array_equal(y, reference.conv(between, mixing, numbers, spec=pointwise), err_msg=line)
    told = words(spec) | {"activation": pointwise.activation}
    called = SEPARABLE[spec.rank](x, familiar(kernel, spec), mixing, numbers, **told)
    np.testing.assert_array_equal(called, y, err_msg=line)


@pytest.mark.usefixtures("small_caches")
def test_blocks_are_many_and_share_their_kernels() -> None:
    spec = ft.ConvSpec.from_text("conv1d n3 w500 ic16 oc16 kw5 g16 same")
    separable = Separable(spec, parts(spec, 8, bias=False, activation=None))
    launches = {id(launch) for _, *both in separable._blocks for launch in both}
    assert len(separable._blocks) == 3 * 17 and len(launches) <= 5


@pytest.fixture
def thread_counts() -> Iterator[tuple[int, ...]]:
    before = ft.get_num_threads()
    yield 1, 2, 5
    ft.set_num_threads(before)


def test_large_intermediates_take_blocks_with_the_same_bits(
    thread_counts: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_caches(monkeypatch, l2_bytes=2**18, l3_bytes=2**20)
    spec = ft.ConvSpec.from_text("conv1d n2 w9000 ic32 oc32 kw7 g32 same sw2 f32")
    pointwise = parts(spec, 24, bias=True, activation="gelu")
    separable = separable_of(spec, pointwise)
    assert separable.refusal is None and len(separable._blocks) > 2
    (x, kernel, _), (_, mixing, bias) = random_arrays(spec), random_arrays(pointwise)
    found = {separable.pointwise(separable.depthwise(x, kernel), mixing, bias).tobytes()}
    for num_threads in thread_counts:
        ft.set_num_threads(num_threads)
        found |= {separable.run(x, kernel, mixing, bias).tobytes() for _ in range(3)}
    assert len(found) == 1


def test_two_passes_say_why() -> None:
    spec = ft.ConvSpec.from_text("conv1d n2 w50 ic3 oc3 kw3 g3")
    for text, reason in (
        ("conv1d n2 w50 ic3 oc3 kw3 g3", "the intermediate stays in L3 anyway"),
        ("conv1d n2 w50 ic3 oc3 kw3 g3 ncw", "channels first, short lines cost more than they save"),
        ("conv1d n2 w50 ic3 oc3 kw3 g3 same reflect", "padding repeats inputs of other blocks"),
        ("conv1d n0 w50 ic3 oc3 kw3 g3", "there is nothing to compute, or NumPy computes it"),
    ):
        spec = ft.ConvSpec.from_text(text)
        assert Separable(spec, parts(spec, 4, bias=False, activation=None)).refusal == reason


def test_other_memory_and_out() -> None:
    rng = np.random.default_rng(0)
    x, kernel, mixing = (
        rng.integers(-4, 5, shape).astype("f4") for shape in ((2, 9, 8, 6), (3, 3, 6, 2), (1, 1, 12, 5))
    )
    wanted = ft.separable_conv2d(x, kernel, mixing)
    out = np.zeros((2, 7, 6, 10), "f4")[..., ::2]
    assert ft.separable_conv2d(x.astype(">f4"), kernel[::-1][::-1], mixing, out=out) is out
    np.testing.assert_array_equal(out, wanted)
    deep = np.asfortranarray(x)
    out = np.empty_like(ft.depthwise_conv2d(x, kernel))
    assert ft.depthwise_conv2d(deep, np.asfortranarray(kernel), out=out) is out
    np.testing.assert_array_equal(out, ft.depthwise_conv2d(x, kernel))


# --- errors

X, K, P = np.ones((2, 10, 4)), np.ones((3, 4, 2)), np.ones((1, 8, 5))


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: ft.depthwise_conv1d(X, K[..., 0]),
            "depthwise_conv1d: the depthwise kernel must have the axes (kw, channels, multiplier); got (3, 4). "
            "With one output for each channel use kernel[..., None].",
        ),
        (
            lambda: ft.depthwise_conv2d(X, K),
            "depthwise_conv2d: the depthwise kernel must have the axes (kh, kw, channels, multiplier); got (3, 4, 2). "
            "With one output for each channel use kernel[..., None].",
        ),
        (
            lambda: ft.depthwise_conv1d(X, K[0, 0]),
            "depthwise_conv1d: the depthwise kernel must have the axes (kw, channels, multiplier); got (2,). "
            "Reshape it to (kw, channels, multiplier).",
        ),
        (
            lambda: ft.depthwise_conv1d(X, K, kernel_layout="OIW"),
            "depthwise_conv1d: the depthwise kernel must have the axes (channels*multiplier, 1, kw); got (3, 4, 2). "
            "Reshape it to (channels*multiplier, 1, kw).",
        ),
        (
            lambda: ft.depthwise_conv1d(X, np.ones((3, 5, 2))),
            "depthwise_conv1d: x and the depthwise kernel must agree on channels; got 4 on axis 2 of x (2, 10, 4), "
            "NWC, but 5 in the kernel (3, 5, 2). Use a kernel of shape (3, 4, 2).",
        ),
        (
            lambda: ft.depthwise_conv1d(np.ones((2, 4, 10)), K),
            "depthwise_conv1d: x and the depthwise kernel must agree on channels; got 10 on axis 2 of x (2, 4, 10), "
            "NWC, but 4 in the kernel (3, 4, 2). Use layout='NCW'.",
        ),
        (
            lambda: ft.depthwise_conv1d(X, np.ones((6, 1, 3)), kernel_layout="OIW"),
            "depthwise_conv1d: x and the depthwise kernel must agree on channels; got 4 on axis 2 of x (2, 10, 4), "
            "NWC, but 6 in the kernel (6, 1, 3). Use a kernel of shape (4, 1, 3).",
        ),
        (
            lambda: ft.depthwise_conv1d(X[0], K),
            "depthwise_conv1d: x must have 3 axes or more, (N, W, C); got shape (10, 4). Add the batch axis: x[None].",
        ),
        (
            lambda: ft.depthwise_conv1d(X, K.astype(int)),
            'depthwise_conv1d: kernel must be float32 or float64; got int64. Convert: kernel.astype("float32").',
        ),
        (
            lambda: ft.depthwise_conv1d(X, K, stride=0),
            "depthwise_conv1d: stride must be at least 1; got 0. Use 1 or more.",
        ),
        (
            lambda: ft.separable_conv1d(X, K, P[0]),
            "separable_conv1d: the pointwise kernel must have the axes (1, 8, out_channels); got (8, 5). "
            "Add the taps: pointwise_kernel[None].",
        ),
        (
            lambda: ft.separable_conv2d(X[:, None], K[None], P),
            "separable_conv2d: the pointwise kernel must have the axes (1, 1, 8, out_channels); got (1, 8, 5). "
            "Give it an input for each of the 8 outputs of the depthwise kernel.",
        ),
        (
            lambda: ft.separable_conv1d(X, np.ones((8, 1, 3)), np.ones((5, 8)), kernel_layout="OIW"),
            "separable_conv1d: the pointwise kernel must have the axes (out_channels, 8, 1); got (5, 8). "
            "Add the taps: pointwise_kernel[..., None].",
        ),
        (
            lambda: ft.separable_conv1d(X, K, P, np.ones(4)),
            "separable_conv1d: the bias must have shape (5,), one for each output; got (4,). Give 5 numbers.",
        ),
        (
            lambda: ft.separable_conv1d(X, K, P, out=np.ones((2, 8, 4))),
            "separable_conv1d: out must be an array of the result's shape and type; got float64 (2, 8, 4). "
            "Use np.empty((2, 8, 5), 'float64').",
        ),
        (
            lambda: ft.separable_conv1d(X, K, P.astype("f4")),
            "separable_conv1d: x, depthwise_kernel and pointwise_kernel must have one dtype; got x float64, "
            "depthwise_kernel float64, pointwise_kernel float32. "
            'Use x.astype("float32") and depthwise_kernel.astype("float32").',
        ),
    ],
)
def test_errors(call: Any, message: str) -> None:
    with pytest.raises(ft.FaltungError) as caught:
        call()
    assert str(caught.value) == message


def test_the_diagnosis_knows_the_shape() -> None:
    with pytest.raises(ft.ShapeError) as caught:
        ft.depthwise_conv1d(X, np.ones((3, 5, 2)))
    assert str(caught.value.diagnosis).startswith("depthwise_conv1d with x (2, 10, 4): 1 fault.")
    assert "Use a kernel of shape (3, 4, 2)." in str(caught.value.diagnosis)
