"""Room for LLVM, which ends the process where the system gives it no memory: so what it may need is asked for first."""

import mmap

from faltung.errors import OutOfMemoryError

LLVM_BYTES = 128 * 1024 * 1024
"""More than compiling and loading a program takes: 47 MB for the largest of the suites."""
LLVM_MAPPINGS = 8
"""More than the mappings of memory that a loaded program and LLVM's heap take; Linux allows 65,530 for a process."""

FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def check_room() -> None:
    """Raise where the memory or the mappings that a program needs are not there; nothing is kept."""
    # neighbours of one kind would be one mapping
    kinds = [mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE] * (LLVM_MAPPINGS // 2)
    probes = []
    try:
        for kind in kinds:
            probes.append(mmap.mmap(-1, mmap.PAGESIZE, flags=FLAGS, prot=kind))
        probes.append(mmap.mmap(-1, LLVM_BYTES, flags=FLAGS))
    except OSError as error:
        raise OutOfMemoryError(
            f"faltung: found no memory, or no mapping of memory, for one more program: {error}. "
            "Let go of arrays and of convolutions, or raise the limit (ulimit -v, vm.max_map_count)."
        ) from error
    finally:
        for probe in probes:
            probe.close()
