"""The text of a case: a convolution, or a transposed one and the convolution that it is the adjoint of."""

import numpy as np
import pytest

import faltung as ft
from faltung.bench.case import read_case
from faltung.errors import ShapeError, UnsupportedConvError


def test_a_convolution_is_its_spec() -> None:
    asked = read_case("conv1d n2 w9 ic3 oc4 kw3 relu")
    assert not asked.is_transposed
    assert asked.text == asked.spec.to_text() == "conv1d n2 w9 ic3 oc4 kw3 relu f32"
    assert asked.result_shape == (2, 7, 4)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("conv1d_transpose n2 w9 ic4 oc6 kw3", {}),
        ("conv1d_transpose n2 w9 ic4 oc6 kw3 valid sw4 f64", {"stride": 4}),
        ("conv1d_transpose n2 w9 ic4 oc6 kw5 sw2 dw3 pw1:2", {"stride": 2, "dilation": 3, "padding": [(1, 2)]}),
        ("conv2d_transpose n1 h5 w6 ic4 oc6 kh3 kw2 sh2 g2", {"stride": (2, 1), "groups": 2}),
        ("conv3d_transpose n1 d2 h3 w4 ic4 oc6 kd1 kh3 kw2 ncdhw", {"layout": "NCDHW"}),
    ],
)
def test_a_transposed_one_is_told_by_its_forward_convolution(text: str, options: dict[str, object]) -> None:
    asked = read_case(text)
    assert asked.is_transposed and asked.text == text
    spec = asked.spec
    x, kernel = np.ones(spec.output_shape, spec.dtype), np.ones(spec.kernel_shape, spec.dtype)
    plain = {"padding": [(0, 0)] * spec.rank} | options
    y = getattr(ft, f"{spec.name}_transpose")(x, kernel, **plain)
    assert y.shape == asked.result_shape
    assert (spec.out_channels, spec.in_channels) == (4, 6)


@pytest.mark.parametrize("word", ["same", "causal", "bias", "relu", "reflect"])
def test_what_a_transposed_case_does_not_have_is_refused(word: str) -> None:
    with pytest.raises(UnsupportedConvError, match=r"conv1d_transpose: a transposed case has sizes, .* Leave out "):
        read_case(f"conv1d_transpose n1 w9 ic1 oc1 kw3 {word}")


@pytest.mark.parametrize("text", ["conv9d_transpose n1 w9", "conv1d_transpose n1 w9 ic1 oc1", "conv1d_transpose kw3x"])
def test_texts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ShapeError, match=text.split()[0]):
        read_case(text)
