"""The axes of a layer's input: which are batch, channels and spatial, and the rule that a shape breaks where not."""

from collections.abc import Sequence
from dataclasses import dataclass

from faltung.models.layer import Layer, Shape, Size


@dataclass
class Misfit(Exception):
    """A rule that a shape breaks, such as "axes", "channels", "short", "features", "declared", and where."""

    rule: str
    message: str
    axes: tuple[int, ...] = ()


def split(layer: Layer, shape: Shape) -> tuple[Shape, Size, Shape]:
    """Return leading axes, channels and spatial sizes, or raise the Misfit of a wrong number of axes."""
    want = layer.rank + 2
    least = want - 1 if layer.host == "torch" else want
    most = 99 if layer.host == "faltung" and not layer.is_first else want
    if not least <= len(shape) <= most:
        raise Misfit("axes", f"wants {want} axes, x has {len(shape)}", tuple(range(len(shape))))
    rest = shape[len(shape) - layer.rank - 1 :]
    lead = shape[: len(shape) - layer.rank - 1]
    return (lead, rest[0], rest[1:]) if layer.is_first else (lead, rest[-1], rest[:-1])


def join(layer: Layer, lead: Shape, channels: Size, sizes: Sequence[Size]) -> Shape:
    """Return the shape again: the inverse of split."""
    return (*lead, channels, *sizes) if layer.is_first else (*lead, *sizes, channels)


def channel_axis(layer: Layer, shape: Shape) -> int:
    """Return the index of the channels in a shape."""
    return len(shape) - layer.rank - 1 if layer.is_first else len(shape) - 1


def spatial_axis(layer: Layer, shape: Shape, index: int) -> int:
    """Return where the spatial axis ``index`` lies in a shape."""
    return len(shape) - layer.rank - (0 if layer.is_first else 1) + index


def spatial_sizes(layer: Layer, shape: Shape) -> Shape:
    """Return the spatial sizes of a shape, without a look at how many axes it has."""
    return shape[-layer.rank :] if layer.is_first else shape[-layer.rank - 1 : -1]
