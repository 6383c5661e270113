"""ft.show, ft.diagnose and ft.explain of a compiled network: as on the model; from a file, by its graph."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import faltung as ft
from faltung.models.data import as_data
from faltung.models.reading import as_program
from faltung.pages.activations import activations_of

torch = pytest.importorskip("torch")


class Residual(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv1d(3, 8, 5, padding=2), torch.nn.Conv1d(8, 8, 3, padding=1)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.first(x))
        return (y + self.second(y)).mean(-1)


@pytest.fixture
def model() -> Any:
    torch.manual_seed(0)
    return Residual().eval()


@pytest.mark.parametrize("shape", [(4, 3, 50), (4, 50, 3)])
def test_a_network_is_diagnosed_as_its_model_is(model: Any, shape: tuple[int, ...]) -> None:
    net = ft.compile(model, (2, 3, 50))
    assert str(ft.diagnose(net, shape)) == str(ft.diagnose(model, shape))
    assert str(ft.explain(net, shape)) == str(ft.explain(model, shape))


def test_a_network_is_shown_as_its_model_is(model: Any) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 50)).astype("f4")
    assert ft.show(ft.compile(model, x), x, path=None).told == ft.show(model, x, path=None).told


def test_a_network_of_a_file_is_diagnosed_by_its_graph(model: Any, tmp_path: Path) -> None:
    ft.compile(model, (2, 3, 50)).save(tmp_path / "net")
    net = ft.load(tmp_path / "net")
    assert ft.diagnose(net, (7, 3, 50)).ok
    found = ft.diagnose(net, (7, 50, 3))
    assert found.faults[0].fixes[0].code == "x = x.swapaxes(1, 2)"
    np.testing.assert_array_equal(net(found.apply(np.ones((7, 50, 3), "f4"))), net(np.ones((7, 3, 50), "f4")))


def test_a_network_of_a_file_is_shown_with_what_each_step_computes(model: Any, tmp_path: Path) -> None:
    ft.compile(model, (2, 3, 50)).save(tmp_path / "net")
    net, x = ft.load(tmp_path / "net"), np.random.default_rng(0).normal(size=(2, 3, 50)).astype("f4")
    program = as_program(net)
    steps = [step for step in program.run(x.shape, {}).steps if step.layer.kind != "input"]
    outputs = activations_of(net, program, as_data(x).array, steps, 1)
    np.testing.assert_array_equal(outputs[-1], net(x[1:]))
    assert all(
        output is not None and output.shape[1:] == step.output_shape[1:]
        for output, step in zip(outputs, steps, strict=True)
    )
    assert "net" in ft.show(net, x, path=None).title
