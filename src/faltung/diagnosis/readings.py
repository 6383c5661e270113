"""Which axis of the data plays which role: every reading that a layer could run, with how far-fetched it is.

A reading maps each role of the layer (batch, channels, steps …) to an axis of the data or to a new axis of size 1.
What is left over must have size 1 and goes, or joins the batch. The cost of a reading is the size of the change, less
the evidence that the numbers give.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from faltung.diagnosis import costs
from faltung.diagnosis.evidence import NEW, evidence
from faltung.models.layer import Layer, Role, Shape
from faltung.models.rearrange import Rearrange


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to see the data: the rearrangement that makes it so, its cost, and what it says."""

    rearrange: Rearrange
    cost: float
    roles: tuple[Role, ...]
    kind: str
    sentence: str


def readings(layer: Layer, roles: tuple[Role, ...], shape: Shape) -> Iterator[Reading]:
    """Yield every reading of a shape that has room for the roles."""
    variants = [roles]
    if layer.host == "torch" and roles[0].name == "batch" and layer.kind in ("conv", "conv_transpose", "pool"):
        variants.append(roles[1:])  # PyTorch takes one sample without its batch axis
    for variant in variants:
        for places in _assignments(variant, shape):
            rearrange = _rearranged(variant, places, shape)
            if rearrange is not None and not rearrange.is_identity and not (rearrange.dropped and NEW in places):
                yield _reading(layer, variant, places, rearrange, shape)


def _assignments(roles: tuple[Role, ...], shape: Shape) -> Iterator[tuple[int, ...]]:
    """Yield, for each role, an axis of the data or NEW; at most two new ones."""
    count = len(roles)
    for new in range(max(0, count - len(shape)), 3):
        if new > count:
            return
        for order in set(permutations([*range(len(shape)), *[NEW] * new], count)):
            if order.count(NEW) == new and all(
                role.takes(1 if axis == NEW else shape[axis]) for role, axis in zip(roles, order, strict=True)
            ):
                yield order


def _rearranged(roles: tuple[Role, ...], places: tuple[int, ...], shape: Shape) -> Rearrange | None:
    """Return the rearrangement, the axes left over dropped or merged into the batch; None where they cannot be."""
    left = [axis for axis in range(len(shape)) if axis not in places and shape[axis] != 1]
    entries: list[tuple[int, ...]] = [() if axis == NEW else (axis,) for axis in places]
    if left:
        if NEW in places or roles[0].name != "batch" or places[0] == NEW or len(left) > 1 or shape[places[0]] is None:
            return None
        entries[0] = tuple(sorted((places[0], left[0])))
    if any(
        shape[axis] is None for axis, role in zip(places, roles, strict=True) if axis != NEW and role.name != "batch"
    ):
        known = [axis for axis, size in enumerate(shape) if size is None]
        if places[0] not in known:
            return None
    return Rearrange(tuple(entries), len(shape))


def _reading(
    layer: Layer, roles: tuple[Role, ...], places: tuple[int, ...], change: Rearrange, shape: Shape
) -> Reading:
    new = [role.name for role, axis in zip(roles, places, strict=True) if axis == NEW]
    moves = _moves(roles, places)
    cost = _cost_of(roles, new, change, moves)
    if roles[0].name != "batch" and "channels" in moves and 0 < places[_index(roles, "channels")] < len(shape) - 1:
        cost += costs.CHANNELS_BETWEEN
    cost += evidence(layer, roles, places, shape)
    kind, sentence = _say(layer, roles, places, new, change, moves, shape)
    return Reading(change, cost, roles, kind, sentence)


def _cost_of(roles: tuple[Role, ...], new: list[str], change: Rearrange, moves: set[str]) -> float:
    """The size of the change."""
    cost = costs.DROPPED_AXIS * len(change.dropped) + _cost_of_new(roles, new)
    merged = [entry for entry in change.axes if len(entry) > 1]
    is_apart = any(entry[-1] - entry[0] >= len(entry) for entry in merged)
    cost += costs.MERGED_AXES * len(merged) + costs.MERGED_FAR_APART * is_apart
    cost += (
        costs.MOVED_CHANNELS * ("channels" in moves)
        + costs.MOVED_BATCH * ("batch" in moves)
        + costs.MOVED_SPATIAL * ("spatial" in moves)
    )
    return cost


def _cost_of_new(roles: tuple[Role, ...], new: list[str]) -> float:
    cost = 0.0
    for name in new:
        size = next(role.size for role in roles if role.name == name)
        channels = costs.NEW_CHANNELS if size is None else costs.NEW_ONLY_CHANNEL
        known = {"batch": costs.NEW_BATCH, "channels": channels, "features": costs.NEW_FEATURES}
        cost += known.get(name, costs.NEW_SPATIAL_AXIS)
    return cost


def _index(roles: tuple[Role, ...], name: str) -> int:
    return next((at for at, role in enumerate(roles) if role.name == name), 0)


def _moves(roles: tuple[Role, ...], places: tuple[int, ...]) -> set[str]:
    """Which axes stand elsewhere: the batch, the channels against the rest, or spatial axes against each other."""
    moves = set()
    kept = [(role, axis) for role, axis in zip(roles, places, strict=True) if axis != NEW]
    spatial = [axis for role, axis in kept if role.is_spatial]
    if spatial != sorted(spatial):
        moves.add("spatial")
    order = [axis for role, axis in kept if role.name != "batch"]
    batch = [axis for role, axis in kept if role.name == "batch"]
    if batch and order and batch[0] > min(order):
        moves.add("batch")
    others = [axis for role, axis in kept if not role.is_spatial and role.name != "batch"]
    if others and spatial:
        before = sum(axis < others[0] for axis in spatial)
        is_first = not next(role.is_spatial for role, _ in kept if role.name != "batch")
        if before != (0 if is_first else len(spatial)):
            moves.add("channels")
    return moves


def _say(
    layer: Layer,
    roles: tuple[Role, ...],
    places: tuple[int, ...],
    new: list[str],
    change: Rearrange,
    moves: set[str],
    shape: Shape,
) -> tuple[str, str]:
    """Return the kind of mistake and the cause in one sentence."""
    seen = ", ".join(
        f"{role.name} {shape[axis]}"
        for axis, role in sorted(_placed(roles, places), key=lambda pair: pair[0])
        if shape[axis]
    )
    parts, kinds = [], []
    if new:
        names = " and ".join(new)
        kinds.append(f"missing {names}")
        parts.append(f"the {names} {'axes are' if len(new) > 1 else 'axis is'} missing")
    if "channels" in moves:
        kinds.append("axes swapped" if layer.rank <= 1 else "layout")
        first, last = ("last", "first") if layer.is_first else ("first", "last")
        words = layer.spatial[0] if layer.rank == 1 else f"{first}"
        parts.append(
            f"{words} and channels are in each other's place"
            if layer.rank == 1
            else f"the channels come {words}, and the layer reads them {last}"
        )
    if "spatial" in moves:
        kinds.append("spatial axes swapped")
        parts.append(f"{' and '.join(layer.spatial)} are in each other's place")
    if "batch" in moves and "channels" not in moves:
        kinds.append("axes swapped")
        parts.append("the batch does not come first")
    if change.dropped:
        kinds.append("axis too many")
        parts.append(f"axis {' and '.join(map(str, change.dropped))} of size 1 is one too many")
    if any(len(entry) > 1 for entry in change.axes):
        kinds.append("axis too many")
        parts.append("there is one leading axis too many, which can join the batch")
    if not kinds:
        kinds, parts = ["axes swapped"], ["the axes are in another order"]
    return ", ".join(dict.fromkeys(kinds)), f"{'; '.join(parts)}: x is ({seen})"


def _placed(roles: tuple[Role, ...], places: tuple[int, ...]) -> list[tuple[int, Role]]:
    return [(axis, role) for role, axis in zip(roles, places, strict=True) if axis != NEW]
