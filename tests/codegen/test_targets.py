"""Programs of every algorithm for SSE2, AVX2, AVX-512 and NEON, whatever machine runs the tests.

Each is emitted, checked by our rules, verified by LLVM and translated to object code; what cannot run here is told by
its assembly text.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from importlib import import_module
from math import prod
from pathlib import Path

import pytest
from checking import FINE_TASKS, python, with_costs
from passes import plans_of_passes

import faltung as ft
from faltung import algorithms
from faltung.algorithms.algorithm import emit_program
from faltung.algorithms.choose import FORWARD, KERNEL_GRADIENT, offers
from faltung.algorithms.epilogue_gradient import plan as epilogue_gradient
from faltung.codegen.launcher import emit_launcher
from faltung.codegen.roofline import emit_roofline
from faltung.codegen.xla import emit_handler
from faltung.machine.known import AARCH64, AVX512, NEON, SSE2, TARGETS
from faltung.machine.target import Target
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.kernel import AnyKernel
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.runtime import cache as object_cache
from faltung.runtime.compile import Emit, assembly, object_code

SPECS = (
    "conv1d n2 w100 ic8 oc20 kw5 same bias relu",
    "conv1d n1 w60 ic8 oc8 kw3",
    "conv2d n2 h12 w20 ic3 oc5 kh3 kw3 sh2 sw2 ph1 pw1 reflect gelu nchw",
    "conv2d n2 h120 w200 ic64 oc64 kh3 kw3 ph1 pw1 reflect",
    "conv1d n4 w60 ic24 oc24 kw3 g24 pw1 circular bias tanh",
    "conv1d n1 w60 ic8 oc16 kw3 g4 dw2",
    "conv2d n4 h120 w120 ic64 oc64 kh3 kw3 g64 same",
    "conv2d n2 h40 w40 ic4 oc4 kh3 kw3 g4 same nchw",
    "conv3d n1 d5 h6 w7 ic4 oc9 kd2 kh3 kw3 sd2 ncdhw",
    "conv1d n1 w900 ic64 oc9 kw1 ncw",
    "conv1d n2 w70 ic64 oc64 kw9 same ncw bias silu",
    "conv1d n2 w4000 ic1 oc1 kw31 oiw ncw",
    "conv1d n8 w2000000 ic1 oc64 kw3",
    "conv1d n8 w2000000 ic64 oc64 kw3 g64",
)
PASSES = "between convolutions"
"""Together they reach every algorithm, and its kernels in all their forms (see the test of that)."""
ELF_MACHINES = {True: 62, False: 183}
"""By whether it is an x86: EM_X86_64 and EM_AARCH64, the field at byte 18 of an object file."""
CONVOLUTIONS = ("DirectNhwcKernel", "DirectNchwKernel", "DirectNchwTransposedKernel", "GroupedKernel", "WinogradKernel")
GRADIENTS = ("KernelGradientKernel", "GroupedKernelGradientKernel", "WinogradGradientKernel")
ONE_WAY = {
    *((name, "is_packed") for name in ("DirectNchwTransposedKernel", "GroupedKernel")),
    *((name, "has_bias") for name in GRADIENTS),
    *((name, "adds_result") for name in (*CONVOLUTIONS, *GRADIENTS)),  # only steps of a network do
    *((name, "has_streaming_stores") for name in GRADIENTS),
    *((f"{name}Kernel", "has_streaming_stores") for name in ("DirectNchw", "DirectNchwTransposed", "Winograd")),
}
"""Constants of a kernel that no plan sets the other way."""


def kernels_of(text: str, target: Target) -> Iterator[AnyKernel]:
    """Yield the kernels of all algorithms that could serve a convolution, its gradients and that of its epilogue."""
    spec = ft.ConvSpec.from_text(text)
    gradient = Problem.of(spec.replace(activation=None, bias=False))
    input_gradients, _ = adjoint_problems(gradient)
    for forward in (Problem.of(spec), *input_gradients[:1]):
        yield from (plan.kernel for plan in offers(forward, target) if isinstance(plan, Plan))
    yield from (plan.kernel for plan in offers(gradient, target, KERNEL_GRADIENT) if isinstance(plan, Plan))
    if spec.bias or spec.activation:
        numbers = spec.activation, spec.activation_parameter, spec.dtype
        sizes = spec.num_samples, spec.out_channels, prod(spec.out_size), spec.is_channels_last
        yield epilogue_gradient.plan(epilogue_gradient.Outputs(*sizes, spec.bias, *numbers), target).kernel


@cache
def all_kernels(name: str, dtype: str) -> dict[str, list[AnyKernel]]:
    """Return the different kernels for a target, by the first spec that has them; PASSES stands for those of none."""
    seen: set[AnyKernel] = set()
    found: dict[str, list[AnyKernel]] = {}
    for text in SPECS:
        found[text] = []
        for target in (TARGETS[name], with_costs(TARGETS[name], **FINE_TASKS)):
            for kernel in kernels_of(f"{text} {dtype}", target):
                if kernel not in seen:
                    seen.add(kernel)
                    found[text].append(kernel)
    long = {"f32": "float32", "f64": "float64"}[dtype]
    found[PASSES] = list(dict.fromkeys(plan.kernel for plan in plans_of_passes(TARGETS[name], long)))
    return found


def emit_of(kernel: AnyKernel) -> Emit:
    return lambda e: emit_program(e, kernel)


def assert_is_object_for(target: Target, code: bytes) -> None:
    assert code[:4] == b"\x7fELF"
    assert int.from_bytes(code[18:20], "little") == ELF_MACHINES[target.is_x86]


# --- every algorithm


@pytest.mark.parametrize("name", TARGETS)
def test_the_specs_reach_every_algorithm(name: str) -> None:
    folders = [path.parent.name for path in Path(algorithms.__file__).parent.glob("*/kernel.py")]
    modules = [import_module(f"faltung.algorithms.{folder}.kernel") for folder in folders]
    wanted = {
        kind
        for module in modules
        for kind in vars(module).values()
        if getattr(kind, "__module__", "") == module.__name__
    }
    wanted = {kind for kind in wanted if "ALGORITHM" in vars(kind)}
    found = {type(kernel) for kernels in all_kernels(name, "f32").values() for kernel in kernels}
    assert found == wanted
    planned = {algorithm.name for algorithm in (*FORWARD, *KERNEL_GRADIENT)}
    planned -= {"fft", "fft_gradient", "moved"}  # which have no kernels of their own
    assert planned <= {kernel.ALGORITHM for kernels in all_kernels(name, "f32").values() for kernel in kernels}


def test_the_specs_reach_every_form_of_a_kernel() -> None:
    seen: dict[tuple[str, str], set[bool]] = {}
    for name in TARGETS:
        for kernel in (kernel for kernels in all_kernels(name, "f32").values() for kernel in kernels):
            for field in fields(kernel):  # type: ignore[arg-type]
                value = getattr(kernel, field.name)
                if isinstance(value, bool):
                    seen.setdefault((type(kernel).__name__, field.name), set()).add(value)
    assert {field for field, values in seen.items() if len(values) < 2} == ONE_WAY
    modes = {getattr(k, "padding_mode", None) for kernels in all_kernels("avx2", "f32").values() for k in kernels}
    assert modes == {None, "zeros", "reflect", "circular"}


@pytest.mark.parametrize("text", [*SPECS, PASSES])
@pytest.mark.parametrize("name", TARGETS)
def test_programs_are_emitted_checked_verified_and_translated(name: str, text: str) -> None:
    target = TARGETS[name]
    for kernel in all_kernels(name, "f32")[text]:
        code = object_code(kernel, emit_of(kernel), dtype="float32", target=target)
        assert_is_object_for(target, code)


@pytest.mark.parametrize("name", TARGETS)
def test_programs_of_float64_too(name: str) -> None:
    target, seen = TARGETS[name], set()
    for kernel in (kernel for kernels in all_kernels(name, "f64").values() for kernel in kernels):
        if type(kernel) not in seen:
            seen.add(type(kernel))
            code = object_code(kernel, emit_of(kernel), dtype="float64", target=target)
            assert_is_object_for(target, code)


# --- what all convolutions share

SHARED: dict[str, tuple[Emit, str]] = {
    "launcher and service": (lambda e: emit_launcher(e, 16), "float32"),
    "xla handler, 2 inputs": (lambda e: emit_handler(e, 2), "float32"),
    "xla handler, 3 inputs": (lambda e: emit_handler(e, 3), "float32"),
    "roofline float32": (lambda e: emit_roofline(e, 16), "float32"),
    "roofline float64": (lambda e: emit_roofline(e, 32), "float64"),
}


@pytest.mark.parametrize("what", SHARED)
@pytest.mark.parametrize("name", TARGETS)
def test_shared_programs_too(name: str, what: str) -> None:
    emit, dtype = SHARED[what]
    assert_is_object_for(TARGETS[name], object_code(what, emit, dtype=dtype, target=TARGETS[name]))


# --- the instructions

X86_WORDS = r"%[re]?[abcd]x|%[xyz]mm|\bpause\b|mxcsr|\block\b|cmpxchg|mfence|movap[sd]|\bret[lq]\b"
AARCH64_WORDS = r"\byield\b|\bfpcr\b|\bldr\b|\bstp\b|\bfmla\b|\bdmb\b|\bx30\b"


def test_the_launcher_has_the_instructions_of_its_target_only() -> None:
    for target in TARGETS.values():
        text = assembly("launcher", lambda e: emit_launcher(e, 16), dtype="float32", target=target).lower()
        theirs, others = (X86_WORDS, AARCH64_WORDS) if target.is_x86 else (AARCH64_WORDS, X86_WORDS)
        assert re.search(theirs, text)
        assert not re.search(others, text), re.search(others, text)
        for word in ("pause", "ldmxcsr", "cmpxchg") if target.is_x86 else ("yield", "msr\tfpcr", "casal"):
            assert word in text, word


REGISTERS = {"sse2": "xmm", "avx2": "ymm", "avx512": "zmm"}


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", TARGETS)
def test_a_kernel_has_vectors_as_wide_as_its_target_s(name: str, dtype: str) -> None:
    target, (long, letter) = TARGETS[name], {"f32": ("float32", "s"), "f64": ("float64", "d")}[dtype]
    (kernel, *_) = (k for k in all_kernels(name, dtype)[SPECS[0]] if k.ALGORITHM == "direct_nhwc")
    text = assembly(kernel, emit_of(kernel), dtype=long, target=target)
    if target.is_x86:
        assert bool(re.search(rf"vfmadd\d+p{letter}.*%{REGISTERS[name]}", text)) == target.has_fma
        assert re.search(rf"%{REGISTERS[name]}\d", text)
        wider = list(REGISTERS.values())[list(REGISTERS).index(name) + 1 :]
        assert not any(register in text for register in wider)
        assert not re.search(AARCH64_WORDS, text)
    else:
        assert re.search(r"fmla\s+v\d+\.(4s|2d)" if dtype == "f64" else r"fmla\s+v\d+\.4s", text)
        assert not re.search(X86_WORDS, text)
    assert not re.search(r"\b(?:callq?|bl)\s+(?:fmaf?|expf?|tanhf?|erff?|memset)\b", text), "a call into the C library"


@pytest.mark.parametrize("name", TARGETS)
def test_streaming_stores_and_their_fence(name: str) -> None:
    target = TARGETS[name]
    text = assembly("roofline", lambda e: emit_roofline(e, 16), dtype="float32", target=target).lower()
    around, fence = (r"v?movntps", r"mfence|lock\s+\w*or") if target.is_x86 else (r"stnp", r"dmb\s+ish")
    (streaming,) = re.findall(r"^stream_past_cache:.*?^\.?l?func_end", text, re.MULTILINE | re.DOTALL)
    assert re.search(around, streaming) and re.search(fence, streaming)
    (plain,) = re.findall(r"^stream:.*?^\.?l?func_end", text, re.MULTILINE | re.DOTALL)
    assert not re.search(r"movnt", plain) and not re.search(fence, plain)


# --- targets told apart


def test_the_names_of_kept_programs_tell_targets_apart_and_no_prices() -> None:
    keys = {object_cache.key_of("a program", "float32", target) for target in TARGETS.values()}
    assert len(keys) == len(TARGETS)
    other = with_costs(AVX512, tasks={"task_cycles": 1.0})
    assert other != AVX512 and object_cache.key_of("a", other) == object_cache.key_of("a", AVX512)
    assert NEON.triple == AARCH64 and not NEON.is_x86 and SSE2.is_x86


def test_llvm_s_triple_tells_the_architecture() -> None:
    names = {"x86_64-pc-linux-gnu": True, "x86_64-apple-darwin23.1.0": True, "amd64-unknown-freebsd14": True}
    names |= {"aarch64-unknown-linux-gnu": False, "arm64-apple-darwin23.1.0": False}
    for triple, is_x86 in names.items():
        assert replace(AVX512, triple=triple).is_x86 == is_x86, triple


FOREIGN = """
import llvmlite.binding as llvm
from dataclasses import replace
from faltung.codegen.xla import emit_handler
from faltung.machine.known import TARGETS
from faltung.runtime import compile as compiler, processor

def is_ready(target):
    try:
        return bool(llvm.Target.from_triple(target.triple))
    except RuntimeError:
        return False

host = processor.current()
(foreign,) = {t.triple: t for t in TARGETS.values() if t.is_x86 != host.is_x86}.values()
for target in (host, foreign):
    compiler.object_code("handler", lambda e: emit_handler(e, 2), dtype="float32", target=target)
    print(is_ready(host), is_ready(foreign))
"""


def test_the_code_generators_of_other_machines_are_set_up_only_where_asked_for() -> None:
    done = python(FOREIGN)
    assert (done.returncode, done.stdout.split("\n")[:2]) == (0, ["True False", "True True"]), done.stderr
