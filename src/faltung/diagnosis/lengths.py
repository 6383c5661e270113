"""Facts about lengths: how a model eats them layer by layer, what it needs, and which lengths it can join."""

from collections.abc import Iterator
from dataclasses import dataclass

from faltung.models.axes import channel_axis, spatial_sizes
from faltung.models.layer import Layer, Shape, show_product
from faltung.models.program import Edits, ShapeProgram, Step, Trace

LONGEST = 1 << 22
ROOMY = 4096
"""A length that every stack of layers that people write has room in, for the axes that are not looked at."""


@dataclass(frozen=True, slots=True)
class Resized:
    """An axis of the data with another length: ``name`` is what the first layer calls it."""

    axis: int
    name: str
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class Joined:
    """The nearest lengths that are multiples of ``unit``, with which the model's own code runs."""

    unit: int
    axes: tuple[Resized, ...]
    is_shorter: bool


@dataclass(frozen=True, slots=True)
class Lengths:
    """What is known of lengths where a layer refuses.

    Arguments:
        story: how the length shrinks from layer to layer, in words; "" where no window is too long.
        needed: the axes that are too short for the model, with the least length that gets past the layer.
        joined: where the model's own code refuses, the nearest lengths with which it runs.
        look_swapped: whether the data has many times as many channels as steps, so that it is not the length.
    """

    story: str = ""
    needed: tuple[Resized, ...] = ()
    joined: tuple[Joined, ...] = ()
    look_swapped: bool = False


def lengths_of(program: ShapeProgram, trace: Trace, shape: Shape, edits: Edits) -> Lengths:
    """Return what runs of the program on other lengths show."""
    assert trace.refused is not None and trace.misfit is not None
    rule = trace.misfit.rule
    first = next((layer for layer in program.layers if layer.kind == "conv"), trace.refused)
    needed = tuple(_needed(program, trace, shape, edits)) if rule in ("short", "reflect") else ()
    return Lengths(
        _story(trace) if rule == "short" or needed else "",
        needed,
        tuple(_joined(program, shape, edits)) if rule == "call" else (),
        _look_swapped(first, shape),
    )


def _look_swapped(first: Layer, shape: Shape) -> bool:
    if len(shape) != first.rank + 2 or first["in_channels"] is not None:
        return False
    channels = shape[channel_axis(first, shape)]
    return all(channels and size and channels > 4 * size for size in spatial_sizes(first, shape))


def _needed(program: ShapeProgram, trace: Trace, shape: Shape, edits: Edits) -> Iterator[Resized]:
    """The axes whose least length is more than they have; the others have room meanwhile."""
    first = next((layer for layer in program.layers if layer.roles() and layer.rank and layer.kind != "input"), None)
    if first is None or None in shape[1:]:
        return
    rank = first.rank
    if len(shape) not in (rank + 1, rank + 2):
        return
    start = len(shape) - rank - (0 if first.is_first else 1)
    wide = tuple(max(size or 1, ROOMY) if start <= axis < start + rank else size for axis, size in enumerate(shape))
    for axis in range(start, start + rank):
        old = shape[axis]
        assert old is not None
        least = _least(program, trace, (*wide[:axis], old, *wide[axis + 1 :]), axis, edits)
        if least is not None and least > old:
            yield Resized(axis, first.spatial[axis - start], old, least)


def _least(program: ShapeProgram, trace: Trace, shape: Shape, axis: int, edits: Edits) -> int | None:
    """The least size of an axis that is long enough for the whole model, None if none is."""
    old = shape[axis] or 1

    def passes(size: int) -> bool:
        ran = program.run((*shape[:axis], size, *shape[axis + 1 :]), edits)
        return ran.is_beyond(trace) and (ran.misfit is None or ran.misfit.rule != "short")

    high = old
    while not passes(high):
        high *= 2
        if high > max(64 * old, 4096) or high > LONGEST:
            return None
    low = high // 2 if high > old else old - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


def _joined(program: ShapeProgram, shape: Shape, edits: Edits) -> Iterator[Joined]:
    """The nearest longer and shorter lengths: halves that double again must have been even."""
    first = next((layer for layer in program.layers if layer.kind in ("conv", "pool")), None)
    if first is None or len(shape) != first.rank + 2 or None in shape:
        return
    start = len(shape) - first.rank - (0 if first.is_first else 1)
    for is_shorter in (False, True):
        for power in range(1, 8):
            unit = 2**power
            axes = []
            for axis in range(start, start + first.rank):
                old = shape[axis] or 1
                new = old // unit * unit if is_shorter else -(-old // unit) * unit
                if new != old and new > 0:
                    axes.append(Resized(axis, first.spatial[axis - start], old, new))
            sizes = {each.axis: each.new for each in axes}
            new_shape = tuple(sizes.get(axis, size) for axis, size in enumerate(shape))
            if axes and program.run(new_shape, edits).refused is None:
                yield Joined(unit, tuple(axes), is_shorter)
                break


def eaten(step: Step) -> int:
    """Return how much of the longest axis a layer took."""
    before = spatial_sizes(step.layer, step.input_shape)
    after = spatial_sizes(step.layer, step.output_shape)
    pairs = zip(before, after, strict=True)
    return max((a - b for a, b in pairs if a is not None and b is not None), default=0)


def _story(trace: Trace) -> str:
    """How the length shrinks from layer to layer, and which one takes the most."""
    layer = trace.refused
    assert layer is not None
    if not layer.rank:
        return f"{layer.label} refuses {trace.shape}"
    steps = [
        step for step in trace.steps if step.layer.rank == layer.rank and len(step.output_shape) == len(trace.shape)
    ]
    name, window = " × ".join(layer.spatial), show_product(layer.window)
    if not steps:
        return f"{show_product(spatial_sizes(layer, trace.shape))} {name} for a window of {window}"
    chain = [show_product(spatial_sizes(steps[0].layer, steps[0].input_shape))]
    for step in steps:
        size = show_product(spatial_sizes(step.layer, step.output_shape))
        if size != chain[-1]:
            chain.append(size)
    if len(chain) > 8:
        chain = [*chain[:4], "…", *chain[-3:]]
    greedy = max(steps, key=eaten)
    return f"{' → '.join(chain)} {name}, most of it taken by {greedy.layer.label}, for a window of {window}"
