"""A plan: which kernel, told what, cut into which tasks, and why."""

from dataclasses import dataclass
from typing import Any

from faltung.plan.kernel import AnyKernel
from faltung.plan.parameters import flattened


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a call needs beyond its arrays. The tasks do not depend on the number of threads."""

    problem: object  # what it was made for
    kernel: AnyKernel
    cycles: float  # of one core, by the cost model; it ranks plans, it does not predict times
    parameters: Any  # the dataclass of the algorithm's parameters, filled with ints
    tasks: tuple[int, int]  # in each of the kernel's STAGES
    shared_bytes: int  # the packed kernel
    scratch_bytes: int  # for each thread
    reasons: tuple[str, ...]

    @property
    def algorithm(self) -> str:
        """The name of the algorithm."""
        return self.kernel.ALGORITHM

    @property
    def keeps_denormals(self) -> bool:
        """Does precision="exact" ask for them? Otherwise they count as zeros."""
        precision: str = getattr(self.problem, "precision", "high")
        return precision == "exact"

    @property
    def num_tasks(self) -> int:
        """Tasks of the larger stage."""
        return max(self.tasks)

    def parameter_values(self) -> tuple[int, ...]:
        """The numbers in the order in which the kernel reads them."""
        return tuple(flattened(self.parameters))
