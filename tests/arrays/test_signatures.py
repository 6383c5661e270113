"""All options of a convolution are in the signature of every function, in one order and with one default."""

import inspect
from typing import Any

import pytest

import faltung as ft
import faltung.jax as fj
from faltung.spec import ConvOptions

RANKS = ("conv", "conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv1d_transpose", "conv2d_transpose", "conv3d_transpose")
CHANNELWISE = ("depthwise_conv1d", "depthwise_conv2d", "separable_conv1d", "separable_conv2d")
LACKING: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(RANKS, ()),
    **dict.fromkeys(TRANSPOSED, ("padding_mode",)),
    **dict.fromkeys(CHANNELWISE, ("groups",)),
    **dict.fromkeys(("input_gradient", "kernel_gradient"), ("activation",)),
    "conv_gradients": (),
}


def keywords(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    assert not {parameter.kind for parameter in parameters} & {inspect.Parameter.VAR_KEYWORD}
    return {p.name: p.default for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize("name", LACKING)
def test_every_function_takes_every_option(name: str) -> None:
    found = keywords(getattr(ft, name))
    more = {"out", "output_padding", "y"} & set(found)
    defaults = ConvOptions()._asdict() | {"precision": None}  # that is the process's own; `faltung.precision` sets it
    wanted = {option: value for option, value in defaults.items() if option not in LACKING[name]}
    assert {option: value for option, value in found.items() if option not in more} == wanted
    assert [option for option in found if option not in more] == list(wanted)


@pytest.mark.parametrize("name", RANKS + TRANSPOSED)
def test_functions_on_jax_arrays_take_the_same(name: str) -> None:
    ours = keywords(getattr(ft, name))
    del ours["out"]
    assert keywords(getattr(fj, name)) == ours


def test_types_of_numbers_make_another_call() -> None:
    x = [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]
    kernel = [[[1.0], [1.0]]]
    for _ in range(2):
        assert ft.conv1d(x, kernel, stride=1, groups=1).shape == (1, 3, 1)
        for option in ("stride", "dilation", "groups", "padding"):
            for wrong in (True, 1.0):
                with pytest.raises(ft.ShapeError, match="integer"):
                    ft.conv1d(x, kernel, **{option: wrong})
