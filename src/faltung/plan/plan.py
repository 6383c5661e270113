"""A plan: which kernel, told what, cut into which pieces, and why."""

from dataclasses import dataclass

from faltung.machine.memory import CACHE_LINE as CACHE_LINE  # which planners take from here
from faltung.plan.kernels import AnyKernel


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a call needs beyond its arrays. The pieces do not depend on the number of threads."""

    problem: object  # what it was made for
    kernel: AnyKernel
    cycles: float  # of one core, by the cost model; it ranks plans, it does not predict times
    parameters: dict[str, int]
    phases: tuple[tuple[str, int], tuple[str, int]]  # functions of the program, and in how many pieces each runs
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
    def pieces(self) -> int:
        """Pieces of the larger phase."""
        return max(pieces for _, pieces in self.phases)

    def parameter_values(self) -> tuple[int, ...]:
        """The numbers in the order in which the kernel reads them."""
        return tuple(self.parameters[name] for name in self.kernel.PARAMETERS)


def whole_lines(num_bytes: int) -> int:
    """Rounded up to whole cache lines."""
    return -(-num_bytes // CACHE_LINE) * CACHE_LINE
