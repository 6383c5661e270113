"""The order of axes in memory: the six layouts of the data and the six of the kernel.

A layout is a word with one letter for each axis: N batch, D depth, H height, W width (the steps of a
sequence), C channels; in kernels I input and O output channels. N may stand for several leading axes.
"""

from faltung.errors import ShapeError
from faltung.spec.rules import one_of

RANKS = (1, 2, 3)

Shape = tuple[int, ...]


def spatial_axes(rank: int) -> str:
    """Return the letters of the spatial axes.

    >>> spatial_axes(1), spatial_axes(3)
    ('w', 'dhw')
    """
    return "dhw"[-rank:]


def layouts(rank: int) -> tuple[str, str]:
    """Return the layouts of the data, channels last (the default) and channels first.

    >>> layouts(2)
    ('NHWC', 'NCHW')
    """
    spatial = spatial_axes(rank).upper()
    return f"N{spatial}C", f"NC{spatial}"


def kernel_layouts(rank: int) -> tuple[str, str]:
    """Return the layouts of the kernel, that of Keras (the default) and that of PyTorch.

    >>> kernel_layouts(2)
    ('HWIO', 'OIHW')
    """
    spatial = spatial_axes(rank).upper()
    return f"{spatial}IO", f"OI{spatial}"


LAYOUTS = tuple(layout for rank in RANKS for layout in layouts(rank))
KERNEL_LAYOUTS = tuple(layout for rank in RANKS for layout in kernel_layouts(rank))


def resolve_layout(layout: object, rank: int) -> str:
    """Return the layout in upper case; None means channels last."""
    if layout is None:
        return layouts(rank)[0]
    if isinstance(layout, str) and layout.lower() in ("channels_last", "channels_first"):
        meant = layouts(rank)[layout.lower() == "channels_first"]
        raise ShapeError(f"layout must name the axes; got {layout!r}. Use layout={meant!r}.")
    return one_of(f"layout of conv{rank}d", layout, layouts(rank))


def resolve_kernel_layout(kernel_layout: object, rank: int) -> str:
    """Return the kernel layout of this rank in upper case; "WIO" and "OIW" will do for every rank."""
    if kernel_layout is None:
        return kernel_layouts(rank)[0]
    general = dict(zip(kernel_layouts(1), kernel_layouts(rank), strict=True))
    if isinstance(kernel_layout, str):
        kernel_layout = general.get(kernel_layout.upper(), kernel_layout)
    return one_of(f"kernel_layout of conv{rank}d", kernel_layout, kernel_layouts(rank))


def join_shape(layout: str, batch: Shape, channels: int, spatial: Shape) -> Shape:
    """Return the shape of data in ``layout``.

    >>> join_shape("NCHW", (8,), 3, (32, 32))
    (8, 3, 32, 32)
    """
    return (*batch, *spatial, channels) if layout.endswith("C") else (*batch, channels, *spatial)


def split_shape(layout: str, shape: Shape) -> tuple[Shape, int, Shape]:
    """Return batch, channels and spatial sizes of data in ``layout``: the inverse of :func:`join_shape`.

    >>> split_shape("NWC", (2, 8, 100, 3))
    ((2, 8), 3, (100,))
    """
    num_batch = len(shape) - len(layout) + 1
    batch, rest = shape[:num_batch], shape[num_batch:]
    return (batch, rest[-1], rest[:-1]) if layout.endswith("C") else (batch, rest[0], rest[1:])


def join_kernel_shape(kernel_layout: str, kernel_size: Shape, inputs: int, outputs: int) -> Shape:
    """Return the shape of a kernel in ``kernel_layout``; ``inputs`` counts the channels of one group.

    >>> join_kernel_shape("OIHW", (3, 3), 16, 32)
    (32, 16, 3, 3)
    """
    return (outputs, inputs, *kernel_size) if kernel_layout.startswith("O") else (*kernel_size, inputs, outputs)


def split_kernel_shape(kernel_layout: str, shape: Shape) -> tuple[Shape, int, int]:
    """Return kernel size, inputs of one group and outputs: the inverse of :func:`join_kernel_shape`.

    >>> split_kernel_shape("WIO", (7, 16, 32))
    ((7,), 16, 32)
    """
    if kernel_layout.startswith("O"):
        return shape[2:], shape[1], shape[0]
    return shape[:-2], shape[-2], shape[-1]
