"""The check before the timing: a right kernel passes, a wrong one is found, also where only samples are compared."""

from typing import Any

import numpy as np
import pytest

from faltung import reference
from faltung.bench import check as checks
from faltung.bench.check import check
from faltung.errors import CodegenError
from faltung.spec import ConvSpec

TEXTS = [
    "conv1d n3 w40 ic4 oc6 kw5 same bias relu",
    "conv1d n2x2 w40 ic4 oc6 kw5 sw3 dw2 pw4:1 reflect",
    "conv1d n3 w40 ic4 oc6 kw5 g2 pw7 circular ncw",
    "conv2d n2 h9 w11 ic3 oc4 kh3 kw2 sh2 dw2 ph1:2 pw3 replicate f64",
    "conv2d n2 h9 w11 ic3 oc6 kh3 kw3 g3 ph2 pw1 nchw",
    "conv3d n1 d5 h6 w7 ic2 oc4 kd2 kh3 kw3 pd1 ph1 pw1",
]


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every case too large for a comparison of all outputs or of the first sample."""
    monkeypatch.setattr(checks, "_work", lambda spec: checks.MOST_WORK + 1)


def arrays(spec: ConvSpec) -> tuple[Any, ...]:
    rng = np.random.default_rng(1)
    x, kernel, bias = (
        rng.standard_normal(shape).astype(spec.dtype)
        for shape in (spec.input_shape, spec.kernel_shape, (spec.out_channels,))
    )
    return x, kernel, bias if spec.bias else None


class Convolve:
    """A convolution that is right but for what `spoil` does to its result."""

    def __init__(self, spec: ConvSpec, spoil: Any = None) -> None:
        self.spec, self.spoil = spec, spoil

    def __call__(self, x: Any, kernel: Any, bias: Any, out: Any) -> None:
        out[...] = reference.conv(x, kernel, bias, spec=self.spec)
        if self.spoil:
            self.spoil(out)


def last(y: Any) -> None:
    y[(-1,) * y.ndim] += 1.0


def swap(y: Any) -> None:
    y[...] = np.roll(y, 1, axis=-1)


def leave_out(y: Any) -> None:
    y.flat[y.size // 2] = np.nan


def zero(y: Any) -> None:
    y[...] = 0


@pytest.mark.parametrize("text", TEXTS)
def test_all_outputs_of_a_small_case_are_compared(text: str) -> None:
    spec = ConvSpec.from_text(text)
    assert check(Convolve(spec), *arrays(spec), spec=spec) == np.prod(spec.output_shape)


@pytest.mark.parametrize("text", TEXTS)
def test_samples_of_a_large_case_are_compared(text: str, sampled: None) -> None:
    spec = ConvSpec.from_text(text)
    assert check(Convolve(spec), *arrays(spec), spec=spec) >= 2**spec.rank * spec.out_channels


def test_the_first_sample_of_a_large_case_is_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ConvSpec.from_text("conv1d n3 w40 ic4 oc6 kw5")
    monkeypatch.setattr(checks, "MOST_WORK", checks._work(spec) // 2)
    assert check(Convolve(spec), *arrays(spec), spec=spec) > 36 * 6


@pytest.mark.parametrize("spoil", [last, swap, leave_out, zero])
@pytest.mark.parametrize("text", TEXTS)
def test_a_wrong_result_is_found(text: str, spoil: Any) -> None:
    spec = ConvSpec.from_text(text)
    with pytest.raises(CodegenError, match=rf"^{spec.name}: the kernel's numbers must be those of the reference; got "):
        check(Convolve(spec, spoil), *arrays(spec), spec=spec)


@pytest.mark.parametrize("spoil", [last, swap, leave_out, zero])
@pytest.mark.parametrize("text", TEXTS)
def test_a_wrong_result_is_found_by_samples(text: str, spoil: Any, sampled: None) -> None:
    spec = ConvSpec.from_text(text)
    with pytest.raises(CodegenError, match="Please report: 'conv"):
        check(Convolve(spec, spoil), *arrays(spec), spec=spec)


def test_the_message_says_how_far_off() -> None:
    spec = ConvSpec.from_text("conv1d n1 w2 ic1 oc1 kw1")
    found = "got 1 of 2 compared outputs beyond the bound, for one 2 instead of 1 ± 1.1e-06"
    with pytest.raises(CodegenError, match=found):
        check(Convolve(spec, last), np.ones((1, 2, 1)), np.ones((1, 1, 1)), None, spec=spec)
