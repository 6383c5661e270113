"""Planning a pool: lines of positions, cut into blocks and shared out to tasks."""

from dataclasses import dataclass
from math import ceil, prod

from faltung.algorithms.pool.kernel import PoolAxis, PoolKernel, PoolParameters
from faltung.machine.target import Target
from faltung.plan.plan import Plan
from faltung.plan.tasks import task_count
from faltung.spec.dtype import ITEM_BYTES

LONGEST_WRITTEN_OUT = 8
"""Taps along w that are written out; longer windows loop over theirs, and share one program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Windows over one to three axes of space; x and y are channels last, their channels side by side.

    Tap t of output o meets input o * stride - low + t * dilation. Windows may end beyond `high`; what lies there
    counts nowhere. `counts_padding`: a mean divides by the padding that its window meets too.
    """

    kind: str
    """ "max" or "mean"."""
    num_samples: int
    in_size: tuple[int, ...]
    out_size: tuple[int, ...]
    channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    low: tuple[int, ...]
    high: tuple[int, ...]
    counts_padding: bool
    x_strides: tuple[int, ...]
    """Of samples, then of each axis of space, in elements."""
    y_strides: tuple[int, ...]
    dtype: str
    precision: str = "high"


def plan(request: Pool, target: Target) -> Plan:
    """The plan for at least one output; each window must meet an input."""
    axes = [
        PoolAxis(*numbers)
        for numbers in zip(
            *(request.in_size, request.out_size, request.kernel_size, request.stride, request.dilation),
            *(request.low, request.high, request.x_strides[1:], request.y_strides[1:]),
            strict=True,
        )
    ]
    _check(request, axes)
    d, h, w = [PoolAxis(1, 1, 1, 1, 1, 0, 0, 0, 0)] * (3 - len(axes)) + axes
    kernel = PoolKernel(
        is_max=request.kind == "max",
        counts_padding=request.counts_padding and request.kind == "mean",
        kernel_w=w.kernel_size if w.kernel_size <= LONGEST_WRITTEN_OUT else 0,
        dtype=request.dtype,
    )
    span = (w.kernel_size - 1) * w.dilation
    first = min(ceil(w.low / w.stride), w.out_size)
    last = (w.in_size - 1 - span + w.low) // w.stride + 1
    block = max(1, target.costs.passes.unit_numbers // (request.channels * prod(request.kernel_size)))
    blocks = ceil(w.out_size / block)
    outer = request.num_samples * d.out_size * h.out_size
    cycles = _cycles(request, target)
    tasks = min(outer * blocks, task_count(target, cycles, 1))
    parameters = PoolParameters(
        d=d,
        h=h,
        w=w,
        x_n=request.x_strides[0],
        y_n=request.y_strides[0],
        channels=request.channels,
        inner_first=first,
        inner_last=min(max(first, last), w.out_size),
        block=block,
        num_blocks=blocks,
        num_units=outer * blocks,
        num_tasks=tasks,
    )
    return Plan(
        problem=request,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(0, tasks),
        shared_bytes=0,
        scratch_bytes=0,
        reasons=(f"{tasks} tasks",),
    )


def _check(request: Pool, axes: list[PoolAxis[int]]) -> None:
    """Refuse windows that meet no input: they have neither a maximum nor a mean."""
    if request.kind not in ("max", "mean"):
        raise ValueError(f"a pool takes the max or the mean; got {request.kind!r}")
    for axis in axes:
        for o in range(axis.out_size):
            start = o * axis.stride - axis.low
            skipped = ceil(max(-start, 0) / axis.dilation)
            if skipped >= axis.kernel_size or start + skipped * axis.dilation >= axis.in_size:
                raise ValueError(f"window {o} of {axis} meets padding only")


def _cycles(request: Pool, target: Target) -> float:
    positions = request.num_samples * prod(request.out_size)
    vectors = ceil(request.channels / target.lanes(request.dtype))
    moved = request.channels * (positions + request.num_samples * prod(request.in_size)) * ITEM_BYTES[request.dtype]
    taps = prod(request.kernel_size) * vectors / target.costs.tile.loads_per_cycle
    start = target.costs.tile.start_cycles
    return max(moved / target.costs.tasks.bytes_per_cycle, positions * (start + 2 * taps))
