"""Measuring a convolution: right before fast, and numbers that agree with each other."""

import os
from typing import Any

import numpy as np
import pytest

import faltung as ft
from faltung.bench import run
from faltung.errors import CodegenError, ShapeError


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("conv1d n2 w100 ic3 oc8 kw5 same bias relu", None),
        ("conv1d n2 w100 ic3 oc8 kw5 f64", "ncw"),
        ("conv2d n1 h20 w20 ic8 oc16 kh3 kw3 sh2 leaky_relu", "nwc"),
    ],
)
def test_a_measurement_is_consistent(text: str, layout: str | None) -> None:
    before = os.environ.get("FALTUNG_CACHE_DIR")
    m = run.measure(text, layout=layout, seconds=0.02)
    assert m.spec.is_channels_last == (layout != "ncw")
    assert m.checked == np.prod(m.spec.output_shape)
    assert 0 < m.fastest <= m.microseconds
    assert m.gflops == pytest.approx(m.spec.flops / m.microseconds / 1e3)
    assert m.share_of_roofline >= max(m.share_of_peak, m.share_of_bandwidth) > 0
    assert m.bound == ("arithmetic" if m.share_of_peak > m.share_of_bandwidth else "memory")
    assert 0 < m.cached_load_ms < m.compile_ms
    assert m.call_overhead_us > 0
    assert 0 < m.processor_share <= 1
    assert os.environ.get("FALTUNG_CACHE_DIR") == before


@pytest.mark.parametrize("fault", ["adds", "forgets"])
def test_a_wrong_kernel_is_not_timed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ft.Convolution.run

    def wrong(self: ft.Convolution, x: Any, kernel: Any, bias: Any, out: Any = None) -> Any:
        y = right(self, x, kernel, bias, out)
        if fault == "adds":
            y[0, 7, 3] += 0.01
        else:
            y[1] = np.nan
        return y

    monkeypatch.setattr(ft.Convolution, "run", wrong)
    monkeypatch.setattr(run, "_turns", lambda *_: pytest.fail("a wrong kernel was timed"))
    with pytest.raises(CodegenError, match="the kernel's numbers must be those of the reference"):
        run.measure("conv1d n2 w100 ic3 oc8 kw5")


def test_without_outputs_there_is_nothing_to_measure() -> None:
    with pytest.raises(ShapeError, match=r"conv1d: a measurement needs outputs; got the output shape \(0, 6, 2\)"):
        run.measure("conv1d n0 w10 ic1 oc2 kw5")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("conv1d n2 w100 ic16 oc8 kw5", 2 * 100 * 16 + 5 * 16 * 8),
        ("conv2d n1 h8 w8 ic16 oc4 kh1 kw1 sh2 sw2", 4 * 4 * 16 + 16 * 4),  # every other row and column
        ("conv2d n1 h8 w64 ic16 oc4 kh1 kw1 sh2 sw2 nchw", 4 * 64 * 16 + 16 * 4),  # every other row: lines are whole
        ("conv1d n1 w13 ic16 oc1 kw3 sw4 dw2", 7 * 16 + 3 * 16),  # 0 2 4 6 8 10 12
    ],
)
def test_only_what_a_convolution_reads_counts(text: str, read: int) -> None:
    assert run.bytes_read(ft.ConvSpec.from_text(text)) == 4 * read
