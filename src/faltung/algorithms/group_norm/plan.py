"""Planning group normalisation: moments of chunks of positions first, then results block by block."""

from dataclasses import dataclass
from math import ceil

from faltung.algorithms.group_norm.kernel import GroupNormKernel, GroupNormParameters
from faltung.machine.target import Target
from faltung.plan.memory import round_up_to_cache_line
from faltung.plan.plan import Plan
from faltung.plan.tasks import task_count
from faltung.spec.dtype import ITEM_BYTES

MOST_CHUNKS = 64
"""Of a sample: each task of the second stage puts all of them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupNorm:
    """x of shape (num_samples, positions, channels), contiguous; neighbouring channels are a group.

    Operands: x, scale and shift of `channels` numbers; the result may be x. groups = channels: instance norm.
    """

    num_samples: int
    positions: int
    channels: int
    groups: int
    epsilon: float
    has_scale: bool
    has_shift: bool
    dtype: str
    precision: str = "high"


def plan(request: GroupNorm, target: Target) -> Plan:
    """The plan for at least one number."""
    if request.channels % request.groups:
        raise ValueError(f"groups must divide the channels; got {request.groups} and {request.channels}")
    item_bytes, costs = ITEM_BYTES[request.dtype], target.costs
    chunk = min(max(costs.passes.chunk_rows, ceil(request.positions / MOST_CHUNKS)), request.positions)
    chunks = ceil(request.positions / chunk)
    block = min(2 * max(costs.passes.chunk_rows, chunks), request.positions)
    blocks = ceil(request.positions / block)
    size = request.num_samples * request.positions * request.channels
    cycles = 4 * size * item_bytes / costs.tasks.bytes_per_cycle  # three reads and a write
    wanted = task_count(target, cycles / 2, 1)
    moment_tasks, tasks = min(request.num_samples * chunks, wanted), min(request.num_samples * blocks, wanted)
    parameters = GroupNormParameters(
        num_samples=request.num_samples,
        positions=request.positions,
        channels=request.channels,
        groups=request.groups,
        group_size=request.channels // request.groups,
        chunk=chunk,
        num_chunks=chunks,
        block=block,
        num_blocks=blocks,
        num_moment_tasks=moment_tasks,
        num_tasks=tasks,
    )
    kernel = GroupNormKernel(
        epsilon=request.epsilon,
        has_scale=request.has_scale,
        has_shift=request.has_shift,
        is_instance=request.groups == request.channels,
        dtype=request.dtype,
    )
    return Plan(
        problem=request,
        kernel=kernel,
        cycles=cycles,
        parameters=parameters,
        tasks=(moment_tasks, tasks),
        shared_bytes=round_up_to_cache_line(2 * request.num_samples * chunks * request.channels * item_bytes),
        scratch_bytes=round_up_to_cache_line(2 * request.channels * item_bytes),
        reasons=(f"{moment_tasks} and {tasks} tasks, {chunks} chunks of a sample",),
    )
