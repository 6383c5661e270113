"""What a reader does on a page: play, step, click, slide, choose; with keys, on a phone, in the dark, on paper."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages.browsing import Tab, opened, visited

import faltung as ft
from faltung.models.data import as_data
from faltung.pages.sample import numbers

RNG = np.random.default_rng(5)
X = RNG.standard_normal((1, 14, 2)).astype("f4")
KERNEL = RNG.standard_normal((3, 2, 4)).astype("f4")
BIAS = RNG.standard_normal(4).astype("f4")
SEQUENCE = "conv1d n1 w14 ic2 oc4 kw3 same bias relu"
FOUR_LOOKS = [(1240, "light"), (1240, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def sequence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "sequence.html"
    ft.show(SEQUENCE, X, path, kernel=KERNEL, bias=BIAS, names=("time",))
    return path


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("show") / "image.html"
    ft.show("conv2d n1 h7 w8 ic2 oc3 kh3 kw3 same", None, path)
    return path


@pytest.fixture
def page(tab: Tab, sequence: Path) -> Iterator[Tab]:
    with visited(tab, sequence):
        yield tab


def now(tab: Tab) -> int:
    tab.settle()
    return int(tab.text("#now").split()[0].replace(",", "")) - 1


def marked(tab: Tab, mark: str, role: str) -> list[str]:
    tab.settle()
    found = tab.run(
        "([mark, role]) => [...document.querySelectorAll(`#stage .cell.${mark}[data-role=${role}]`)]"
        ".map((cell) => cell.dataset.at)",
        [mark, role],
    )
    return sorted(found)


def slide(tab: Tab, name: str, value: int) -> None:
    tab.run(
        "([name, value]) => { const slider = document.querySelector(`[data-slider='${name}']`);"
        "slider.value = value; slider.dispatchEvent(new Event('input')); }",
        [name, value],
    )
    tab.settle()


def outputs(tab: Tab) -> np.ndarray:
    """Every output that the page computes, ``(C, W)``."""
    program = """() => { const { conv } = faltung.state; return Array.from({ length: conv.filters }, (_, filter) =>
      Array.from({ length: conv.outSize[2] }, (_, o) => faltung.valueAt(conv, filter, [0, 0, o]))); }"""
    return np.asarray(tab.run(program))


def test_buttons_step_and_stop_at_the_ends(page: Tab) -> None:
    for name, place in (("next", 1), ("next", 2), ("back", 1), ("last", 13), ("next", 13), ("first", 0), ("back", 0)):
        page.page.click(f"#{name}")
        assert now(page) == place


def test_it_plays_to_the_end_and_stops(page: Tab) -> None:
    page.page.select_option("#speed", "30")
    page.page.click("#play")
    page.page.wait_for_function("document.getElementById('now').textContent.startsWith('14 ')")
    page.page.wait_for_function("document.getElementById('play').getAttribute('aria-pressed') === 'false'")


def test_keys(page: Tab) -> None:
    keys = [("ArrowRight", 1), ("ArrowDown", 11), ("ArrowLeft", 10), ("End", 13), ("ArrowUp", 3), ("Home", 0)]
    for key, place in keys:
        page.page.keyboard.press(key)
        assert now(page) == place, key
    page.page.keyboard.press("f")
    page.page.keyboard.press("c")
    assert page.run("() => [faltung.state.filter, faltung.state.channel]") == [1, 1]
    page.page.keyboard.press(" ")
    page.page.wait_for_function("Number(document.getElementById('scrub').value) > 0")
    page.page.keyboard.press(" ")
    assert page.run("() => faltung.state.isPlaying") is False


def test_a_clicked_output_lights_up_its_inputs(page: Tab) -> None:
    page.page.click('#stage [data-role=output][data-at="2,0,0,6"]')
    assert now(page) == 6
    assert marked(page, "is-touched", "input") == [
        f"{channel},0,0,{place}" for channel in (0, 1) for place in (6, 7, 8)
    ]
    assert "filter 2, time 6" in page.text("#arithmetic h2")


def test_a_clicked_input_lights_up_the_outputs_it_feeds(page: Tab) -> None:
    page.page.click('#stage [data-role=input][data-at="1,0,0,5"]')  # place 5 is input 4
    assert marked(page, "is-fed", "output") == [f"{filter_},0,0,{o}" for filter_ in range(4) for o in (3, 4, 5)]
    assert marked(page, "is-picked", "input") == ["1,0,0,5"]
    page.page.keyboard.press("Escape")
    assert marked(page, "is-fed", "output") == []


def test_what_an_input_feeds_is_what_the_input_gradient_says(page: Tab) -> None:
    page.run("() => faltung.edit({ stride: [2], dilation: [2], padding: [[3, 2]], word: '', mode: 'reflect' })")
    line = "faltung.fedBy(faltung.state.conv.lines[2], {})"
    spec = ft.ConvSpec(
        in_size=14, in_channels=1, out_channels=1, kernel_size=3, stride=2, dilation=2, padding=(3, 2),
        padding_mode="reflect", dtype="float64",
    )  # fmt: skip
    for index in range(14):
        x = np.zeros(spec.input_shape)
        x[0, index] = 1.0
        fed = np.flatnonzero(ft.conv(x, np.ones(spec.kernel_shape), stride=2, dilation=2, padding=(3, 2),
                                     padding_mode="reflect"))  # fmt: skip
        assert page.run(f"() => {line.format(index)}") == fed.tolist()


@pytest.mark.parametrize(
    "changes, options",
    [
        ({"stride 0": 3}, {"stride": 3, "padding": "same"}),
        ({"dilation 0": 4}, {"dilation": 4, "padding": "same"}),
        ({"padding, low 0": 5, "padding, high 0": 2}, {"padding": (5, 2)}),
    ],
)
def test_sliders_recompute(page: Tab, changes: dict[str, int], options: dict[str, Any]) -> None:
    page.run("() => faltung.edit({ word: 'same' })")
    for name, value in changes.items():
        slide(page, name, value)
    expected = ft.conv1d(X, KERNEL, BIAS, activation="relu", **options)[0].T
    np.testing.assert_allclose(outputs(page), expected, atol=1e-5)
    assert page.text(".formula").endswith(f"= {expected.shape[1]}")
    page.page.click("#reset")
    page.settle()
    np.testing.assert_allclose(
        outputs(page), ft.conv1d(X, KERNEL, BIAS, activation="relu", padding="same")[0].T, atol=1e-5
    )


def test_more_taps_keep_an_average_an_average(tab: Tab, tmp_path: Path) -> None:
    ft.show(
        "conv1d n1 w14 ic1 oc1 kw3 f64", X[..., :1].astype("f8"), tmp_path / "a.html", kernel=np.full((3, 1, 1), 1 / 3)
    )
    with visited(tab, tmp_path / "a.html"):
        slide(tab, "kernel size 0", 7)
        expected = ft.conv1d(X[..., :1].astype("f8"), np.full((7, 1, 1), 1 / 7))[0].T
        np.testing.assert_allclose(outputs(tab), expected, atol=1e-12)
        assert "resampled" in tab.text("#sliders, .sliders")


@pytest.mark.parametrize("word, mode", [("valid", "zeros"), ("causal", "replicate"), ("same", "circular")])
def test_padding_by_its_names(page: Tab, word: str, mode: str) -> None:
    page.page.select_option("#word", word)
    page.page.select_option("#mode", mode)
    page.settle()
    expected = ft.conv1d(X, KERNEL, BIAS, activation="relu", padding=word, padding_mode=mode)[0].T
    np.testing.assert_allclose(outputs(page), expected, atol=1e-5)


def test_a_window_that_does_not_fit_is_explained(page: Tab) -> None:
    page.page.select_option("#word", "valid")
    slide(page, "dilation 0", 8)
    assert "time: the window spans 17, the padded input only 14: no output." in page.text("[role=alert]")
    assert page.page.is_disabled("#play")
    page.page.click("#reset")
    assert now(page) == 0 and page.page.is_enabled("#play")


def test_conv1d_and_the_equivalent_conv2d(page: Tab) -> None:
    page.run("() => faltung.jumpTo(4)")
    page.settle()
    page.page.locator("#flat").scroll_into_view_if_needed()
    page.page.wait_for_function("document.getElementById('flat-verdict').textContent.includes('0.')")
    left, right = page.page.locator("#flat .side").all_inner_texts()
    assert "(1, 14, 2)" in left and "(3, 2, 4)" in left
    assert "(1, 1, 14, 2)" in right and "(1, 3, 2, 4)" in right and "batch, height, time, channels" in right
    assert page.text("#flat-verdict").startswith("Both give")
    value = ft.conv2d(X[:, None], KERNEL[None], BIAS, padding="same", activation="relu")[0, 0, 4, 0]
    assert abs(page.number("after relu") - value) < 1e-5


def test_channels_and_filters_stay_in_one_group(tab: Tab, tmp_path: Path) -> None:
    ft.show("conv1d n1 w9 ic6 oc6 kw3 g3", None, tmp_path / "groups.html")
    with visited(tab, tmp_path / "groups.html"):
        tab.run("() => faltung.change({ channel: 5 })")
        assert tab.run("() => faltung.state.filter") == 4
        tab.run("() => faltung.change({ filter: 1 })")
        assert tab.run("() => faltung.state.channel") == 0


def test_both_halves_of_a_separable_convolution(tab: Tab, tmp_path: Path, keras: Any) -> None:
    layer = keras.layers.SeparableConv1D(5, 3, padding="same", depth_multiplier=2, bias_initializer="ones")
    expected = numbers(as_data(layer(X)))[0].T
    ft.show(layer, X, tmp_path / "separable.html")
    with visited(tab, tmp_path / "separable.html"):
        assert outputs(tab).shape == (4, 14)
        tab.page.click(".tabs button:last-child")
        tab.settle()
        np.testing.assert_allclose(outputs(tab), expected, atol=1e-5)


def test_a_grid_is_clicked_both_ways(tab: Tab, image: Path) -> None:
    with visited(tab, image):
        tab.page.click('.of-output [data-at="0,0,3,2"]')
        assert now(tab) == 3 * 8 + 2
        assert len(marked(tab, "is-touched", "input")) == 9
        tab.page.click('.of-input [data-at="0,0,1,1"]')  # the corner
        assert marked(tab, "is-fed", "output") == ["0,0,0,0", "0,0,0,1", "0,0,1,0", "0,0,1,1"]
        tab.page.keyboard.press("ArrowDown")
        assert now(tab) == 4 * 8 + 2


def boxes(tab: Tab) -> dict[str, list[int]]:
    """Where the parts of the page lie: x, y, width and height."""
    program = """() => Object.fromEntries([...document.querySelectorAll("section, figure")].map((each, at) => {
      const box = each.getBoundingClientRect();
      return [at + each.className, [box.x, box.y + scrollY, box.width, box.height].map(Math.round)];
    }))"""
    return dict(tab.run(program))


@pytest.mark.parametrize("width, theme", FOUR_LOOKS)
@pytest.mark.parametrize("which", ["sequence", "image"])
def test_the_layout(browser: Any, sequence: Path, image: Path, which: str, width: int, theme: str) -> None:
    path = {"sequence": sequence, "image": image}[which]
    with opened(browser, path, width=width, theme=theme) as tab:
        assert tab.run("() => document.documentElement.scrollWidth") <= width
        sections = [box for name, box in boxes(tab).items() if "card" in name]
        assert all(box[2] > 0.8 * min(width, 500) and box[3] > 30 for box in sections if box[2])
        before = {name: box for name, box in boxes(tab).items() if "card" in name}
        picture = tab.page.screenshot()
        tab.page.click("#next")
        tab.settle()
        assert {name: box for name, box in boxes(tab).items() if "card" in name} == before, "a step moves the page"
        assert tab.page.screenshot() != picture, "a step shows nothing"
        ground = tab.run("() => getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, ground[4:-1].split(","))) < 60) == (theme == "dark")


def test_the_kernel_lies_under_its_window(page: Tab) -> None:
    page.run("() => faltung.jumpTo(5)")
    page.settle()
    window = page.page.locator("#stage .strip .window").bounding_box()
    kernel = page.page.locator('#stage .strip [data-role=kernel][data-at="0,0,0,0"] rect').bounding_box()
    current = page.page.locator("#stage .strip .current").bounding_box()
    assert abs(window["x"] - kernel["x"]) < 3 and window["y"] + window["height"] < kernel["y"]
    assert (
        abs(window["x"] + window["width"] / 2 - current["x"] - current["width"] / 2) < 3 and current["y"] > kernel["y"]
    )


def test_text_can_be_read_on_every_colour(browser: Any, sequence: Path) -> None:
    program = """() => [...document.querySelectorAll("#stage .cell:not(.is-away):not(.is-pad) ")].map((cell) => [
      cell.querySelector("rect").getAttribute("fill"), cell.querySelector("text").getAttribute("fill")])"""
    for theme in ("light", "dark"):
        with opened(browser, sequence, theme=theme) as tab:
            for ground, ink in tab.run(program):
                assert contrast(rgb(ground), rgb(ink)) >= 3.0, (theme, ground, ink)


def rgb(text: str) -> tuple[int, ...]:
    if text.startswith("#"):
        return tuple(int(text[at : at + 2], 16) for at in (1, 3, 5))
    return tuple(map(int, text[4:-1].split(",")))


def contrast(*colours: tuple[int, ...]) -> float:
    """The contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: tuple[int, ...]) -> float:
        parts = [part / 255 for part in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)


def test_the_theme_button(page: Tab) -> None:
    for theme in ("dark", "light"):
        page.page.click("#theme")
        page.settle()
        assert page.run("() => document.documentElement.dataset.theme") == theme


def test_paper_has_the_step_and_no_controls(page: Tab) -> None:
    page.run("() => faltung.jumpTo(7)")
    page.page.emulate_media(media="print")
    page.settle()
    assert page.page.is_hidden("#player") and page.page.is_hidden(".sliders")
    assert "time 7" in page.text("#arithmetic h2") and page.page.is_visible("#stage .strip")
    assert page.page.pdf().startswith(b"%PDF")
    page.page.emulate_media(media="screen")


def test_names_of_a_model_are_text(tab: Tab, tmp_path: Path) -> None:
    ft.show("conv1d n1 w9 ic1 oc1 kw3", None, tmp_path / "n.html", names=("</script><b>time",))
    with visited(tab, tmp_path / "n.html"):
        assert "</script><b>time 0" in tab.text("#arithmetic h2")


def test_long_signals_are_zoomed(tab: Tab, tmp_path: Path) -> None:
    ft.show("conv1d n1 w3000 ic1 oc1 kw9 same", None, tmp_path / "long.html")
    with visited(tab, tmp_path / "long.html"):
        whole = tab.page.locator("canvas.whole").bounding_box()
        tab.page.mouse.click(whole["x"] + whole["width"] / 2, whole["y"] + 20)
        assert abs(now(tab) - 1500) < 5
        length = "() => faltung.state.range[1] - faltung.state.range[0]"
        before = tab.run(length)
        tab.page.click("[aria-label='zoom in']")
        tab.settle()
        assert tab.run(length) == pytest.approx(before / 2)
        tab.page.click("text=all")
        tab.settle()
        assert tab.run(length) == 3008  # with the padding
        part = tab.page.locator("canvas.part")
        part.hover()
        tab.page.mouse.wheel(0, -200)
        tab.settle()
        assert tab.run(length) < 3008


def test_a_model_is_traced_by_clicks(tab: Tab, tmp_path: Path) -> None:
    import torch

    nn = torch.nn
    model = nn.Sequential(nn.Conv1d(1, 4, 7), nn.ReLU(), nn.MaxPool1d(4), nn.Conv1d(4, 8, 5, dilation=2))
    ft.show(model, (1, 1, 200), tmp_path / "model.html")
    with visited(tab, tmp_path / "model.html"):
        tab.run("() => faltung.choose(4, [10])")
        tab.settle()
        assert "steps 40 … 81 (42 of 200)" in tab.text("#field")  # 10*4 … (10 + 8)*4 + 3 + 6
        tab.page.click("canvas[data-node='1']")
        tab.settle()
        assert "(7 of 200)" in tab.text("#field")
        tab.page.keyboard.press("ArrowDown")
        tab.settle()
        assert tab.text("#field").startswith("1 · ReLU")


@pytest.mark.parametrize("width", [390, 1100])
def test_the_shapes_of_a_model_lie_inside_the_page(browser: Any, tmp_path: Path, width: int) -> None:
    import torch

    ft.show(torch.nn.Sequential(torch.nn.Conv1d(1, 4, 7), torch.nn.ReLU()), (1, 1, 200), tmp_path / "m.html")
    with opened(browser, tmp_path / "m.html", width=width) as tab:
        card = tab.page.locator("#model").bounding_box()
        for text in tab.page.locator("#model text, #model canvas").all():
            box = text.bounding_box()
            assert box["x"] >= card["x"] and box["x"] + box["width"] <= card["x"] + card["width"]
        assert tab.run("() => document.documentElement.scrollWidth") <= width


def test_paper_is_light_in_the_dark_too(browser: Any, sequence: Path) -> None:
    with opened(browser, sequence, theme="dark") as tab:
        tab.page.emulate_media(media="print", color_scheme="dark")
        tab.run("() => dispatchEvent(new Event('beforeprint'))")
        ground = tab.run("() => document.querySelector('#stage .cell[data-role=kernel] rect').getAttribute('fill')")
        assert min(rgb(ground)) > 20 and max(rgb(ground)) > 200
        assert tab.run("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_refusing_layer_is_shown_with_the_reason(tab: Tab, tmp_path: Path) -> None:
    import torch

    nn = torch.nn
    model = nn.Sequential(nn.Conv1d(1, 4, 7), nn.Conv1d(8, 8, 5))
    ft.show(model, np.ones((1, 1, 50), "f4"), tmp_path / "bad.html")
    with visited(tab, tmp_path / "bad.html"):
        assert "Conv1d (model[1])" in tab.text("#failure h2")
        assert "nn.Conv1d(4, 8, 5)" in tab.text("#failure ol")
        assert (
            json.loads(tab.run("() => document.getElementById('told').textContent"))["failure"]["shape"] == "(1, 4, 44)"
        )


def test_every_rank_and_transposed_layers_have_names(tab: Tab, tmp_path: Path) -> None:
    call = partial(ft.conv2d_transpose, kernel=np.ones((3, 3, 1, 1), "f4"), stride=2)
    ft.show(call, np.ones((1, 4, 4, 1), "f4"), tmp_path / "t.html")
    with visited(tab, tmp_path / "t.html"):
        assert "transposed" in tab.text("#summary")
        assert tab.page.locator(".formula .axis").all_inner_texts() == ["height", "width"]
