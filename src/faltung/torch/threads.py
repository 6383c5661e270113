"""PyTorch's threads do our pieces: two sets of threads would take the processors from each other."""

import ctypes
from functools import cache

from faltung.runtime import team
from faltung.torch.private import LIBRARY


def share() -> None:
    """Run all calls of this process on the OpenMP team that PyTorch uses; without OpenMP, threads stay our own."""
    # asked of PyTorch's library, the symbol is that of the OpenMP it was linked with
    parallel = getattr(ctypes.CDLL(LIBRARY), "GOMP_parallel", None)
    if parallel is not None:
        team.lend(parallel)


share_once = cache(share)
"""What every computation begins with: an import changes nothing."""
