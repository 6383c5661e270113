"""Planning layer normalisation: rows are shared out to tasks."""

from dataclasses import dataclass

from faltung.algorithms.layer_norm.kernel import LayerNormKernel, LayerNormParameters
from faltung.machine.target import Target
from faltung.plan.plan import Plan
from faltung.plan.tasks import task_count
from faltung.spec.dtype import ITEM_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNorm:
    """Each of `num_rows` contiguous rows of `size` numbers by its own mean and variance.

    Operands: x, scale and shift of `size` numbers; the result may be x.
    """

    num_rows: int
    size: int
    epsilon: float
    has_scale: bool
    has_shift: bool
    dtype: str
    precision: str = "high"


def plan(request: LayerNorm, target: Target) -> Plan:
    """The plan for at least one number."""
    passes = 4  # three reads and a write
    numbers = request.num_rows * request.size
    cycles = passes * numbers * ITEM_BYTES[request.dtype] / target.costs.tasks.bytes_per_cycle
    cycles += request.num_rows * 2 * target.costs.passes.function_vector_cycles
    tasks = min(request.num_rows, task_count(target, cycles, 1))
    return Plan(
        problem=request,
        kernel=LayerNormKernel(request.epsilon, request.has_scale, request.has_shift, request.dtype),
        cycles=cycles,
        parameters=LayerNormParameters(request.num_rows, request.size, tasks),
        tasks=(0, tasks),
        shared_bytes=0,
        scratch_bytes=0,
        reasons=(f"{tasks} tasks",),
    )
