"""The processor as plans and kernels see it."""

from dataclasses import dataclass, field

from faltung.machine.cost import CostModel
from faltung.spec.dtype import ITEM_BYTES


@dataclass(frozen=True, slots=True)
class Target:
    """Vector width, registers and caches of one core; `triple`, `cpu` and `features` are LLVM's names."""

    triple: str
    """Architecture, vendor and system: what machine code and object files look like."""
    cpu: str
    features: str
    vector_bytes: int
    num_vector_registers: int
    has_fma: bool
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    costs: CostModel = field(default=CostModel(), repr=False)  # programs do not depend on it: it only ranks plans

    @property
    def is_x86(self) -> bool:
        """Is it an x86-64, with its instructions for waiting and for denormal numbers? Else it is an AArch64."""
        return is_x86(self.triple)

    @property
    def has_masked_stores(self) -> bool:
        """Is a store of some lanes as quick as one of all? On AVX2 it is not."""
        return self.vector_bytes == 64

    def lanes(self, dtype: str) -> int:
        """Elements in one vector."""
        return self.vector_bytes // ITEM_BYTES[dtype]


def is_x86(triple: str) -> bool:
    """Is LLVM's triple that of an x86-64?"""
    return triple.partition("-")[0] in ("x86_64", "amd64")
