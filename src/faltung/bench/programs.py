"""Which programs does a change of the code change? `python -m faltung.bench.programs OLD NEW` compares two commits.

Every convolution of the suites, in both layouts, with its gradients, is planned and compiled for a fixed processor of
each instruction set, whatever machine this is; so are the launcher with its service, XLA's handlers and the loops that
measure a machine. A program is told by its machine code and read-only data, so that names do not count, and by the
numbers of its plan. A change that only moves or renames code changes no program.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import click
import llvmlite.binding as llvm  # type: ignore[import-untyped]

from faltung.algorithms.algorithm import AnyPlan, emit_program
from faltung.algorithms.choose import choose_kernel_gradient, choose_plan
from faltung.algorithms.epilogue_gradient import plan as epilogue_gradient
from faltung.bench.suite import LAYOUTS, SUITES, in_layout, load
from faltung.codegen.launcher import emit_launcher
from faltung.codegen.roofline import emit_roofline
from faltung.codegen.xla import emit_handler
from faltung.errors import CodegenError
from faltung.machine.known import TARGETS
from faltung.machine.target import Target
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.runtime.compile import Emit, object_code
from faltung.spec import ConvSpec
from faltung.spec.dtype import COMPUTED

MODULE = Path("src", "faltung", "bench", "programs.py")
OBJECT_HEAD_BYTES = 16
"""Where an array object's data begins in the launcher that is listed: CPython's, whatever Python this is."""
MOST_NAMES = 8
"""Named of the programs that one side only has."""

Digest = str
Programs = dict[str, list[tuple[str, Digest, Digest]]]
"""By case, layout, function and target, or name and target: for each program its algorithm, code and numbers."""


def programs_of(text: str) -> Programs:
    """The programs of one text."""
    found: Programs = {}
    for name, target in TARGETS.items():
        for layout in LAYOUTS:
            for function, plans in _plans(text, layout, target):
                found[f"{text} | {layout} | {function} | {name}"] = [
                    (p.algorithm, _kernel_code(p.kernel, name) if isinstance(p, Plan) else "", _numbers(p))
                    for p in plans
                ]
    return found


def shared_programs() -> Programs:
    """The programs that no convolution has to itself."""
    found: Programs = {}
    for name, target in TARGETS.items():
        emitters: dict[str, tuple[Emit, str]] = {
            "launcher and service": (lambda e: emit_launcher(e, OBJECT_HEAD_BYTES), "float32"),
            "xla handler of 2 inputs": (lambda e: emit_handler(e, 2), "float32"),
            "xla handler of 3 inputs": (lambda e: emit_handler(e, 3), "float32"),
        }
        registers = target.num_vector_registers
        for dtype in COMPUTED:
            emitters[f"roofline {dtype}"] = (lambda e, n=registers: emit_roofline(e, n)), dtype  # type: ignore[misc]
        for what, (emit, dtype) in emitters.items():
            found[f"{what} | {name}"] = [(what, _code(what, emit, dtype, target), _digest())]
    return found


def all_programs(texts: Sequence[str] | None = None) -> Programs:
    """The programs of all suites, or of these texts only; a line on stderr tells how far it is."""
    if texts is None:
        texts = sorted({text for suite in SUITES for text in load(suite).values() if "_transpose" not in text})
    found = shared_programs()
    with (
        ProcessPoolExecutor() as workers,
        click.progressbar(
            workers.map(programs_of, texts, chunksize=4), length=len(texts), label="compiling", file=sys.stderr
        ) as results,
    ):
        for programs in results:
            found |= programs
    return found


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
        numbers = spec.activation, spec.activation_parameter, spec.dtype
        outputs = epilogue_gradient.Outputs(
            spec.num_samples, spec.out_channels, prod(spec.out_size), spec.is_channels_last, spec.bias, *numbers
        )
        yield "epilogue gradient", [epilogue_gradient.plan(outputs, target)]


@cache
def _kernel_code(kernel: Any, name: str) -> Digest:
    return _code(kernel, lambda e: emit_program(e, kernel), kernel.dtype, TARGETS[name])


def _code(description: object, emit: Emit, dtype: str, target: Target) -> Digest:
    """What a program is, names apart."""
    code = object_code(description, emit, dtype=dtype, target=target)
    sections = [(str(s.name()), s.data()) for s in llvm.ObjectFileRef.from_data(code).sections()]
    # .text, .rodata.cst16 …; on x86 .ltext and .lrodata, since what is loaded may lie anywhere
    wanted = [section for section in sections if "text" in section[0] or "rodata" in section[0]]
    if not any(data for name, data in wanted if "text" in name and "rela" not in name):
        raise CodegenError(f"no machine code in the program of {description!r}")
    return _digest(*wanted)


def _numbers(plan: AnyPlan) -> Digest:
    if isinstance(plan, Plan):
        tasks = list(plan.tasks)
        return _digest(plan.parameter_values(), tasks, plan.shared_bytes, plan.scratch_bytes, plan.keeps_denormals)
    return _digest(astuple(plan)[2:-1])


def _digest(*parts: object) -> Digest:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def programs_at(commit: str) -> Programs:
    """The programs of all suites as the code of a commit makes them."""
    archived = subprocess.run(["git", "archive", commit, "src"], capture_output=True)
    if archived.returncode:
        reason = archived.stderr.decode(errors="replace").strip()
        raise click.ClickException(f"{commit!r} is neither a file nor a commit of this repository: {reason}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=archived.stdout, check=True)
        if not Path(folder, MODULE).is_file():
            raise click.ClickException(f"commit {commit!r} cannot tell its programs: it has no {MODULE}")
        kept = Path(folder, "programs.json")
        command = [sys.executable, "-m", "faltung.bench.programs", "--write", str(kept)]
        done = subprocess.run(command, env={"PYTHONPATH": str(Path(folder, "src")), "PATH": "/usr/bin:/bin"})
        if done.returncode:
            raise click.ClickException(f"the code of commit {commit!r} failed to list its programs; see above")
        return _read(kept)


def _read(file: Path) -> Programs:
    found: Programs = json.loads(file.read_text(encoding="utf-8"))
    return found


def differences(old: Programs, new: Programs) -> tuple[list[str], list[str], list[str]]:
    """The names of the programs that differ, of those that only old has, and of those that only new has."""
    changed = [key for key in sorted(old.keys() & new.keys()) if _known(old[key]) != _known(new[key])]
    return changed, sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())


def _known(programs: Sequence[Sequence[str]]) -> list[list[str]]:
    """What tells programs apart: not the name of the algorithm."""
    return [list(program[1:]) for program in programs]


@click.command(no_args_is_help=True)
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option("--write", type=click.Path(dir_okay=False, path_type=Path), help="Write the programs of this code here.")
def main(old: str | None, new: str | None, write: Path | None) -> None:
    r"""Tell which programs differ between OLD and NEW.

    Each is a commit of the repository in the present folder, or a file that --write has written. The listing compiles
    every convolution of the suites for SSE2, AVX2, AVX-512 and NEON, which takes some minutes; a commit is listed by
    its own code. The exit code is 1 if a program differs.

    \b
        python -m faltung.bench.programs HEAD~1 HEAD
        python -m faltung.bench.programs --write before.json
    """
    if write is not None:
        if old is not None:
            raise click.UsageError("--write lists the code that runs; it takes no OLD and NEW.")
        write.write_text(json.dumps(all_programs(), indent=0), encoding="utf-8")
        return
    if old is None or new is None:
        raise click.UsageError("OLD and NEW are both needed, each a commit or a file.")
    before, after = (_read(Path(side)) if Path(side).is_file() else programs_at(side) for side in (old, new))
    changed, only_old, only_new = differences(before, after)
    for key in changed:
        click.echo(f"{key}\n  old: {before[key]}\n  new: {after[key]}")
    for names, side in ((only_old, old), (only_new, new)):
        for name in names[:MOST_NAMES]:
            click.echo(f"only in {side}: {name}")
        if names[MOST_NAMES:]:
            click.echo(f"only in {side}: {len(names) - MOST_NAMES} more")
    num_both = len(before.keys() & after.keys())
    if num_both == 0:
        raise click.ClickException(f"{old} and {new} list no program that both have")
    click.echo(f"{len(changed)} of {num_both} differ")
    if changed:
        sys.exit(1)


if __name__ == "__main__":
    main()
