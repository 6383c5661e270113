"""The modules: PyTorch's in constructor, state and kind; what they know beyond; what a call costs."""

import copy
import inspect
import timeit

import pytest
import torch
from torch import nn

import faltung.torch

NAMES = [f"{lazy}Conv{kind}{rank}d" for lazy in ("", "Lazy") for kind in ("", "Transpose") for rank in (1, 2, 3)]
OPTIONS = {
    "plain": {},
    "all": {"stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False},
}


def make(module, name, **options):
    arguments = (6, 3) if name.startswith("Lazy") else (4, 6, 3)
    return getattr(module, name)(*arguments, **options)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_state_goes_to_pytorchs_module_and_back(name, options):
    x = torch.randn(2, 4, *[9] * int(name[-2]))
    ours, theirs = make(faltung.torch, name, **options), make(nn, name, **options)
    assert isinstance(ours, getattr(nn, name))
    theirs(x), ours(x)
    assert type(ours) is getattr(faltung.torch, name.removeprefix("Lazy")) and isinstance(ours, type(theirs))
    assert str(ours) == str(theirs)

    assert ours.load_state_dict(theirs.state_dict()).missing_keys == []
    torch.testing.assert_close(ours(x), theirs(x))
    ours.reset_parameters()
    assert theirs.load_state_dict(ours.state_dict()).unexpected_keys == []
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("name", NAMES[:6])
def test_the_same_seed_gives_the_same_weights(name):
    weights = []
    for module in (nn, faltung.torch):
        torch.manual_seed(7)
        weights.append(make(module, name, groups=2).weight)
    assert torch.equal(*weights)


def test_arguments_by_position_dtype_and_device():
    arguments = (4, 6, 3, 2, 1, 1, 2, False, "circular", "meta", torch.float64)
    ours, theirs = faltung.torch.Conv2d(*arguments), nn.Conv2d(*arguments)
    assert str(ours) == str(theirs) and ours.weight.is_meta and ours.weight.dtype is torch.float64
    assert "layout" in inspect.signature(faltung.torch.Conv2d).parameters


@pytest.mark.parametrize("padding", ["same", "causal", (2, 1), ((2, 1),)])
@pytest.mark.parametrize("layout", [None, "NWC"])
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
def test_what_pytorch_refuses(padding, layout, padding_mode):
    layer = faltung.torch.Conv1d(3, 4, 5, stride=2, padding=padding, layout=layout, padding_mode=padding_mode)
    x = torch.randn(2, 3, 20)
    pair = {"same": (1, 2), "causal": (4, 0)}.get(padding, (2, 1))
    mode = "constant" if padding_mode == "zeros" else padding_mode
    peer = nn.functional.conv1d(nn.functional.pad(x, pair, mode), layer.weight, layer.bias, stride=2)
    y = layer(x if layout is None else x.mT)
    torch.testing.assert_close(y if layout is None else y.mT, peer)
    assert (f"layout={layout}" in str(layer)) is (layout is not None)
    again = copy.deepcopy(layer)
    assert torch.equal(again(x if layout is None else x.mT), y)


def test_lazy_modules_find_their_channels_in_every_layout():
    layer = faltung.torch.LazyConv2d(8, 3, padding="same", layout="NHWC")
    assert layer(torch.randn(2, 10, 11, 5)).shape == (2, 10, 11, 8)
    assert type(layer) is faltung.torch.Conv2d and layer.in_channels == 5 and layer.layout == "NHWC"
    up = faltung.torch.LazyConvTranspose1d(8, 4, stride=2, layout="NWC")
    assert up(torch.randn(2, 10, 5), output_size=[23]).shape == (2, 23, 8)


def test_output_size_of_a_transposed_module():
    ours, theirs = faltung.torch.ConvTranspose2d(3, 4, 3, stride=3), nn.ConvTranspose2d(3, 4, 3, stride=3)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 5, 6)
    for size in ([15, 18], [17, 20], [2, 4, 16, 18]):
        torch.testing.assert_close(ours(x, output_size=size), theirs(x, output_size=size))
    with pytest.raises(ValueError, match="requested an output size"):
        ours(x, output_size=[18, 18])


def test_a_class_derived_from_ours():
    class Doubled(faltung.torch.Conv1d):
        def _conv_forward(self, input, weight, bias):
            return 2 * super()._conv_forward(input, weight, bias)

    layer = Doubled(3, 4, 5)
    x = torch.randn(1, 3, 9)
    torch.testing.assert_close(layer(x), 2 * nn.functional.conv1d(x, layer.weight, layer.bias))


@pytest.mark.parametrize("padding, message", [
    ("some", "Invalid padding string 'some'"),
    (((1, 2, 3),), r"padding of axis w must be an int or \(low, high\)"),
])  # fmt: skip
def test_wrong_padding(padding, message):
    with pytest.raises(ValueError, match=message):
        faltung.torch.Conv1d(3, 4, 5, padding=padding)(torch.randn(1, 3, 9))


def test_a_call_costs_no_more_than_pytorchs():
    ours, theirs = faltung.torch.Conv1d(3, 16, 3).eval(), nn.Conv1d(3, 16, 3).eval()
    with torch.inference_mode():
        x = torch.randn(1, 3, 20)
        rounds = [[timeit.timeit(lambda m=m: m(x), number=200) for m in (ours, theirs)] for _ in range(30)]
    fastest = [min(times) for times in zip(*rounds, strict=True)]
    assert fastest[0] <= 1.15 * fastest[1], f"{fastest[0] / 200 * 1e6:.2f} against {fastest[1] / 200 * 1e6:.2f} µs"
