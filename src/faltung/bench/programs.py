"""Which programs does a change of the code change? `python -m faltung.bench.programs OLD NEW` compares two commits.

Every convolution of the suites, in both layouts, with its gradients, is planned and compiled for a fixed processor of
each instruction set, whatever machine this is. A program is told by its machine code and read-only data, so that names
do not count, and by the numbers of its plan. A change that only moves or renames code changes no program.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]

from faltung.algorithms.algorithm import AnyPlan, emit_program
from faltung.algorithms.choose import choose_kernel_gradient, choose_plan
from faltung.algorithms.epilogue_gradient import plan as epilogue_gradient
from faltung.bench.suite import LAYOUTS, SUITES, in_layout, load
from faltung.codegen.emitter import Emitter
from faltung.machine.target import Target
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.runtime.compile import _optimised
from faltung.spec import ConvSpec

KB = 1024
TARGETS = {
    "sse2": (
        "x86_64-unknown-linux-gnu",
        Target("x86-64", "-prefer-256-bit", 16, 16, False, 32 * KB, 512 * KB, 8 << 20),
    ),
    "avx2": (
        "x86_64-unknown-linux-gnu",
        Target("haswell", "-prefer-256-bit", 32, 16, True, 32 * KB, 512 * KB, 8 << 20),
    ),
    "avx512": (
        "x86_64-unknown-linux-gnu",
        Target("skylake-avx512", "-prefer-256-bit", 64, 32, True, 32 * KB, 1024 * KB, 16 << 20),
    ),
    "neon": ("aarch64-unknown-linux-gnu", Target("neoverse-n1", "", 16, 32, True, 64 * KB, 1024 * KB, 32 << 20)),
}
"""By instruction set: LLVM's triple, and a processor."""

Digest = str
Programs = dict[str, list[tuple[str, Digest, Digest]]]
"""By case, layout, function and target: for each program its algorithm, code and numbers."""


def _plans(text: str, layout: str, target: Target) -> Iterator[tuple[str, list[AnyPlan]]]:
    """The plans of a convolution and of its gradients."""
    spec = in_layout(ConvSpec.from_text(text), layout)
    problem = Problem.of(spec)
    yield "forward", [choose_plan(problem, target)]
    gradient = Problem.of(spec.replace(activation=None, bias=False))
    problems, _ = adjoint_problems(gradient)
    yield "input gradient", [choose_plan(component, target) for component in problems]
    yield "kernel gradient", [choose_kernel_gradient(gradient, target)]
    if spec.bias or spec.activation:
        size = 1
        for number in spec.out_size:
            size *= number
        numbers = spec.activation, spec.activation_parameter, spec.dtype
        outputs = epilogue_gradient.Outputs(
            spec.num_samples, spec.out_channels, size, spec.is_channels_last, spec.bias, *numbers
        )
        yield "epilogue gradient", [epilogue_gradient.plan(outputs, target)]


def _digest(*parts: object) -> Digest:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@cache
def _code(kernel: Any, name: str) -> Digest:
    """What a kernel's program is, names apart."""
    triple, target = TARGETS[name]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=target.cpu, features=target.features, opt=3)
    e = Emitter(
        kernel.dtype,
        target.lanes(kernel.dtype),
        has_fma=target.has_fma,
        has_masked_stores=target.has_masked_stores,
    )
    emit_program(e, kernel)
    module = llvm.parse_assembly(str(e.module))
    module.triple = triple
    module.verify()
    code = machine.emit_object(_optimised(module, machine))
    sections = [(str(s.name()), s.data()) for s in llvm.ObjectFileRef.from_data(code).sections()]
    return _digest(*(section for section in sections if ".text" in section[0] or ".rodata" in section[0]))


def _numbers(plan: AnyPlan) -> Digest:
    if isinstance(plan, Plan):
        tasks = list(plan.tasks)
        return _digest(plan.parameter_values(), tasks, plan.shared_bytes, plan.scratch_bytes, plan.keeps_denormals)
    return _digest(astuple(plan)[2:-1])


def programs_of(text: str) -> Programs:
    """The programs of one text."""
    found: Programs = {}
    for name, (_, target) in TARGETS.items():
        for layout in LAYOUTS:
            for function, plans in _plans(text, layout, target):
                found[f"{text} | {layout} | {function} | {name}"] = [
                    (p.algorithm, _code(p.kernel, name) if isinstance(p, Plan) else "", _numbers(p)) for p in plans
                ]
    return found


def all_programs() -> Programs:
    """The programs of all suites."""
    texts = sorted({text for suite in SUITES for text in load(suite).values() if "_transpose" not in text})
    with ProcessPoolExecutor() as workers:
        return {key: value for found in workers.map(programs_of, texts, chunksize=4) for key, value in found.items()}


def programs_at(commit: str) -> Programs:
    """The programs of all suites as the code of a commit makes them."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", commit, "src"], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], input=archive, check=True)
        kept = Path(folder, "programs.json")
        command = [sys.executable, "-m", "faltung.bench.programs", "--write", str(kept)]
        subprocess.run(command, check=True, env={"PYTHONPATH": str(Path(folder, "src")), "PATH": "/usr/bin:/bin"})
        found: Programs = json.loads(kept.read_text(encoding="utf-8"))
    return found


def main(arguments: list[str]) -> int:
    """Write the programs of this code, or compare those of two commits or files."""
    if arguments[:1] == ["--write"]:
        Path(arguments[1]).write_text(json.dumps(all_programs(), indent=0), encoding="utf-8")
        return 0
    old, new = (json.loads(Path(a).read_text()) if Path(a).is_file() else programs_at(a) for a in arguments)
    changed = [key for key in sorted(old.keys() | new.keys()) if _known(old.get(key)) != _known(new.get(key))]
    for key in changed:
        print(key, *(f"  {side}: {programs.get(key)}" for side, programs in (("old", old), ("new", new))), sep="\n")
    print(f"{len(changed)} of {len(old.keys() | new.keys())} differ")
    return bool(changed)


def _known(programs: Any) -> Any:
    """What tells programs apart: not the name of the algorithm."""
    return None if programs is None else [list(program[1:]) for program in programs]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
