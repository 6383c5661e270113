"""Which axis of the data plays which role: every reading that a layer could run, with how far-fetched it is.

A reading maps each role of the layer (batch, channels, steps …) to an axis of the data or to a new axis of size 1.
What is left over must have size 1 and goes, or joins the batch. The cost of a reading is the size of the change, less
the evidence that the numbers give: an axis of exactly the layer's channels speaks for itself, equal heights and
widths look like an image, a time axis is longer than its window, and is seldom shorter than the channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from faltung.models.layer import Layer, Role, Shape
from faltung.models.rearrange import Rearrange

NEW = -1
SPATIAL = ("steps", "height", "width", "depth")


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
    cost = 0.8 * len(change.dropped) + _cost_of_new(roles, new)
    merged = [entry for entry in change.axes if len(entry) > 1]
    cost += 1.6 * len(merged) + 0.8 * any(entry[-1] - entry[0] >= len(entry) for entry in merged)
    moves = _moves(roles, places)
    cost += 1.0 * ("channels" in moves) + 1.6 * ("batch" in moves) + 1.5 * ("spatial" in moves)
    if roles[0].name != "batch" and "channels" in moves and 0 < places[_index(roles, "channels")] < len(shape) - 1:
        cost += 0.8
    cost += _evidence(layer, roles, places, shape)
    kind, sentence = _say(layer, roles, places, new, change, moves, shape)
    return Reading(change, cost, roles, kind, sentence)


def _cost_of_new(roles: tuple[Role, ...], new: list[str]) -> float:
    cost = 0.0
    for name in new:
        size = next(role.size for role in roles if role.name == name)
        cost += {"batch": 1.15, "channels": 1.0 if size is None else 0.8, "features": 1.0}.get(name, 2.4)
    return cost


def _index(roles: tuple[Role, ...], name: str) -> int:
    return next((at for at, role in enumerate(roles) if role.name == name), 0)


def _moves(roles: tuple[Role, ...], places: tuple[int, ...]) -> set[str]:
    """Which axes stand elsewhere: the batch, the channels against the rest, or spatial axes against each other."""
    moves = set()
    kept = [(role.name, axis) for role, axis in zip(roles, places, strict=True) if axis != NEW]
    spatial = [axis for name, axis in kept if name in SPATIAL]
    if spatial != sorted(spatial):
        moves.add("spatial")
    order = [axis for name, axis in kept if name != "batch"]
    batch = [axis for name, axis in kept if name == "batch"]
    if batch and order and batch[0] > min(order):
        moves.add("batch")
    others = [axis for name, axis in kept if name not in SPATIAL and name != "batch"]
    if others and spatial:
        before = sum(axis < others[0] for axis in spatial)
        wanted = 0 if next(name for name, _ in kept if name != "batch") not in SPATIAL else len(spatial)
        if before != wanted:
            moves.add("channels")
    return moves


def _evidence(layer: Layer, roles: tuple[Role, ...], places: tuple[int, ...], shape: Shape) -> float:
    """What the numbers say for (negative) or against a reading."""
    cost = 0.0
    sizes = {role.name: 1 if axis == NEW else shape[axis] for role, axis in zip(roles, places, strict=True)}
    spatial = [size for name, size in sizes.items() if name in SPATIAL and size is not None]
    channels = next((role for role in roles if role.name in ("channels", "features")), None)
    if channels is not None and places[roles.index(channels)] != NEW:
        size = sizes[channels.name]
        if channels.size is not None:
            is_only = [*shape].count(size) == 1
            cost -= (1.0 if is_only else 0.6) if size != 1 else 0.2
        elif size is not None and spatial:
            cost += 0.6 * (size > 8 and size > max(spatial)) + 0.5 * (size > 4 * max(spatial))
            cost -= 0.3 * (layer.rank >= 2 and size in (1, 3, 4))
            cost += 0.4 * (layer.rank >= 2 and size > 4)
    elif channels is not None and channels.size is None and spatial and layer.rank >= 2:
        cost += 0.4 * (min(spatial) in (3, 4))  # an image that has its colours already
    if len(spatial) >= 2 and len(set(spatial[-2:])) == 1 and spatial[-1] >= 8:
        cost -= 0.7
    if len(spatial) == 2 and max(spatial) > 8 * min(spatial):
        cost += 0.6  # no picture is that long
    if layer["kernel_size"] and len(layer["kernel_size"]) == len(spatial):
        for size, window in zip(spatial, layer.window, strict=True):
            cost += 1.5 if size == 1 < window else 1.0 if size < window else 0.3 if size < 2 * window else 0.0
    return cost


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
