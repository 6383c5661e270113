"""The hunt: what it draws, what it calls right, what it makes of a finding, and its command."""

from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from click.testing import CliRunner

import faltung as ft
from faltung.bench.hunt.calls import FORMS, Data, Torch, our_call
from faltung.bench.hunt.draw import MODES, MOST_BYTES, MOST_MACS, draw
from faltung.bench.hunt.hunt import choose_forms
from faltung.bench.hunt.measure import Finding
from faltung.bench.hunt.shrink import shrink
from faltung.bench.suite import load
from faltung.cli.bench import bench
from faltung.errors import FaltungError

SPECS = (
    "conv1d n2 w20 ic4 oc6 kw3 sw2 pw1 ncw oiw",
    "conv1d n2 w20 ic4 oc6 kw3 dw2 g2",
    "conv2d n2 h8 w9 ic3 oc4 kh3 kw2 sh2 sw1 nchw oihw",
    "conv3d n1 d4 h5 w6 ic2 oc3 kd2 kh3 kw3 pd1 ph1 pw1",
)


@pytest.fixture(autouse=True, scope="module")
def _torch_as_it_was() -> Iterator[None]:
    """A hunt has its process to itself; tests have not."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    yield
    torch.set_grad_enabled(True)
    torch.set_num_threads(threads)


def test_the_same_seed_draws_the_same_specs_of_every_sort() -> None:
    drawn = [[draw(random, mode) for mode in MODES for _ in range(40)] for random in (Random(3), Random(3))]
    assert drawn[0] == drawn[1]
    assert all(spec.macs <= MOST_MACS and spec.output_bytes <= MOST_BYTES for spec in drawn[0])
    for sort in ("rank", "is_channels_last", "dtype", "bias"):
        assert len({getattr(spec, sort) for spec in drawn[0]}) > 1
    assert {spec.groups == spec.in_channels > 1 for spec in drawn[0]} == {True, False}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", SPECS)
def test_peers_compute_the_same(text: str, mode: str, form: str) -> None:
    pytest.importorskip("torch")
    spec, torch = ft.ConvSpec.from_text(text), Torch()
    if mode == "forward":
        spec = spec.replace(bias=True, activation="gelu")
    data = Data.of(spec, mode)
    found = our_call(data)()
    np.testing.assert_allclose(torch.arrays(torch.call(data, form)(), data), found, rtol=1e-4, atol=1e-4)


def test_shrinking_keeps_what_makes_it_slow() -> None:
    def again(spec: ft.ConvSpec) -> Finding:
        ratio = 0.3 if spec.stride == (2, 2) and spec.in_channels >= 4 else 2.0
        return Finding("forward", spec, 1.0, ratio, 1.0)

    spec = ft.ConvSpec.from_text("conv2d n8 h32 w32 ic16 oc32 kh3 kw3 sh2 sw2 ph1 pw1 nchw oihw gelu bias f64")
    simplest = shrink(again(spec), again)
    assert simplest.spec.to_text() == "conv2d n1 h4 w4 ic4 oc1 kh3 kw3 sh2 sw2 nchw oihw f32"


def test_found_cases_are_specs_with_modes() -> None:
    modes = {name.partition("/")[0] for name in load("found") if "/" in name}
    assert modes <= set(MODES)


def test_an_unknown_peer() -> None:
    with pytest.raises(FaltungError, match="a hunt's peers are torch and torch-2d; got jax"):
        choose_forms("torch,jax")


def test_the_command_measures_what_is_given() -> None:
    pytest.importorskip("torch")
    result = CliRunner().invoke(bench, ["--hunt", "--mode", "kernel-gradient", SPECS[0], SPECS[1]])
    assert result.exit_code == 0, result.output
    for text in SPECS[:2]:
        assert ft.ConvSpec.from_text(text).to_text() in result.output
    assert "kernel-gradient, channels first" in result.output


def test_the_command_hunts() -> None:
    pytest.importorskip("torch")
    result = CliRunner().invoke(bench, ["--hunt", "--mode", "forward", "--seconds", "3", "--seed", "5"])
    assert result.exit_code == 0, result.output
    assert "times PyTorch's speed over" in result.output


@pytest.mark.parametrize("arguments", [["--hunt", "--threads", "2"], ["--mode", "transposed", SPECS[0]]])
def test_what_does_not_go_together(arguments: list[str]) -> None:
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 2
    assert "--hunt" in result.output
