"""Where faltung refuses, PyTorch answers: its results, and its errors with the layer's place."""

import pickle
import re

import pytest
import torch
from torch import nn

import faltung as ft
import faltung.torch
import faltung.torch.functional as F

X, KERNEL, BIAS = torch.ones(2, 3, 20), torch.ones(4, 3, 5), torch.arange(4.0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(3, 8, 5), nn.ReLU(), nn.Conv1d(8, 4, 3))
        self.up = nn.ConvTranspose1d(4, 2, 3)

    def forward(self, x):
        return self.up(self.body(x))


def error_of(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def head(error):
    """The message up to the arguments that differ in the form of the call."""
    return re.split(r" - got|Error code", str(error))[0].splitlines()[0]


WRONG = {
    "channels": lambda f: f.conv1d(torch.ones(2, 20, 3), KERNEL),
    "axes": lambda f: f.conv1d(torch.ones(2, 3, 4, 5), KERNEL),
    "too short": lambda f: f.conv1d(torch.ones(2, 3, 4), KERNEL),
    "bias": lambda f: f.conv1d(X, KERNEL, torch.ones(5)),
    "stride": lambda f: f.conv1d(X, KERNEL, stride=2.5),
    "dilation": lambda f: f.conv1d(X, KERNEL, dilation=-1),
    "negative padding": lambda f: f.conv1d(X, KERNEL, padding=-1),
    "nested groups": lambda f: f.conv1d(X, KERNEL, groups=[[2]]),
    "element types": lambda f: f.conv1d(X, KERNEL.double()),
    "sparse": lambda f: f.conv1d(X.to_sparse(), KERNEL),
    "an array": lambda f: f.conv1d(X.numpy(), KERNEL),
    "an array as bias": lambda f: f.conv1d(X, KERNEL, BIAS.numpy()),
    "a list": lambda f: f.conv1d([1.0], KERNEL),
    "nothing": lambda f: f.conv1d(None, KERNEL),
    "no outputs": lambda f: f.conv1d(X, torch.ones(0, 3, 5)),
    "transposed": lambda f: f.conv_transpose1d(torch.ones(2, 7, 20), KERNEL),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_error_is_pytorchs(wrong):
    ours, theirs = error_of(lambda: WRONG[wrong](F)), error_of(lambda: WRONG[wrong](nn.functional))
    assert isinstance(ours, type(theirs)) and head(ours) == head(theirs)
    assert ours.__cause__ is None and isinstance(pickle.loads(pickle.dumps(ours)), type(theirs))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors(layout):
    x = torch.nested.nested_tensor([torch.ones(3, 20), torch.ones(3, 10)], layout=layout)
    ours, theirs = error_of(lambda: F.conv1d(x, KERNEL)), error_of(lambda: nn.functional.conv1d(x, KERNEL))
    assert type(ours) is type(theirs) and head(ours) == head(theirs)


def test_an_option_that_only_faltung_knows_keeps_our_words():
    with pytest.raises(RuntimeError, match=r"conv1d: padding must be .* got 'sam'\. Did you mean 'same'\?") as raised:
        F.conv1d(X, KERNEL, padding="sam")
    assert isinstance(raised.value, ft.ShapeError)


@pytest.mark.parametrize("needs_gradient", [False, True])
def test_no_input_channels_give_the_bias(needs_gradient):
    for shape, kernel in [((2, 0, 6, 9), (4, 0, 3, 3)), ((0, 6, 9), (4, 0, 3, 3)), ((2, 0, 6), (4, 0, 3))]:
        operands = [torch.ones(shape), torch.ones(kernel), BIAS.clone()]
        for operand in operands:
            operand.requires_grad_(needs_gradient)
        rank = len(kernel) - 2
        y = getattr(F, f"conv{rank}d")(*operands, padding=1)  # PyTorch 2.13 itself returns (2, 0, 6, 9) in 2-D
        assert y.shape == (*shape[: -1 - rank], 4, *shape[-rank:])
        assert torch.equal(y, operands[2].reshape(4, *(1,) * rank).expand(y.shape))
        if needs_gradient:
            gradients = torch.autograd.grad(y.sum(), operands)
            assert [gradient.shape for gradient in gradients] == [operand.shape for operand in operands]
            assert torch.equal(gradients[2], torch.full((4,), float(y.numel() // 4)))


def test_meta_tensors():
    assert F.conv1d(X.to("meta"), KERNEL.to("meta")).shape == (2, 4, 16)


@pytest.mark.parametrize(
    "shape, place", [((2, 20, 3), "body.0 (Conv1d): Given groups=1"), ((2, 3, 6), "body.2 (Conv1d): Calculated padded")]
)
def test_an_error_names_the_layer_in_the_hosts_words(shape, place):
    stock, ours = Net(), ft.accelerate(Net())
    theirs = error_of(lambda: stock(torch.ones(shape)))
    with pytest.raises(RuntimeError) as raised:
        ours(torch.ones(shape))
    message = str(raised.value)
    assert message.startswith(place) and message.endswith(str(theirs))
    assert "layout=" not in message and "moveaxis" not in message
    assert isinstance(raised.value, ft.ShapeError) and "layout=" not in str(raised.value.diagnosis)


def test_element_types_name_the_layer_too():
    with pytest.raises(RuntimeError, match=r"up \(ConvTranspose1d\): .*should be the same"):
        model = ft.accelerate(Net())
        model.up.double()
        model(X)


@pytest.mark.parametrize("x", [torch.ones(2, 20, 3), torch.ones(2, 3, 6), torch.ones(2, 3, 20).double()], ids=str)
def test_explain_errors_says_of_an_accelerated_model_what_it_says_of_a_stock_one(x):
    said = []
    for model in (Net(), ft.accelerate(Net())):
        with pytest.raises(RuntimeError) as raised, ft.explain_errors():
            model(x)
        said.append(raised.value)
    assert str(said[1]).partition("\n")[2] == str(said[0]).partition("\n")[2] != ""
    assert str(said[1].diagnosis) == str(said[0].diagnosis)
