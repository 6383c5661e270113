"""What one entry of the catalogue says: where the mistake was made, the program, and what the diagnosis must find."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

COMPOSED = "composed"  # source of a case that no thread was found for, or that puts several threads' faults together


@dataclass(frozen=True)
class Case:
    """A mistake, a real one unless its source says COMPOSED.

    name: what went wrong, in words; source: the thread (owner/repo#number) or page (site: title) that shows the same
    mistake, looked up; its sizes, now and then its rank and framework, are adapted.
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
