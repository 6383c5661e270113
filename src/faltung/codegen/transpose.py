"""Channels and positions change places: from lines of channels to positions with their channels side by side, and back.

Vectors go through registers, as many channels times as many positions as a vector has lanes.
"""

from faltung.codegen.emitter import Buffer, Emitter, Int, Value
from faltung.codegen.padding import padded_index


def transpose_line(
    e: Emitter,
    source: Buffer,
    to: Buffer,
    *,
    count: int,
    first: Int,
    length: Int,
    limit: Int,
    size: Int,
    padding_mode: str | None,
) -> None:
    """to[w, c] = source[c, first + w] for `count` channels, at most a vector of them, and w < length.

    Beyond those channels follow zeros, unless `to` has room for one only. What lies at `limit` and beyond is zero, and
    so is what lies before 0, unless the padding of a line of `size` says otherwise. Up to a vector of positions behind
    `length` is written too.
    """
    is_single = to.strides["w"] == 1
    further = source.moved(c=e.lanes)
    with e.loop("w", length, step=e.lanes) as w:
        start = e.add(first, w)
        for n in range(0 if is_single else e.lanes):  # channels lie far apart: the processor does not foresee them
            e.prefetch(further.at(c=n, w=start))
        is_inside = e.all_of(e.compare(start, ">=", 0), e.compare(e.add(start, e.lanes), "<=", limit))
        with e.either(is_inside, likely=True) as (inside, edge):
            with inside:
                rows = [e.load(source.at(c=n, w=start)) if n < count else e.splat(0.0) for n in range(e.lanes)]
                for n, vector in enumerate(rows[:1] if is_single else e.transpose(rows)):
                    e.store(vector, to.at(w=e.add(w, n)))
            with edge, e.loop("n", e.lanes) as n:
                index = padded_index(e, e.add(start, n), size, padding_mode)
                here = to.moved(w=e.add(w, n))
                if is_single:
                    e.store_scalar(e.zero(), here.pointer)
                else:
                    e.store(e.splat(0.0), here.pointer)
                with e.when(e.below(index, limit)), e.loop("row", count) as c:
                    e.store_scalar(e.load_scalar(source.at(c=c, w=index)), here.at(c=c))


def transpose_back(e: Emitter, source: Buffer, to: Buffer, *, channels: int, width: Int) -> None:
    """to[oc, w] = source[w, oc] for w < width; up to a vector of positions behind it is read."""
    with e.loop("w", width, step=e.lanes) as w:
        mask = e.mask(e.sub(width, w))
        for lane in range(0, channels, e.lanes):
            rows = e.transpose([e.load(source.at(w=e.add(w, n), oc=lane)) for n in range(e.lanes)])
            for n in range(min(e.lanes, channels - lane)):
                e.store_masked(rows[n], to.at(w=w, oc=lane + n), mask)


def chunks(e: Emitter, channels: int) -> list[tuple[int, int, Value]]:
    """(first, end, mask) of whole vectors of channels, and of the rest."""
    whole = channels // e.lanes * e.lanes
    chunks = [(0, whole, None), (whole, channels, e.mask(channels - whole))]
    return [chunk for chunk in chunks if chunk[0] < chunk[1]]
