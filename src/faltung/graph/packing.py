"""Running the first stage of a plan once: a kernel packed for all calls to come."""

from faltung.graph.graph import Array
from faltung.graph.weights import aligned_empty
from faltung.plan.plan import Plan
from faltung.runtime.launch import Launch


def packed_by(plan: Plan, kernel: int) -> Array:
    """The kernel at that address as the plan's first stage packs it."""
    workspace = aligned_empty(plan.shared_bytes + plan.scratch_bytes)
    Launch(plan).pack_at(kernel, workspace.ctypes.data)
    return workspace[: plan.shared_bytes]
