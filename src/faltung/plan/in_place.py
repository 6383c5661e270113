"""Which arrays kernels read where they lie, and which must be copied first."""

from typing import Any

from numpy.typing import NDArray

from faltung.plan.problem import Problem, Strides
from faltung.spec import ConvSpec


def strides_in_place(spec: ConvSpec, x: NDArray[Any]) -> Strides | None:
    """Strides of x in elements if a kernel can read it where it lies; steps of axes of length 1 do not matter."""
    if not x.dtype.isnative or any(step % x.itemsize for step in x.strides):
        return None
    plain = Strides.of_contiguous(spec.is_channels_last, spec.in_channels, spec.in_size)
    axes = list(zip(x.shape, (step // x.itemsize for step in x.strides), strict=True))
    batch, rest = axes[: len(spec.batch)], axes[len(spec.batch) :]
    channel = rest.pop(-1 if spec.is_channels_last else 0)
    wanted = ((plain.c, channel), *zip(plain.spatial, rest, strict=True))
    c, *spatial = (free if size == 1 else step for free, (size, step) in wanted)
    # several leading axes count as one if each steps over exactly what the next ones span
    n, span = plain.n, None
    for size, step in reversed(batch):
        if size == 1:
            continue
        if span is None:
            n = step
        elif step != span:
            return None
        span = step * size
    strides = Strides(n, c, tuple(spatial))
    return strides if is_readable(Problem.of(spec, strides)) else None


def is_readable(problem: Problem) -> bool:
    """Can the kernels for the problem's layout read its input in place?"""
    x = problem.x
    if problem.is_channels_last and problem.is_multichannel:
        return (x.c, x.spatial[-1]) == (1, problem.in_channels)
    return x.spatial[-1] == 1
