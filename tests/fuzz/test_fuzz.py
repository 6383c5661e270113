"""The fuzz run itself, for twenty seconds; and that it finds what is put before it."""

from random import Random

import numpy as np
import pytest

import faltung as ft
from faltung.fuzz import judge as judging
from faltung.fuzz.case import Case, Numbers
from faltung.fuzz.judge import judge
from faltung.fuzz.run import complaints
from faltung.fuzz.shrink import shrink

CASE = Case("conv1d", {"x": Numbers((2, 33, 4)), "kernel": Numbers((3, 4, 8)), "stride": 2, "padding": "same"})


def test_no_call_is_wrong_or_says_nothing_clear():
    seed = np.random.SeedSequence().entropy % 2**32
    found = [f"{complaint}\n  {case.line()}" for complaint, case in complaints(Random(seed), seconds=20)]
    assert not found, f"seed {seed}\n" + "\n".join(found)


def test_a_wrong_number_is_found_and_shrunk_to_a_line(monkeypatch):
    def wrong(x, kernel, **options):
        y = ft.conv1d(x, kernel, **options)
        y[..., -1] += len(x) > 1
        return y

    monkeypatch.setitem(judging.FUNCTIONS, "conv1d", wrong)
    complaint = judge(CASE)
    assert "wrong numbers" in complaint
    least = shrink(CASE, complaint)
    assert least.arguments == {"x": Numbers((2, 1, 1)), "kernel": Numbers((1, 1, 1))}
    printed = []
    exec(least.line(), {"print": printed.append})
    assert "wrong numbers: " in printed[0]


@pytest.mark.parametrize(
    ("error", "complaint"),
    [
        (TypeError("no"), "a foreign error, TypeError: no"),
        (ft.ShapeError("conv1d: " + "x" * 1000), "a message of 1008 characters"),
        (ft.ShapeError("conv1d: a\nb"), "a message of several lines"),
        (ft.ShapeError("conv2d: a"), "a message without the function's name"),
        (ft.CodegenError("conv1d: a"), "a bug of ours"),
    ],
)
def test_an_error_that_is_not_clear_is_found(monkeypatch, error, complaint):
    def refuse(**arguments):
        raise error

    monkeypatch.setitem(judging.FUNCTIONS, "conv1d", refuse)
    assert judge(CASE).startswith(complaint)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x, k: ft.conv1d(x, k, padding=2**40), "padding ((1099511627776, 1099511627776),), which needs"),
        (lambda x, k: ft.conv2d(x[None], k[None], padding=2**31), "padding ((2147483648, 2147483648), (2147483648"),
        (lambda x, k: ft.conv1d_transpose(x, k.swapaxes(1, 2), dilation=2**40), "the result must fit into memory"),
        (lambda x, k: ft.conv1d(x, k, stride=2.5), "stride must be an integer; got 2.5 of type float"),
        (lambda x, k: ft.conv1d(x, k, dilation=-1, groups=[[1]]), "groups must be an integer; got [[1]]"),
        (lambda x, k: ft.input_gradient(x, k, 1.0), "input_shape must be the shape of x; got 1.0"),
        (lambda x, k: ft.kernel_gradient(x, x, None), "kernel_size must be an integer; got None"),
        (lambda x, k: ft.ConvSpec.from_text("conv1d n" + "9" * 5000), "needs a number after its letters"),
        (lambda x, k: ft.ConvSpec.from_text("x" * 9000), "a spec begins with"),
        (lambda x, k: ft.ConvSpec.from_text(5), "a spec is a line of text; got 5"),
        (lambda x, k: ft.compile("x" * 9000), "give a ConvSpec"),
        (lambda x, k: ft.conv1d(x.astype("f2"), k), 'x must be float32 or float64; got float16. Convert: x.astype("'),
        (lambda x, k: ft.conv1d(x.astype("c8"), k), "got complex64. Convolve x.real and x.imag apart"),
    ],
)
def test_odd_arguments_have_one_short_error(call, said):
    with pytest.raises(ft.FaltungError) as caught:
        call(np.ones((2, 9, 4), "f4"), np.ones((3, 4, 8), "f4"))
    assert said in str(caught.value) and len(str(caught.value)) < 300
