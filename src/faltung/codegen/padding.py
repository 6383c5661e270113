"""Padding without a padded copy: which input index stands for an index outside."""

from faltung.codegen.emitter import Emitter, Int, Value


def padded_index(e: Emitter, index: Value, size: Int, mode: str | None) -> Value:
    """The index read for `index`; unchanged for zeros (nothing is read there).

    reflect: -1 → 1 and size → size - 2; replicate: the nearest edge; circular: the other end. The result lies inside
    for every index: staging also asks for places that no tap needs.
    """
    if mode is None or mode == "zeros":
        return index
    is_low, is_high = e.compare(index, "<", 0), e.compare(index, ">=", size)
    if mode == "reflect":
        below, above = e.sub(0, index), e.sub(e.sub(e.mul(size, 2), 2), index)
    elif mode == "replicate":
        below, above = 0, e.sub(size, 1)
    else:
        below, above = e.add(index, size), e.sub(index, size)
    return e.maximum(0, e.minimum(e.choose(is_low, below, e.choose(is_high, above, index)), e.sub(size, 1)))


def is_there(e: Emitter, mode: str | None, index: Int, size: Int) -> Value:
    """Is anything read at this index: inside the input, or wherever the padding mode reads something outside?"""
    return e.below(index, size) if mode in ("zeros", None) else e.true()
