"""ft.show from Python: the layers it reads, what goes into the page, pictures, notebooks, the command, the gallery."""

import base64
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import faltung as ft
from faltung import reference
from faltung.cli import main
from faltung.models.data import as_data
from faltung.pages import gallery
from faltung.pages.field import traced
from faltung.pages.operation import Operation
from faltung.pages.payload import as_json, encoded
from faltung.pages.sample import numbers

nn = torch.nn
RNG = np.random.default_rng(11)
PAGES = Path(__file__).parents[2] / "src" / "faltung" / "pages" / "web"


def operations(layer: Any, x: Any, **options: Any) -> tuple[Operation, ...]:
    page = ft.show(layer, x, None, **options)
    assert page.told["kind"] == "layer", page.told.get("failure")
    return (page.drawing.operation,) if len(page.told["steps"]) == 1 else both(layer, x)


def both(layer: Any, x: Any) -> tuple[Operation, ...]:
    from faltung.models.reading import as_program
    from faltung.pages.operations import operations_of

    program = as_program(layer)
    step = program.run(x.shape, {}).steps[-1]
    return operations_of(step.layer, x, step.output_shape)


TORCH = [
    (nn.Conv1d(2, 4, 5, stride=2, padding=3, dilation=2, padding_mode="reflect"), (1, 2, 20)),
    (nn.Conv1d(4, 8, 5, padding="same", groups=2, bias=False), (1, 4, 9)),
    (nn.Conv2d(3, 3, (3, 2), groups=3, padding=(1, 0), padding_mode="circular"), (1, 3, 8, 7)),
    (nn.Conv3d(1, 2, 2, stride=(1, 2, 1)), (1, 1, 4, 5, 6)),
    (nn.ConvTranspose1d(4, 6, 5, stride=3, padding=2, output_padding=1, groups=2), (1, 4, 6)),
    (nn.ConvTranspose2d(2, 3, (3, 4), stride=2, dilation=(1, 2), padding=1), (1, 2, 4, 5)),
]


@pytest.mark.parametrize("layer, shape", TORCH, ids=lambda each: str(each))
def test_layers_of_pytorch(layer: Any, shape: tuple[int, ...]) -> None:
    x = RNG.standard_normal(shape).astype("f4")
    (one,) = operations(layer, torch.from_numpy(x))
    np.testing.assert_allclose(one.result(), layer(torch.from_numpy(x)).detach().numpy()[0], atol=1e-5)


def keras_layers(keras: Any) -> list[tuple[Any, tuple[int, ...]]]:
    kinds = keras.layers
    return [
        (kinds.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="gelu", bias_initializer="ones"), (1, 12, 3)),
        (kinds.Conv2D(4, (2, 3), strides=2, padding="same", groups=2), (1, 7, 8, 4)),
        (kinds.DepthwiseConv1D(3, depth_multiplier=2), (1, 9, 3)),
        (kinds.SeparableConv2D(5, 3, padding="same", activation="relu"), (1, 6, 6, 2)),
        (kinds.Conv1DTranspose(2, 3, strides=2, padding="same"), (1, 5, 3)),
        (kinds.Conv1DTranspose(2, 2, strides=3), (1, 5, 3)),
    ]


@pytest.mark.parametrize("at", range(6))
def test_layers_of_keras(keras: Any, at: int) -> None:
    layer, shape = keras_layers(keras)[at]
    x = RNG.standard_normal(shape).astype("f4")
    expected = np.moveaxis(numbers(as_data(layer(x)))[0], -1, 0)
    np.testing.assert_allclose(operations(layer, x)[-1].result(), expected, atol=1e-5)


def test_an_unbuilt_keras_layer_is_built_by_the_data(keras: Any) -> None:
    layer = keras.layers.Conv1D(4, 3)
    ft.show(layer, (1, 12, 3), None)
    assert layer.built


def test_functions_specs_and_transposed_texts() -> None:
    kernel = RNG.standard_normal((3, 2, 5)).astype("f4")
    x = RNG.standard_normal((2, 9, 2)).astype("f4")
    (one,) = operations(partial(ft.conv1d, kernel=kernel, padding="same", activation="relu"), x, sample=1)
    expected = ft.conv1d(x, kernel, padding="same", activation="relu")[1].T
    np.testing.assert_allclose(one.result(), expected, atol=1e-5)
    (one,) = operations("conv1d_transpose n1 w6 ic2 oc4 kw3 sw2 g2", None)
    assert one.out_size == (13,) and one.is_transposed and one.groups == 2
    spec = ft.ConvSpec.from_text("conv2d n1 h5 w6 ic2 oc3 kh2 kw2 nchw oihw leaky_relu:0.3 bias")
    (one,) = operations(spec, None)
    y = reference.conv(one.x[None], one.kernel, one.bias, spec=spec)[0]
    np.testing.assert_allclose(one.result(), y, atol=1e-5)


def test_the_users_own_kernel_must_fit() -> None:
    with pytest.raises(ft.ShapeError, match=r"kernel must have the spec's channels and taps.*got \(1, 1, 5\)"):
        ft.show("conv1d n1 w9 ic1 oc1 kw3", None, None, kernel=np.ones((5, 1, 1), "f4"))
    with pytest.raises(ft.ShapeError, match="sample must be one of the batch's 1; got 3"):
        ft.show("conv1d n1 w9 ic1 oc1 kw3", None, None, sample=3)
    with pytest.raises(ft.ShapeError, match="one for each of 1 spatial axes"):
        ft.show("conv1d n1 w9 ic1 oc1 kw3", None, None, names=("a", "b"))


@pytest.mark.parametrize(
    "array, kind",
    [
        (np.arange(256, dtype="f4"), "u1"),
        (np.arange(256, dtype="f4") / np.float32(255), "u1"),
        (np.arange(-300, 300, dtype="f4"), "i2"),
        (np.round(RNG.standard_normal(50), 2).astype("f4"), "i2"),
        (RNG.standard_normal(50).astype("f4"), "f4"),
        (RNG.standard_normal(50), "f8"),
        (np.array([np.nan, np.inf, 1.0], "f4"), "f4"),
    ],
)
def test_arrays_keep_every_number(array: np.ndarray, kind: str) -> None:
    told = encoded(array)
    assert told["type"] == kind and told["isDouble"] == (array.dtype == np.float64)
    stored = np.frombuffer(base64.b64decode(told["data"]), f"<{kind}").astype(np.float64)
    np.testing.assert_array_equal((stored / told["divisor"]).astype(array.dtype), array)


def test_a_page_is_one_small_file_without_a_network(tmp_path: Path) -> None:
    page = ft.show("conv2d n1 h16 w16 ic3 oc8 kh3 kw3 same", None, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert html == page.html and len(html) < 300_000
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "</script>" not in as_json({"name": "</script>"})


def test_an_image_of_512_and_a_long_signal_stay_reasonable() -> None:
    image = RNG.integers(0, 256, (1, 512, 512, 1)).astype("f4")
    assert len(ft.show("conv2d n1 h512 w512 ic1 oc1 kh3 kw3 same", image, None).html) < 600_000
    signal = RNG.standard_normal((1, 100_000, 1)).astype("f4")
    assert len(ft.show("conv1d n1 w100000 ic1 oc1 kw9", signal, None).html) < 1_000_000


def test_a_notebook_shows_the_page_inline() -> None:
    page = ft.show("conv1d n1 w9 ic1 oc1 kw3", None, None)
    shown = page._repr_html_()
    assert shown.startswith("<iframe") and "srcdoc=" in shown and "&lt;!doctype html&gt;" in shown
    assert repr(page) == "Page('conv1d: (1, 9, 1) → (1, 7, 1)')"


PICTURED = [
    "conv1d n1 w9 ic2 oc2 kw3 same",
    "conv1d n1 w300 ic1 oc1 kw9",
    "conv2d n1 h8 w8 ic1 oc1 kh3 kw3 same",
    "conv3d n1 d4 h5 w6 ic1 oc1 kd2 kh2 kw3",
    "conv1d_transpose n1 w6 ic1 oc1 kw3 sw2",
]


@pytest.mark.parametrize("text", PICTURED)
def test_pictures_for_papers(text: str, tmp_path: Path) -> None:
    page = ft.show(text, None, None)
    steps = {"a.png": 0, "b.png": page.drawing.num_steps - 1}
    first, last = (matplotlib.image.imread(page.save_png(tmp_path / name, step=at)) for name, at in steps.items())
    assert first.shape == last.shape and (first != last).any(), "the window does not move"
    assert "<svg" in page.save_svg(tmp_path / "c.svg").read_text(encoding="utf-8")
    with pytest.raises(ft.ModelError, match="step must be one of"):
        page.save_png(tmp_path / "d.png", step=10_000)


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    page = ft.show("conv1d n1 w9 ic1 oc1 kw3", None, None)
    for save, name in ((page.save_png, "a.png"), (page.save_svg, "a.svg")):
        assert save(tmp_path / name).read_bytes() == save(tmp_path / f"again-{name}").read_bytes()


def test_a_gif_has_a_frame_for_each_step(tmp_path: Path) -> None:
    path = ft.show("conv1d n1 w9 ic1 oc1 kw3", None, None).save_gif(tmp_path / "a.gif", num_steps=5)
    with Image.open(path) as image:
        assert image.n_frames == 5


class Shortcut(nn.Module):
    """Two ways that meet in an addition, which is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.way = nn.Sequential(nn.Conv1d(1, 2, 7, stride=2, padding=3), nn.Conv1d(2, 2, 3, padding=1))
        self.short, self.last = nn.Conv1d(1, 2, 1, stride=2), nn.Conv1d(2, 1, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.way(x) + self.short(x)))


MODELS = [
    Shortcut(),
    nn.Sequential(
        nn.Conv1d(1, 2, 5, padding=2, dilation=1), nn.ReLU(), nn.AvgPool1d(2), nn.Conv1d(2, 2, 3, dilation=3)
    ),
    nn.Sequential(nn.Conv1d(1, 2, 4, stride=3), nn.Sigmoid(), nn.ConvTranspose1d(2, 1, 5, stride=2, padding=1)),
    nn.Sequential(nn.ConvTranspose1d(1, 2, 3, stride=3), nn.Conv1d(2, 1, 7, padding=3)),
]


@pytest.mark.parametrize("model", MODELS, ids=range(4))
def test_the_receptive_field_is_what_gradients_say(model: Any) -> None:
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, 0.5, 1.0)
    x = torch.rand(1, 1, 40, requires_grad=True)
    nodes = ft.show(model, x, None).told["nodes"]
    y = model(x)
    for position in range(y.shape[-1]):
        (gradient,) = torch.autograd.grad(y[0, 0, position], x, retain_graph=True)
        found = torch.nonzero(gradient[0, 0])
        low, high = traced(nodes, len(nodes) - 1, position, 0)[0]
        if len(found):
            assert low <= found.min() and high >= found.max(), (position, low, high)
            if not any(isinstance(layer, nn.ConvTranspose1d) for layer in model.modules()):
                assert (low, high) == (found.min(), found.max()), position


def test_a_model_keeps_its_mode_and_shows_its_numbers() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Dropout(), nn.BatchNorm1d(2)).train()
    before = model[2].running_mean.clone()
    told = ft.show(model, np.ones((1, 1, 9), "f4"), None).told
    assert model.training and torch.equal(before, model[2].running_mean)
    assert [node["type"] for node in told["nodes"]] == ["", "Conv1d", "Dropout", "BatchNorm1d"]
    y = model.eval()(torch.ones(1, 1, 9))
    assert told["nodes"][-1]["heat"]["most"] == pytest.approx(y.max().item(), abs=1e-6)


def test_branches_of_a_keras_model(keras: Any) -> None:
    layers = keras.layers
    start = keras.Input((30, 2))
    wide = layers.Conv1D(4, 9, padding="same", name="wide")(start)
    narrow = layers.Conv1D(4, 1, name="narrow")(start)
    model = keras.Model(start, layers.Add(name="sum")([wide, narrow]))
    told = ft.show(model, np.ones((1, 30, 2), "f4"), None).told
    assert traced(told["nodes"], len(told["nodes"]) - 1, 15, 0)[0] == (11, 19)
    assert all(node["heat"] for node in told["nodes"])


def test_a_refusing_model_gets_the_diagnosis() -> None:
    page = ft.show(nn.Sequential(nn.Conv1d(1, 2, 3), nn.Linear(8, 2)), np.ones((1, 1, 9), "f4"), None)
    failure = page.told["failure"]
    assert failure["layer"] == "Linear (model[1])" and "wants 8 features, x has 7" in failure["why"]
    assert "nn.Linear(7, 2)" in failure["html"]
    single = ft.show(nn.Conv1d(3, 2, 3), np.ones((1, 9, 3), "f4"), None)
    assert single.told["kind"] == "model" and single.told["failure"]["shape"] == "(1, 9, 3)"


def test_the_command(tmp_path: Path) -> None:
    out, picture = tmp_path / "p.html", tmp_path / "p.png"
    np.save(tmp_path / "x.npy", np.ones((1, 20, 1), "f4"))
    words = ["show", "conv1d n1 w20 ic1 oc2 kw3", str(tmp_path / "x.npy"), "--out", str(out), "--names", "time"]
    result = CliRunner().invoke(main, [*words, "--png", str(picture)])
    assert result.exit_code == 0, result.output
    assert "conv1d: (1, 20, 1) → (1, 18, 2)" in result.output
    assert '"names":["time"]' in out.read_text(encoding="utf-8") and picture.exists()
    result = CliRunner().invoke(main, ["show", "conv1d_transpose n1 w5 ic1 oc1 kw3 sw2", "--out", str(out)])
    assert "(1, 5, 1) → (1, 11, 1)" in result.output


def test_the_gallery_of_the_docs_shows_every_picture_and_keeps_no_page() -> None:
    assert len(gallery.SITUATIONS) == 12
    kept = Path(__file__).parents[2] / "docs" / "gallery"
    shown = (kept / "README.md").read_text(encoding="utf-8")
    for name, (title, _) in gallery.SITUATIONS.items():
        assert (kept / f"{name}.png").exists() and f"![{title}]({name}.png)" in shown
    listed = subprocess.run(["git", "ls-files", "--", str(kept)], cwd=kept, capture_output=True, text=True)
    assert listed.returncode or ".html" not in listed.stdout
    assert sum(path.stat().st_size for path in kept.iterdir() if path.suffix != ".html") < 2_000_000


def test_the_command_makes_the_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "SITUATIONS", {name: gallery.SITUATIONS[name] for name in ("padding", "transposed")})
    monkeypatch.setattr(sys, "argv", ["gallery", str(tmp_path / "made")])
    gallery.main()
    made = {path.name: path for path in (tmp_path / "made").iterdir()}
    assert made.keys() == {
        "README.md",
        "padding.gif",
        *(f"{name}.{kind}" for name in gallery.SITUATIONS for kind in ("html", "png")),
    }
    for name, (title, _) in gallery.SITUATIONS.items():
        assert made[f"{name}.html"].stat().st_size < 300_000
        assert f"![{title}]({name}.png)" in made["README.md"].read_text(encoding="utf-8")


@pytest.mark.parametrize("name", gallery.SITUATIONS)
def test_a_page_of_the_gallery(name: str, tmp_path: Path) -> None:
    page = gallery.SITUATIONS[name][1]()
    html = page.save(tmp_path / f"{name}.html").read_text(encoding="utf-8")
    assert len(html) < 300_000 and "<script src" not in html
    told = json.loads(re.search(r'<script type="application/json" id="told">(.*?)</script>', html, re.DOTALL)[1])
    assert told["kind"] == ("model" if name == "dilation" else "layer") and told["title"] == page.title
    assert told == json.loads(as_json({**page.told, "title": page.title}))


def test_the_code_of_the_page_has_short_lines() -> None:
    for path in PAGES.iterdir():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            assert len(line) <= 120, f"{path.name}:{number}"


def test_a_hostile_name_stays_data(keras: Any) -> None:
    layers = [keras.Input((9, 2)), keras.layers.Conv1D(4, 3), keras.layers.Conv1D(4, 3)]
    page = ft.show(keras.Sequential(layers, name="<!--<script>"), (1, 9, 2))
    told = page.html.partition('id="told">')[2].partition("</script>")[0]
    assert "<" not in told  # "<!--<script>" would make the browser read on past the end of the element
    assert json.loads(told)["title"] == page.title and "<!--<script>" in page.title
