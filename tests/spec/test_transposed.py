"""Sizes of transposed convolutions: the forward convolution of the result has the size of x again."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faltung.errors import FaltungError, ShapeError
from faltung.spec import ConvOptions, spec_from_call
from faltung.spec.geometry import output_size, window_size
from faltung.spec.transposed import adjoint_spec, transposed_size, transposed_sizes

F32 = "float32"
SMALL = st.integers(1, 9)


@settings(max_examples=300, deadline=None)
@given(SMALL, SMALL, SMALL, st.integers(0, 3), st.integers(0, 3))
def test_the_least_input_of_as_many_outputs(in_size: int, window: int, stride: int, low: int, high: int) -> None:
    size = transposed_size(in_size, window, stride, (low, high))
    assert output_size(size, window, stride, (low, high)) == in_size
    assert output_size(size - 1, window, stride, (low, high)) < in_size


@settings(max_examples=300, deadline=None)
@given(SMALL, SMALL, SMALL, st.sampled_from(("valid", "same", "SAME")), st.none() | st.integers(0, 8))
def test_the_forward_convolution_has_the_size_of_x(
    in_size: int, window: int, stride: int, padding: str, more: int | None
) -> None:
    extra = None if more is None else (more % max(stride, 1),)
    sizes, pairs = transposed_sizes((in_size,), (window,), (stride,), padding, extra)
    if padding != "valid" and more is None:
        assert sizes == (in_size * stride,)
    if sizes[0] >= 1:
        assert output_size(sizes[0], window, stride, pairs[0]) >= in_size


def test_axes_have_rules_of_their_own() -> None:
    assert transposed_sizes((4, 5), (3, 2), (2, 3), [1, (0, 2)]) == ((7, 12), ((1, 1), (0, 2)))
    assert transposed_sizes((4,), (3,), (2,), np.int64(1)) == ((7,), ((1, 1),))
    assert transposed_sizes((4, 5), (3, 2), (2, 3), "valid", (1, 0)) == ((10, 14), ((0, 0), (0, 0)))


@pytest.mark.parametrize(
    ("padding", "text"),
    [
        ("causal", 'padding must be "valid", "same", an int, or an int or a pair for each axis; got \'causal\'.'),
        ((1, 2), "got (1, 2). Give 1 entries."),
        ([(1, 2, 3)], "got ((1, 2, 3),). Give 1 entries."),
        (9, "padding cuts away the whole result on w; got 9. Use less padding."),
        (-1, "padding of axis w must not be negative; got (-1, -1)."),
        (1.0, "padding of axis w must be an integer; got 1.0 of type float. Use 1."),
    ],
)
def test_wrong_padding_is_explained(padding: object, text: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(text)):
        transposed_sizes((4,), (3,), (2,), padding)


def test_the_adjoint_has_the_options_and_arrays_of_the_call() -> None:
    options = ConvOptions(stride=2, padding=1, dilation=2, groups=2, activation=("elu", 0.5), precision="exact")
    spec = adjoint_spec("f", (2, 9, 4), F32, (3, 5, 4), F32, (10,), F32, rank=1, options=options, output_padding=1)
    assert spec.to_text() == "conv1d n2 w20 ic10 oc4 kw3 sw2 dw2 g2 pw1 bias elu:0.5 f32 exact"
    assert spec.out_size == (9,) and spec.effective_kernel == (window_size(3, 2),)


@pytest.mark.parametrize("function", [spec_from_call, adjoint_spec])
def test_an_error_carries_what_was_said(function) -> None:
    options = ConvOptions(stride=2, padding="same", groups=3)
    with pytest.raises(FaltungError) as caught:
        function("f", (2, 9, 4), F32, (3, 5, 7), F32, rank=1, options=options)
    request = caught.value.request
    assert request is not None
    assert request["function"] == "f" and (request["stride"], request["padding"], request["groups"]) == (2, "same", 3)
    assert request["x"] == ((2, 9, 4), F32) and request["kernel"] == ((3, 5, 7), F32)
    assert "activation" not in request and "precision" not in request
