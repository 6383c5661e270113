"""Tables of prices: those of known families, which come with faltung, and one that `faltung tune` has made here.

A table is a JSON file that holds data only: family and vector width it is for, where it comes from, and its prices.
"""

import json
import logging
from pathlib import Path

from faltung.machine.cost import CostModel, prices_of, with_prices

SHIPPED = Path(__file__).with_name("costs")
log = logging.getLogger("faltung")


def file_name(family: str, vector_bytes: int) -> str:
    """The name of the table of a family, which LLVM names, at a vector width."""
    return f"{family}-{8 * vector_bytes}.json"


def costs_for(family: str, vector_bytes: int, own: Path | None) -> CostModel:
    """The prices of a processor: its own table in the folder `own`, its family's, or those of any processor."""
    for folder in (own, SHIPPED):
        path = folder / file_name(family, vector_bytes) if folder else None
        if path is None or not path.is_file():
            continue
        try:
            return read(path)
        except (OSError, ValueError) as error:
            log.warning("prices in %s are not used: %s", path, error)
    return CostModel()


def read(path: Path) -> CostModel:
    """The cost model of a table; ValueError says what is wrong with it."""
    table = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(table, dict) or not isinstance(table.get("prices"), dict):
        raise ValueError("a table is an object with prices")
    base = CostModel(family=str(table.get("family", "any")), origin=str(table.get("origin", "unknown")))
    return with_prices(base, table["prices"])


def write(path: Path, costs: CostModel) -> None:
    """Keep a cost model as a table."""
    table = {"family": costs.family, "origin": costs.origin, "prices": prices_of(costs)}
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
