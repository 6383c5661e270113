"""What one entry of the catalogue says: where the mistake was made, the program, and what the diagnosis must find."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Case:
    """A real mistake.

    name: what went wrong, in words; source: the thread or title that it was reported in.
    model: makes the layer or model; data: the shape, or a function that makes the array.
    kinds: the causes, in the order they bite; codes: the best fix of each, as the user would write it.
    fixed: the shape of the data after them; output: what the model then gives; two: whether two readings fit.
    """

    name: str
    source: str
    model: Callable[[], Any]
    data: Any
    kinds: tuple[str, ...]
    codes: tuple[str, ...]
    fixed: tuple[int, ...]
    output: tuple[int | None, ...] | None = None
    two: bool = False
