"""What the numbers of a shape say for or against the roles that its axes are given; negative is for.

An axis of exactly the layer's channels speaks for itself, equal heights and widths look like an image, a time axis is
longer than its window, and is seldom shorter than the channels.
"""

from faltung.diagnosis import costs
from faltung.models.layer import Layer, Role, Shape

NEW = -1
"""In place of an axis of the data: a new axis of size 1."""


def evidence(layer: Layer, roles: tuple[Role, ...], places: tuple[int, ...], shape: Shape) -> float:
    """Return the evidence for roles that are given to the axes ``places`` of a shape."""
    sizes = {role.name: 1 if axis == NEW else shape[axis] for role, axis in zip(roles, places, strict=True)}
    known = [(role, sizes[role.name]) for role in roles]
    spatial = [size for role, size in known if role.is_spatial and size is not None]
    cost = _of_channels(layer, roles, places, shape, spatial)
    if len(spatial) >= 2 and len(set(spatial[-2:])) == 1 and spatial[-1] >= 8:
        cost -= costs.SQUARE
    if len(spatial) == 2 and max(spatial) > 8 * min(spatial):
        cost += costs.LONG_PICTURE
    if layer["kernel_size"] and len(layer["kernel_size"]) == len(spatial):
        for size, window in zip(spatial, layer.window, strict=True):
            cost += _of_window(size, window)
    return cost


def _of_channels(
    layer: Layer, roles: tuple[Role, ...], places: tuple[int, ...], shape: Shape, spatial: list[int]
) -> float:
    cost = 0.0
    channels = next((role for role in roles if role.name in ("channels", "features")), None)
    if channels is None:
        return cost
    place = places[roles.index(channels)]
    size = 1 if place == NEW else shape[place]
    if place == NEW:
        if channels.size is None and spatial and layer.rank >= 2:
            cost += costs.COLOURS_ELSEWHERE * (min(spatial) in (3, 4))
    elif channels.size is not None:
        is_only = [*shape].count(size) == 1
        cost -= (costs.CHANNELS_FIT_ALONE if is_only else costs.CHANNELS_FIT) if size != 1 else costs.ONE_CHANNEL_FITS
    elif size is not None and spatial:
        cost += costs.MANY_CHANNELS * (size > 8 and size > max(spatial))
        cost += costs.FAR_MORE_CHANNELS * (size > 4 * max(spatial))
        cost -= costs.COLOURS * (layer.rank >= 2 and size in (1, 3, 4))
        cost += costs.NO_COLOURS * (layer.rank >= 2 and size > 4)
    return cost


def _of_window(size: int, window: int) -> float:
    if size == 1 < window:
        return costs.WINDOW_ON_ONE
    if size < window:
        return costs.WINDOW_TOO_LONG
    return costs.WINDOW_NEARLY_TOO_LONG if size < 2 * window else 0.0


def fit(layer: Layer, shape: Shape) -> float:
    """Return the evidence for a shape as it is: how well it fits a layer."""
    roles = layer.roles()
    if roles is None or len(roles) != len(shape):
        return 0.0
    return evidence(layer, roles, tuple(range(len(shape))), shape)


def oddness(layer: Layer) -> float:
    """Return how odd a kernel looks as this layer reads it: a window not square, or longer than there are outputs."""
    sizes: tuple[int, ...] = layer["kernel_size"]
    outputs: int = layer["out_channels"]
    return (
        costs.ODD_WINDOW * (len(set(sizes)) > 1)
        + costs.ODD_LONG_WINDOW * (max(sizes) > outputs)
        + costs.ODD_LONGEST_WINDOW * (max(sizes) > 16)
    )
