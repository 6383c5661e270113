"""The gradient of a bias where we sum it, and where we must not."""

import pytest
import torch

import faltung.torch
from faltung.operators.epilogue_gradient import EpilogueGradient
from faltung.torch import bias

SHAPE = (4, 15, 700)


def channels_last(*shape: int, **options: object) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(shape[0], *shape[2:], shape[1], **options).movedim(-1, 1)


@pytest.fixture
def sums(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every sum of ours."""
    done: list[int] = []
    ours = EpilogueGradient.sum_at

    def sum_at(self: EpilogueGradient, dy: int, db: int) -> None:
        done.append(dy)
        ours(self, dy, db)

    monkeypatch.setattr(EpilogueGradient, "sum_at", sum_at)
    return done


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [SHAPE, (2, 250, 9, 11), (3, 19, 3, 20, 31)])
def test_many_numbers_are_summed_by_us(shape: tuple[int, ...], dtype: torch.dtype, sums: list[int]) -> None:
    dy = channels_last(*shape, dtype=dtype)
    total = bias.sum_of_channels(dy)
    assert len(sums) == 1
    expected = dy.double().sum([0, *range(2, dy.dim())])
    assert total.dtype == dtype and total.shape == expected.shape
    torch.testing.assert_close(total.double(), expected, rtol=0, atol=1e-3 if dtype == torch.float32 else 1e-12)


@pytest.mark.parametrize(
    "dy",
    [
        channels_last(4, 15, 7),
        channels_last(4, 16, 700),
        channels_last(4, 15, 700).contiguous(),
        channels_last(4, 15, 1400)[:, :, ::2],
        channels_last(4, 30, 700)[:, ::2],
        channels_last(1, 1, 1).expand(SHAPE),
        channels_last(*SHAPE).half(),
        torch.empty(0, 15, 700),
    ],
    ids=["few", "whole vectors", "channels first", "every other", "gaps", "expanded", "half", "empty"],
)
def test_others_are_summed_by_pytorch(dy: torch.Tensor, sums: list[int]) -> None:
    torch.testing.assert_close(bias.sum_of_channels(dy), dy.sum((0, 2)))
    assert not sums


def test_a_negated_view_is_summed_as_it_reads() -> None:
    dy = torch._neg_view(channels_last(*SHAPE))
    torch.testing.assert_close(bias.sum_of_channels(dy), dy.sum((0, 2)))


def test_training_and_second_derivatives(sums: list[int]) -> None:
    """The gradient is ours in a training step, PyTorch's where it is derived again; both are the same."""
    x = channels_last(4, 3, 702).double()
    conv = faltung.torch.Conv1d(3, 15, 3).double()
    conv(x).square().sum().backward()
    assert len(sums) == 1 and conv.bias.grad is not None
    (again,) = torch.autograd.grad(conv(x).square().sum(), conv.bias, create_graph=True)
    assert len(sums) == 1
    torch.testing.assert_close(again, conv.bias.grad)
    (second,) = torch.autograd.grad(again.sum(), conv.bias)
    torch.testing.assert_close(second, torch.full((15,), 2.0 * 4 * 700, dtype=torch.float64))
    by_transform = torch.func.grad(lambda b: torch.func.functional_call(conv, {"bias": b}, x).square().sum())
    torch.testing.assert_close(by_transform(conv.bias.detach()), conv.bias.grad)
