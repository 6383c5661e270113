"""The cost model: its prices by name, and tables of them on disk."""

import json
import logging
import math
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from faltung.machine import cost, tables
from faltung.machine.cost import CostModel, prices_of, with_prices

SHIPPED = sorted(tables.SHIPPED.glob("*.json"))


def test_every_number_of_the_model_says_its_unit_or_is_a_count() -> None:
    for group in fields(CostModel()):
        if not is_dataclass(getattr(CostModel(), group.name)):
            continue
        for price in fields(getattr(CostModel(), group.name)):
            is_float = isinstance(getattr(getattr(CostModel(), group.name), price.name), float)
            endings = (*cost.PRICE_ENDINGS, "_scale", "_share", "_per_cycle")
            assert price.name.endswith(endings) == is_float, f"{group.name}.{price.name}"


def test_prices_are_changed_by_name() -> None:
    costs = with_prices(CostModel(), {"fft.call_cycles": 1.0, "direct_nhwc.total_scale": 2.5})
    assert (costs.fft.call_cycles, costs.direct_nhwc.total_scale) == (1.0, 2.5)
    others = {
        name: price
        for name, price in prices_of(costs).items()
        if name not in ("fft.call_cycles", "direct_nhwc.total_scale")
    }
    assert others.items() <= prices_of(CostModel()).items()


@pytest.mark.parametrize(
    ("name", "price"),
    [
        ("fft.calls", 1.0),
        ("tasks.task_cycles", 1.0),
        ("tile.vector_cycles", 1.0),
        ("tile", 2.0),
        ("fft.call_cycles", 0.0),
        ("fft.call_cycles", "1"),
        ("fft.call_cycles", math.nan),
        ("fft.call_cycles", True),
        ("fft.call_cycles", 1e300),
    ],
)
def test_what_is_no_price_is_refused(name: str, price: object) -> None:
    with pytest.raises(ValueError, match=r"^[\w.]+ = .* is not a price of the cost model$"):
        with_prices(CostModel(), {name: price})  # type: ignore[dict-item]


def test_a_table_comes_back_as_it_was(tmp_path: Path) -> None:
    costs = with_prices(CostModel(family="znver9", origin="a test"), {"fft.call_cycles": 123.0})
    tables.write(tmp_path / tables.file_name("znver9", 64), costs)
    assert tables.costs_for("znver9", 64, tmp_path) == costs
    assert tables.costs_for("znver9", 32, tmp_path) == tables.costs_for("znver9", 64, None) == CostModel()


DAMAGED = (
    *("", "[]", "{}", '{"prices": 3}'),
    *('{"prices": {"fft.calls": 1}}', '{"prices": {"fft.call_cycles": -1}}'),
)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_table_is_passed_over_with_a_warning(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "any-256.json").write_text(text, encoding="utf-8")
    with caplog.at_level(logging.WARNING, logger="faltung"):
        assert tables.costs_for("any", 32, tmp_path) == CostModel()
    assert "are not used" in caplog.text


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_table_says_whose_and_since_when(path: Path) -> None:
    costs = tables.read(path)
    family, bits = path.stem.rsplit("-", 1)
    assert costs.family == family
    assert tables.costs_for(family, int(bits) // 8, None) == costs
    assert f"{bits} bit" in costs.origin and "faltung tune" in costs.origin
    assert set(json.loads(path.read_text(encoding="utf-8"))["prices"]) == set(prices_of(costs))


def test_some_tables_are_shipped() -> None:
    assert SHIPPED
