"""Which processor this is, and which one FALTUNG_TARGET asks to compile for."""

import os
import platform
from functools import cache as once
from pathlib import Path

import llvmlite.binding as llvm

from faltung.errors import FaltungError
from faltung.machine import tables
from faltung.machine.target import Target, is_x86
from faltung.runtime import cache

LEVELS = {"x86-64": "sse2", "x86-64-v2": "sse4.2", "x86-64-v3": "avx2", "x86-64-v4": "avx512f"}
"""The feature that each level of x86-64 adds and that our kernels would use (x86-64 psABI, 3.1.1)."""
DEFAULT_CACHES = {"L1": 32 * 1024, "L2": 512 * 1024, "L3": 8 * 1024 * 1024}
"""Bytes of the data caches where the system does not tell them: common small ones."""


@once
def current() -> Target:
    """The target of this process: the host, or the x86-64 level named by FALTUNG_TARGET."""
    wanted = os.environ.get("FALTUNG_TARGET", "native")
    host = {name for name, is_there in llvm.get_host_cpu_features().items() if is_there}
    if wanted == "native":
        return _target(llvm.get_host_cpu_name(), host)
    if wanted not in LEVELS or LEVELS[wanted] not in host:
        usable = ["native", *(level for level, feature in LEVELS.items() if feature in host)]
        raise FaltungError(
            f"FALTUNG_TARGET: must name a processor that this machine can run; got {wanted!r}. "
            f"Use {' or '.join(usable)}."
        )
    reached = {LEVELS[level] for level in list(LEVELS)[: list(LEVELS).index(wanted) + 1]}
    return _target(wanted, reached | ({"fma"} if "avx2" in reached else set()), has_own_features=False)


def _target(cpu: str, features: set[str], has_own_features: bool = True) -> Target:
    # LLVM splits 512-bit vectors on several processors unless told not to
    flags = sorted(f"+{name}" for name in features) if has_own_features else []
    triple = llvm.get_default_triple()
    if is_x86(triple):
        flags.append("-prefer-256-bit")
        vector_bytes = 64 if "avx512f" in features else 32 if features & {"avx", "avx2"} else 16
        registers, has_fma = (32 if vector_bytes == 64 else 16), "fma" in features
    else:
        vector_bytes, registers, has_fma = 16, 32, True
    sizes = DEFAULT_CACHES | cache_sizes()
    caches = sizes["L1"], sizes["L2"], sizes["L3"]
    costs = tables.costs_for(family(), vector_bytes, cache.directory())
    return Target(triple, cpu, ",".join(flags), vector_bytes, registers, has_fma, *caches, costs)


def family() -> str:
    """LLVM's name of the host processor, which names its table of prices."""
    return str(llvm.get_host_cpu_name())


def cache_sizes() -> dict[str, int]:
    """Data caches of the first core as Linux tells them; empty elsewhere."""
    sizes = {}
    for index in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"):
        try:
            level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            sizes[f"L{level}"] = int(size[:-1]) * 1024
    return sizes


def processor_name() -> str:
    """The marketing name of the processor, for people."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
