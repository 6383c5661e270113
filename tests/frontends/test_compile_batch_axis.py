"""Networks that reduce, move or count the batch, and whole numbers among others: what PyTorch gives, for any batch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import faltung as ft

torch = pytest.importorskip("torch")

AFTER: dict[str, Callable[[Any], Any]] = {
    "mean": lambda y: y - y.mean(0, keepdim=True),
    "deviation": lambda y: y.std(0),
    "sum of all": lambda y: y.sum(),
    "moved": lambda y: torch.relu(y.transpose(0, 1)),
    "moved and back": lambda y: torch.softmax(y.permute(2, 0, 1), 1).permute(1, 2, 0),
    "flat": lambda y: y.reshape(-1),
    "first": lambda y: y[0],
    "sliced": lambda y: y[1:],
    "joined": lambda y: torch.cat([y, y], 0),
    "turned": lambda y: y.flip(0) + y,
    "counted": lambda y: y * torch.arange(y.shape[0]).view(-1, 1, 1) / y.shape[0],
    "of all samples": lambda y: y.flatten(1) @ y.flatten(1).T,
    "whole numbers": lambda y: y.argmax(1),
    "truths": lambda y: y > 0,
    "both": lambda y: (y, y.argmax(1), torch.tensor([2**53 + 1, 3]), torch.tensor([True, False])),
    "whole factors": lambda y: y * torch.tensor([3, 2, 1, 0]).view(1, 4, 1),
}


@pytest.mark.parametrize("name", AFTER)
def test_any_batch_gives_what_the_host_gives(name: str) -> None:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(3, 4, 3)

        def forward(self, x: Any) -> Any:
            return AFTER[name](self.conv(x))

    torch.manual_seed(0)
    model = Net().eval()
    net = ft.compile(model, (2, 3, 10))
    for batch in (2, 5, 3):
        x = torch.randn(batch, 3, 10)
        with torch.inference_mode():
            wanted = model(x)
        pairs = zip(net(x.numpy()), wanted, strict=True) if isinstance(wanted, tuple) else [(net(x.numpy()), wanted)]
        for y, want in pairs:
            assert y.dtype == want.numpy().dtype
            np.testing.assert_allclose(y, want.numpy(), rtol=1e-5, atol=1e-5)
