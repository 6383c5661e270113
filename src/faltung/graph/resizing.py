"""Which inputs an output of a resize reads along one axis, and with which weights."""

import numpy as np

from faltung.graph.graph import Array, Node
from faltung.graph.lower_norms import resample
from faltung.graph.lowering import Lowering
from faltung.graph.shapes import spatial_axes
from faltung.graph.stored import Stored

CUBIC = -0.75
"""The coefficient of R. Keys, IEEE Trans. ASSP 29, 1981, 1153-1160, as PyTorch and ONNX take it."""


def table(size: int, out_size: int, scale: float | None, mode: str, coordinates: str) -> tuple[Array, Array]:
    """Indices and weights, both (out_size, terms), of a resize along one axis; `scale` is out/in as the host says it.

    >>> table(2, 4, None, "linear", "half_pixel")[1].tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [1.0, 0.0]]
    """
    step = 1 / scale if scale else size / out_size
    positions = np.arange(out_size)
    if mode == "nearest":  # in float32, as PyTorch computes places for all types
        half = np.float32(0.5 if coordinates == "nearest_exact" else 0)
        nearest = np.floor((positions.astype(np.float32) + half) * np.float32(step)).astype(np.int64)
        return np.minimum(nearest, size - 1)[:, None], np.ones((out_size, 1))
    if coordinates == "align_corners":
        centers = positions * ((size - 1) / (out_size - 1) if out_size > 1 else 0.0)
    elif coordinates == "asymmetric":
        centers = positions * step
    else:
        centers = (positions + 0.5) * step - 0.5
    offsets = (0, 1) if mode == "linear" else (-1, 0, 1, 2)
    if mode == "linear":
        centers = np.clip(centers, 0, size - 1)
    first = np.floor(centers)
    indices = np.stack([np.clip(first + offset, 0, size - 1) for offset in offsets], -1).astype(np.int64)
    distance = (centers - first)[:, None] - np.array(offsets)
    if mode == "linear":
        return indices, np.maximum(1 - np.abs(distance), 0)
    near = np.abs(distance)
    inner = ((CUBIC + 2) * near - (CUBIC + 3)) * near * near + 1
    outer = ((CUBIC * near - 5 * CUBIC) * near + 8 * CUBIC) * near - 4 * CUBIC
    return indices, np.where(near <= 1, inner, outer)


def resample_axes(lowering: Lowering, node: Node, x: Stored, shape: tuple[int, ...]) -> Stored:
    """Resize one axis after the other, each through its table."""
    scales = node["scale"] or (None,) * len(spatial_axes(node["layout"]))
    for axis, scale in zip(spatial_axes(node["layout"]), scales, strict=True):
        if shape[axis] == x.shape[axis] and scale in (None, 1, 1.0):
            continue
        found = table(x.shape[axis], shape[axis], scale, node["mode"], node["coordinates"])
        x = resample(lowering, node, x, axis, *found)
    return x


__all__ = ["resample_axes", "table"]
