"""The processor: which one is found, which levels may be asked for, and what its programs look like."""

import json
import platform
import re

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import pytest
from checking import python

from faltung.runtime import processor
from faltung.runtime.processor import LEVELS

IS_X86 = platform.machine() in ("x86_64", "AMD64")
HOST = {name for name, is_there in llvm.get_host_cpu_features().items() if is_there}
USABLE = [level for level, feature in LEVELS.items() if feature in HOST]
VECTOR_BYTES = {"x86-64": 16, "x86-64-v2": 16, "x86-64-v3": 32, "x86-64-v4": 64}
REGISTER = {16: "xmm", 32: "ymm", 64: "zmm"}
SPECS = {
    "direct_nhwc": "conv1d n1 w100 ic8 oc64 kw3 {}",
    "direct_nchw": "conv1d n1 w100 ic8 oc64 kw3 ncw {}",
}

PROGRAM = """
import json, sys, faltung as ft
from faltung.algorithms import choose
from faltung.runtime import processor
found = processor.current()
choose.FORWARD = tuple(algorithm for algorithm in choose.FORWARD if algorithm.name == sys.argv[2])
conv = ft.compile(ft.ConvSpec.from_text(sys.argv[1]))
print(json.dumps([found.vector_bytes, found.num_vector_registers, found.has_fma, found.cpu, conv.algorithm,
                  conv.assembly()]))
"""


def compiled(text: str, algorithm: str, level: str) -> tuple[int, int, bool, str, str, str]:
    """Return vector bytes, registers, whether it fuses, LLVM's name, algorithm and assembly for a target."""
    done = python(PROGRAM, text, algorithm, FALTUNG_TARGET=level)
    assert done.returncode == 0, done.stderr
    found: tuple[int, int, bool, str, str, str] = tuple(json.loads(done.stdout))
    return found


def test_the_host_is_found() -> None:
    found = processor.current()
    assert found.cpu == llvm.get_host_cpu_name() or "FALTUNG_TARGET" in __import__("os").environ
    if IS_X86:
        assert found.vector_bytes == (64 if "avx512f" in HOST else 32 if "avx" in HOST else 16)
        assert found.num_vector_registers == (32 if found.vector_bytes == 64 else 16)
        assert found.has_fma == ("fma" in HOST)
    else:
        assert (found.vector_bytes, found.num_vector_registers, found.has_fma) == (16, 32, True)
    assert found.lanes("float32") == 2 * found.lanes("float64") == found.vector_bytes // 4
    assert 8 * 1024 <= found.l1_bytes <= found.l2_bytes


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("algorithm", SPECS)
@pytest.mark.parametrize("level", USABLE or ["native"])
def test_a_program_uses_the_vectors_of_its_level(level: str, algorithm: str, dtype: str) -> None:
    vector_bytes, registers, has_fma, cpu, chosen, text = compiled(SPECS[algorithm].format(dtype), algorithm, level)
    assert chosen == algorithm
    if not IS_X86:
        assert re.search(r"\bfmla\b", text)
        return
    assert (vector_bytes, registers, has_fma, cpu) == (
        VECTOR_BYTES[level],
        32 if level == "x86-64-v4" else 16,
        level in ("x86-64-v3", "x86-64-v4"),
        level,
    )
    suffix = {"f32": "ps", "f64": "pd"}[dtype]
    fused = re.findall(rf"\tvfmadd\d+{suffix}\t.*%{REGISTER[vector_bytes]}\d", text)
    apart = re.findall(rf"\tmul{suffix}\t", text)
    assert bool(fused) == has_fma and bool(apart) != has_fma
    wider = [name for size, name in REGISTER.items() if size > vector_bytes]
    assert not any(f"%{name}" in text for name in wider), "an instruction that this level does not have"
    assert "call" not in text or not re.search(r"call\w*\s+(exp|tanh|erf|memcpy|memset|fma)f?\b", text)


@pytest.mark.parametrize("level", ["nonsense", "X86-64-V3", "avx2"])
def test_what_is_no_level_is_refused(level: str) -> None:
    done = python("from faltung.runtime import processor; processor.current()", FALTUNG_TARGET=level)
    assert done.returncode == 1
    usable = " or ".join(["native", *USABLE])
    assert done.stderr.splitlines()[-1] == (
        "faltung.errors.FaltungError: FALTUNG_TARGET: must name a processor that this machine can run; "
        f"got {level!r}. Use {usable}."
    )


def test_a_level_that_the_host_lacks_is_refused() -> None:
    program = """
import llvmlite.binding as llvm  # type: ignore[import-untyped]
features = dict(llvm.get_host_cpu_features())
features.update(avx512f=False, avx2=False)
llvm.get_host_cpu_features = lambda: features
from faltung.runtime import processor
processor.current()
"""
    done = python(program, FALTUNG_TARGET="x86-64-v4")
    assert done.returncode == 1
    assert "must name a processor that this machine can run; got 'x86-64-v4'. Use native" in done.stderr
