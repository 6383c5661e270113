"""Every number that a page shows is the reference's: of 40 random convolutions, forward and transposed."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages.browsing import Tab, visited
from pages.random_specs import forward, transposed

import faltung as ft
from faltung import reference
from faltung.pages.page import Page
from faltung.pages.panels import places_of

ALL_OUTPUTS = """() => {
  const { conv } = faltung.state, length = conv.outSize.reduce((a, b) => a * b, 1);
  return Array.from({ length: conv.filters }, (_, filter) => {
    const y = new Float64Array(length), [d, h, w] = conv.outSize;
    faltung.computeRows(conv, filter, y, 0, d * h);
    return Array.from(y, (fast, at) => {
      const position = [Math.floor(at / (h * w)), Math.floor(at / w) % h, at % w];
      const written = faltung.outputOf(conv, filter, faltung.termsOf(conv, filter, position)).value;
      return [fast, written, faltung.valueAt(conv, filter, position)];
    });
  });
}"""
CELLS = """() => [...document.querySelectorAll("#stage .cell:not(.is-away)")].map((cell) => [
  cell.dataset.role, cell.dataset.at.split(",").map(Number), cell.querySelector("text").textContent])"""
TERMS = """() => [...document.querySelectorAll(".terms li:not(.heads)")].map((row) => [
  row.firstChild.textContent, ...[...row.querySelectorAll("output")].map((each) => [
    Number(each.dataset.value), each.textContent.replace(/[×= ]/g, "")])])"""


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("∞", "inf"))


def assert_shown(text: str, value: float, digits: int, line: str) -> None:
    """The text is the value, rounded to this many significant digits."""
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - digits + 1) if value else 0.0
    assert abs(number(text) - value) <= 0.5001 * unit + 1e-12, f"{line}: shows {text}, is {value!r}"


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), rtol=1e-11, atol=1e-12)


def channels_first(array: Any) -> np.ndarray:
    return np.moveaxis(np.asarray(array)[0], -1, 0)


@dataclass
class Shown:
    """What a page must show: the layer, its input as the window meets it, and its outputs (C, *size)."""

    one: Any
    y: np.ndarray
    line: str
    met: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        places = [places_of(self.one, axis) for axis in range(self.one.rank)]
        met = self.one.x[np.ix_(range(len(self.one.x)), *places)]
        for axis, each in enumerate(places, start=1):
            np.moveaxis(met, axis, 0)[each < 0] = 0.0
        self.met = met


def check(tab: Tab, page: Page, y: np.ndarray, line: str) -> None:
    """Compare all outputs by every way the page computes them, and all texts at three, with ``y`` (C, *size)."""
    found = np.asarray(tab.run(ALL_OUTPUTS), float)
    for way in range(3):
        close(found[..., way], y.reshape(len(y), -1))
    assert tab.page.get_attribute("#check", "data-equal") == "true", line
    count = math.prod(y.shape[1:])
    shown = Shown(page.drawing.operation, y, line)  # type: ignore[attr-defined]
    for index in {0, count // 2, count - 1}:
        filter_ = index % len(y)
        tab.run("([index, filter]) => { faltung.change({ filter }); faltung.jumpTo(index); }", [index, filter_])
        tab.settle()
        check_texts(tab, shown, index, filter_)


def check_texts(tab: Tab, shown: Shown, index: int, filter_: int) -> None:
    one, y, line = shown.one, shown.y, shown.line
    lead = (0,) * (3 - one.rank)
    at = np.unravel_index(index, y.shape[1:])
    roles: set[str] = set()
    for role, place, text in tab.run(CELLS):
        if not text or text == "·":
            continue
        roles.add(role)
        if role == "output":
            assert_shown(text, y[(place[0], *place[1 + len(lead) :])], 2, line)
        elif role == "kernel":
            assert_shown(text, one.kernel[(filter_, place[0], *place[1 + len(lead) :])], 2, line)
        else:
            assert_shown(text, shown.met[(place[0], *place[1 + len(lead) :])], 2, line)
    is_between = one.rank == 3 and one.is_transposed  # a slice between two spread inputs has no numbers
    assert roles | ({"input"} if is_between else set()) == {"input", "kernel", "output"}, line
    result = y[(filter_, *at)]
    name = tab.page.get_attribute(".sum.is-result", "data-name")
    close(tab.number(name), result)
    assert_shown(tab.text(".sum.is-result output"), result, 6, line)
    terms = tab.run(TERMS)
    for words in terms:
        (_, (value, value_text), (weight, weight_text), (product, product_text)) = words
        close(product, value * weight)
        for exact, text in ((value, value_text), (weight, weight_text), (product, product_text)):
            assert_shown(text, exact, 5, line)
    if tab.page.is_hidden("#arithmetic button"):
        total = sum(words[3][0] for words in terms)
        close(total, tab.run("() => Number(document.querySelector('.sum output').dataset.value)"))
        before = total + (0.0 if one.bias is None else one.bias[filter_])
        close(reference.activate(np.array(before), one.activation, one.parameter), result)
    sizes = [int(text.rsplit("=", 1)[1]) for text in tab.page.locator(".formula").all_inner_texts()]
    assert sizes == list(y.shape[1:])


@pytest.mark.parametrize("seed", range(28))
def test_a_random_convolution(tab: Tab, tmp_path: Path, seed: int) -> None:
    spec, x, kernel, bias = forward(seed)
    page = ft.show(spec, x, tmp_path / "page.html", kernel=kernel, bias=bias)
    with visited(tab, tmp_path / "page.html"):
        check(tab, page, channels_first(reference.conv(x, kernel, bias, spec=spec)), spec.to_text())


@pytest.mark.parametrize("seed", range(12))
def test_a_random_transposed_convolution(tab: Tab, tmp_path: Path, seed: int) -> None:
    call, x, expected = transposed(seed)
    page = ft.show(call, x, tmp_path / "page.html")
    with visited(tab, tmp_path / "page.html"):
        check(tab, page, channels_first(expected), f"transposed, seed={seed}: {call.keywords}")
