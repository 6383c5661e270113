"""`ft.accelerate`: convolutions change their class, and nothing else changes."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

import faltung as ft
import faltung.torch


class Causal(nn.Conv1d):
    """What users derive."""

    def forward(self, input):
        return super().forward(nn.functional.pad(input, (self.kernel_size[0] - 1, 0)))


def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv1d(3, 8, 5, padding=2, padding_mode="circular"),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Sequential(nn.Conv1d(8, 8, 3, groups=2, dtype=torch.float32), nn.ConvTranspose1d(8, 4, 4, stride=2)),
        Causal(4, 2, 3),
    )


def test_replaces_in_place_and_keeps_everything():
    plain, x = model(), torch.randn(2, 3, 20)
    plain[3][0].requires_grad_(False)
    plain[1].eval()
    expected = plain(x)
    parameters, modules = list(plain.named_parameters()), list(plain.modules())
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.1)

    assert ft.accelerate(plain) is plain
    assert [type(plain[0]), type(plain[3][0]), type(plain[3][1]), type(plain[4])] == [
        *(faltung.torch.Conv1d, faltung.torch.Conv1d, faltung.torch.ConvTranspose1d, Causal)
    ]
    assert all(now is before for now, before in zip(plain.modules(), modules, strict=True))
    for (name, now), (before_name, before) in zip(plain.named_parameters(), parameters, strict=True):
        assert name == before_name and now is before
    assert not plain[3][0].weight.requires_grad and not plain[1].training and plain[0].training
    torch.testing.assert_close(plain(x), expected)

    plain(x).sum().backward()
    before = plain[0].weight.clone()
    optimizer.step()
    assert not torch.equal(plain[0].weight, before)


def test_a_copy_leaves_the_model_alone():
    plain, x = model(), torch.randn(2, 3, 20)
    fast = ft.accelerate(plain, copy=True)
    assert type(plain[0]) is nn.Conv1d and type(fast[0]) is faltung.torch.Conv1d
    assert not {*map(id, plain.parameters())} & {*map(id, fast.parameters())}
    torch.testing.assert_close(fast(x), plain(x))


def test_twice_is_once():
    fast = ft.accelerate(model())
    classes = [type(module) for module in fast.modules()]
    assert [type(module) for module in ft.accelerate(fast).modules()] == classes


def test_a_single_module_and_shared_ones():
    assert type(ft.accelerate(nn.Conv2d(1, 2, 3))) is faltung.torch.Conv2d
    shared = nn.Conv1d(4, 4, 3)
    twice = ft.accelerate(nn.Sequential(shared, shared))
    assert twice[0] is twice[1] is shared and type(shared) is faltung.torch.Conv1d


def test_hooks_stay():
    plain, calls, x = model(), [], torch.randn(2, 3, 20)
    plain[0].register_forward_pre_hook(lambda module, inputs: calls.append("before"))
    plain[0].register_forward_hook(lambda module, inputs, output: calls.append("after"))
    plain[0].register_full_backward_hook(lambda module, inputs, outputs: calls.append("backward"))
    plain[0].weight.register_hook(lambda gradient: calls.append("weight"))
    ft.accelerate(plain)(x.requires_grad_()).sum().backward()
    assert sorted(calls) == ["after", "backward", "before", "weight"]


@pytest.mark.parametrize("parametrization", [parametrizations.weight_norm, parametrizations.spectral_norm])
@pytest.mark.parametrize("copies", [False, True])
def test_parametrisations_stay(parametrization, copies):
    plain, x = model().eval(), torch.randn(2, 3, 20)
    for layer in (plain[0], plain[3][1]):
        parametrization(layer)
    plain.eval()
    expected, keys = plain(x), list(plain.state_dict())
    fast = ft.accelerate(plain, copy=copies)
    assert isinstance(fast[0], faltung.torch.Conv1d) and type(fast[0]).__name__ == "ParametrizedConv1d"
    assert isinstance(plain[0], faltung.torch.Conv1d) is not copies
    assert list(fast.state_dict()) == keys and parametrize.is_parametrized(fast[0])
    torch.testing.assert_close(fast(x), expected)

    fast.train()(x).sum().backward()
    assert all(parameter.grad is not None for parameter in fast.parameters())
    again = copy.deepcopy(fast).eval()
    torch.testing.assert_close(again(x), fast.eval()(x))
    expected = again(x)
    parametrize.remove_parametrizations(fast[0], "weight")  # of its copy too: PyTorch's copies share a class
    assert type(fast[0]) is faltung.torch.Conv1d
    torch.testing.assert_close(fast(x), expected)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_the_weight_norm_of_old():
    layer, x = nn.utils.weight_norm(nn.Conv1d(3, 4, 5)), torch.randn(2, 3, 20)
    expected = layer(x)
    torch.testing.assert_close(ft.accelerate(layer)(x), expected)
    layer.weight_g.data.mul_(2)
    assert not torch.allclose(layer(x), expected)


def test_lazy_modules():
    lazy = ft.accelerate(nn.Sequential(nn.LazyConv1d(8, 3), nn.LazyConvTranspose1d(2, 3)))
    assert lazy(torch.randn(2, 3, 20)).shape == (2, 2, 20)
    assert [type(layer) for layer in lazy] == [faltung.torch.Conv1d, faltung.torch.ConvTranspose1d]


def test_a_forward_of_its_own_is_left_alone():
    layer = nn.Conv1d(3, 4, 3)
    layer.forward = lambda input: input
    with pytest.warns(UserWarning, match="0 of 1 conv.* The model itself: this Conv1d has a forward of its own"):
        assert type(ft.accelerate(layer)) is nn.Conv1d
    assert faltung.torch.report(layer).left == {"": "this Conv1d has a forward of its own"}


def test_the_report(capsys):
    fast = model()
    fast[3][0].bfloat16()
    ft.accelerate(fast, verbose=True)
    report = faltung.torch.report(fast)
    assert list(report.computed) == ["0", "3.1"]
    assert report.left == {
        "3.0": "the weight is bfloat16, and faltung computes in float32 and float64",
        "4": "Causal is a class of its own; derive it from faltung.torch's to have it computed by faltung",
    }
    assert capsys.readouterr().out == f"{report}\n"
    assert str(report).startswith("faltung computes 2 of 4 convolutions.\n  0: Conv1d(3, 8, kernel_size=(5,), ")


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_model_of_which_nothing_is_computed_is_told_why_and_what_to_do():
    advice = "or calls of faltung.torch.functional. faltung.torch.report.model. names them all."
    models = {
        "0 of 1 convolutions. 0: the weight is bfloat16": nn.Sequential(nn.Conv1d(3, 4, 5).bfloat16()),
        "0 of 0 convolutions": nn.Sequential(nn.Linear(3, 4)),
        "0 of 1 convolutions. 1: it is scripted": nn.Sequential(nn.ReLU(), torch.jit.script(nn.Conv1d(3, 4, 5))),
    }
    for told, plain in models.items():
        with pytest.warns(UserWarning, match=f"accelerate: faltung computes {told}.*{advice}") as warned:
            ft.accelerate(plain)
        assert len(warned) == 1 and warned[0].filename == __file__


def test_something_that_is_no_model():
    with pytest.raises(
        ft.ModelError, match=r"accelerate: model must be a keras.Model or a torch.nn.Module; got builtins.list\. Pass"
    ):
        ft.accelerate([nn.Conv1d(3, 4, 3)])
