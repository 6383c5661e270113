"""What all readers share: how a table says that it does not cover a node, and reshapes that leave the batch open."""

from collections.abc import Sequence
from typing import Any


class NotCovered(Exception):
    """A node that a table cannot write as nodes of ours, with the reason: it becomes an island."""


def reshape_to(before: Sequence[Any], after: Sequence[Any], asked: Sequence[Any] = ()) -> tuple[int, ...]:
    """The attribute of a reshape, which says nothing of the batch: a size that stays is 0, what takes the rest is -1.

    Sizes that hang on the batch are anything but ints. `asked` is what the model said, where -1 may stand.

    >>> reshape_to(("batch", 4, 10), ("batch", 40)), reshape_to(("batch", 4, 10), ("4 batch", 10))
    ((0, -1), (-1, 10))
    """
    same = [n for n, (old, new) in enumerate(zip(before, after, strict=False)) if old == new]
    kept = next((n for n in range(len(after)) if n not in same), len(after))
    shape: list[int] = [
        0 if n < kept else size if isinstance(size, int) else 0 if n in same else -1 for n, size in enumerate(after)
    ]
    wanted = [n for n, size in enumerate(asked) if size == -1 and len(asked) == len(shape)]
    if -1 not in shape and (wanted or kept == len(shape) - 1):
        shape[wanted[0] if wanted else kept] = -1
    if shape.count(-1) > 1:
        raise NotCovered("a reshape that splits the batch")
    return tuple(shape)
