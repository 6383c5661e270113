"""ft.compile on PyTorch modules: what they return, weights that change, files, islands, errors."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import faltung as ft

torch = pytest.importorskip("torch")
nn, functional = torch.nn, torch.nn.functional


class Residual(nn.Module):
    """Functional calls, a sum that goes round, a chomp."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(3, 16, 5, padding=4), nn.Conv1d(16, 16, 3, padding=1)
        self.norm = nn.BatchNorm1d(16)

    def forward(self, x: Any) -> Any:
        y = functional.relu(self.first(x)[..., :-4])
        return functional.relu(self.norm(self.second(y)) + y)


class Several(nn.Module):
    """Two inputs, a dictionary of outputs, one of them twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv1d(4, 8, 3), nn.Linear(8, 2)

    def forward(self, a: Any, b: Any) -> dict[str, Any]:
        y = torch.tanh(self.conv(torch.cat([a, b], 1)))
        score = self.head(y.transpose(1, 2))
        return {"score": score, "pair": (y, score), "turned": score.transpose(1, 2)}


def settled(module: Any) -> Any:
    torch.manual_seed(0)
    for p in module.parameters():
        nn.init.normal_(p, std=0.3)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm1d):
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
    return module.eval()


def data(*shape: int) -> Any:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape, np.float32))


def assert_same(found: Any, want: Any) -> None:
    want = want.detach().numpy()
    np.testing.assert_allclose(np.asarray(found), want, rtol=0, atol=1e-5 * np.abs(want).max())


def test_any_batch_and_any_length() -> None:
    module = settled(Residual())
    net = ft.compile(module, (1, 3, 50))
    for shape in ((1, 3, 50), (4, 3, 50), (2, 3, 77)):
        assert_same(net(data(*shape)), module(data(*shape)))
    assert [node.op for node in net.graph.nodes] == ["conv", "conv"]


def test_results_are_of_the_kind_that_was_given() -> None:
    net = ft.compile(settled(Residual()), (1, 3, 50))
    assert isinstance(net(data(1, 3, 50)), torch.Tensor)
    assert isinstance(net(data(1, 3, 50).numpy()), np.ndarray)


def test_several_inputs_and_structured_outputs() -> None:
    module = settled(Several())
    a, b = data(2, 1, 20), data(2, 3, 20)
    found, want = ft.compile(module, (a, b))(a, b), module(a, b)
    assert set(found) == set(want)
    assert_same(found["score"], want["score"])
    assert_same(found["turned"], want["turned"])
    assert_same(found["pair"][0], want["pair"][0])
    assert_same(found["pair"][1], want["pair"][1])


def test_changed_weights_are_noticed() -> None:
    module, x = settled(Residual()), data(2, 3, 50)
    net = ft.compile(module, x)
    frozen = ft.compile(module, x, freeze=True)
    before = net(x)
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    module(x).sum().backward()
    optimiser.step()
    assert_same(net(x), module(x))
    assert_same(frozen(x), before)
    module.load_state_dict({key: value * 0.5 for key, value in module.state_dict().items()})
    assert_same(net(x), module(x))
    module.first.weight = nn.Parameter(module.first.weight.detach() * 3)
    assert_same(net(x), module(x))
    module.norm.running_mean += 1
    assert_same(net(x), module(x))


def test_a_file_gives_the_same_bits_without_the_host(tmp_path: Path) -> None:
    module, x = settled(Several()), (data(2, 1, 20), data(2, 3, 20))
    net = ft.compile(module, x)
    want = net(*(one.numpy() for one in x))
    net.save(tmp_path / "several.faltung")
    np.savez(tmp_path / "data.npz", a=x[0].numpy(), b=x[1].numpy(), y=want["score"], z=want["pair"][0])
    program = f"""
import sys, numpy as np, faltung as ft
data = np.load({str(tmp_path / "data.npz")!r})
found = ft.load({str(tmp_path / "several.faltung")!r})(data["a"], data["b"])
assert (found["score"] == data["y"]).all() and (found["pair"][0] == data["z"]).all()
assert not {{"torch", "keras", "tensorflow", "jax"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.faltung"
    ft.compile(settled(Residual()), (1, 3, 50)).save(file)
    whole = file.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        with pytest.raises(ft.ModelError, match="is no network that faltung saved"):
            ft.load(file)
    with pytest.raises(ft.ModelError, match="the file must exist"):
        ft.load(tmp_path / "nothing")


class WithIsland(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gru, self.head = nn.Conv1d(3, 8, 3), nn.GRU(8, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        y, _ = self.gru(torch.relu(self.conv(x)).transpose(1, 2))
        return self.head(y[:, -1])


def test_the_host_computes_what_no_table_knows(tmp_path: Path) -> None:
    module, x = settled(WithIsland()), data(2, 3, 30)
    net = ft.compile(module, x)
    assert_same(net(x), module(x))
    assert_same(net(data(5, 3, 30)), module(data(5, 3, 30)))
    assert any("island" in segment for segment in net.segments)
    assert "island" in net.report()
    with pytest.raises(ft.ModelError, match="the host computes"):
        net.save(tmp_path / "net.faltung")


def test_a_network_of_islands_alone_is_refused() -> None:
    with pytest.raises(ft.ModelError, match="faltung computes no part"):
        ft.compile(nn.GRU(3, 4, batch_first=True).eval(), (1, 10, 3))


def test_wrong_shapes_and_models_are_explained() -> None:
    net = ft.compile(settled(Residual()), (1, 3, 50))
    with pytest.raises(ft.ShapeError, match="compiled for inputs of shapes"):
        net(data(3, 50))
    with pytest.raises(ft.ModelError, match="does not tell its input's shape"):
        ft.compile(settled(Residual()))
    with pytest.raises(ft.ModelError, match="give a ConvSpec"):
        ft.compile(object())


def test_calls_on_several_threads_do_not_meet() -> None:
    from concurrent.futures import ThreadPoolExecutor

    module = settled(Residual())
    net = ft.compile(module, (1, 3, 50))
    inputs = [data(n % 4 + 1, 3, 50).numpy() + n for n in range(40)]
    want = [net(x) for x in inputs]
    with ThreadPoolExecutor(4) as threads:
        for found, expected in zip(threads.map(net, inputs), want, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_a_file_holds_for_the_batches_that_its_model_was_read_for(tmp_path: Path) -> None:
    class Squeezes(torch.nn.Module):
        """Takes the batch of one sample away, too."""

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(3, 1, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x).squeeze()

    net = ft.compile(Squeezes().eval(), (2, 3, 10))
    net.save(tmp_path / "net")
    loaded = ft.load(tmp_path / "net")
    x = np.random.default_rng(0).normal(size=(5, 3, 10)).astype("f4")
    np.testing.assert_array_equal(loaded(x), net(x))
    assert net(x[:1]).shape == (8,)  # the model is read again
    with pytest.raises(ft.ShapeError, match="batches of 2 or more"):
        loaded(x[:1])
