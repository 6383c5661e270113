"""From a description to machine code in memory: emit, check, verify, optimise, translate, load; or load what was kept.

Code for another target than the host's can be made too, and looked at; it cannot be loaded.
"""

import atexit
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache as once

import llvmlite.binding as llvm

from faltung.codegen.check import check
from faltung.codegen.emitter import Emitter
from faltung.errors import CodegenError
from faltung.machine.target import Target
from faltung.runtime import cache
from faltung.runtime.locks import lock_across_forks
from faltung.runtime.room import check_room

log = logging.getLogger("faltung")
_lock = lock_across_forks()  # LLVM's global tables are not safe under concurrent compilation

atexit.register(_lock.acquire)  # nothing may compile while the interpreter tears LLVM down


@dataclass(frozen=True)
class Program:
    """Machine code in memory. It stays for good, or as long as this object: a call holds the program that it runs."""

    addresses: dict[str, int]
    seconds: float
    was_kept: bool
    engine: llvm.ExecutionEngine | None
    """What unloads the code when it goes; None where it stays for good."""


Emit = Callable[[Emitter], None]


def build(
    description: object,
    emit: Emit,
    functions: tuple[str, ...],
    *,
    dtype: str,
    target: Target,
    stays: bool = True,
) -> Program:
    """The program that `emit` writes, with the addresses of its `functions`; `description` is its identity on disk."""
    start = time.perf_counter()
    key = cache.key_of(description, dtype, target)
    with _lock:
        check_room()
        code = kept = cache.load(key)
        if code is None:
            machine = _machine(target)
            code = machine.emit_object(_optimised(_checked(description, emit, dtype, target), machine))
            cache.keep(key, code)
        # a machine of its own: one that has compiled holds a megabyte, as long as the code is loaded
        engine, addresses = _load(code, _machine(target), functions)
    if stays:
        engine.detach()  # the code outlives the engine's Python object, even at interpreter exit
    seconds = time.perf_counter() - start
    log.debug("%s %.1f ms: %r", "loaded in" if kept else "compiled in", 1e3 * seconds, description)
    return Program(addresses, seconds, kept is not None, None if stays else engine)


def object_code(description: object, emit: Emit, *, dtype: str, target: Target) -> bytes:
    """The object code of a program, for whatever target; nothing is kept."""
    with _lock:
        machine = _machine(target)
        return machine.emit_object(_optimised(_checked(description, emit, dtype, target), machine))


def assembly(description: object, emit: Emit, *, dtype: str, target: Target) -> str:
    """The assembly text of a program, for whatever target."""
    with _lock:
        machine = _machine(target)
        return str(machine.emit_assembly(_optimised(_checked(description, emit, dtype, target), machine)))


def _machine(target: Target) -> llvm.TargetMachine:
    return _family(target.triple).create_target_machine(cpu=target.cpu, features=target.features, opt=3)


@once
def _family(triple: str) -> llvm.Target:
    """LLVM's code generator for a triple; those of other machines are set up only where one is asked for."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    try:
        return llvm.Target.from_triple(triple)
    except RuntimeError:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        return llvm.Target.from_triple(triple)


def _checked(description: object, emit: Emit, dtype: str, target: Target) -> llvm.ModuleRef:
    """Emit; check by our rules (codegen/check.py); let LLVM verify."""
    emitter = Emitter(target, dtype)
    try:
        emit(emitter)
        check(emitter.module)
        module = llvm.parse_assembly(str(emitter.module))
        module.verify()
    except (CodegenError, RuntimeError, TypeError, IndexError) as error:  # llvmlite refuses some calls at once
        raise CodegenError(f"faltung emitted a wrong program, please report: {description!r}: {error}") from error
    return module


def _optimised(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """Registers for variables, folded arithmetic, straight branches: what kernels need, in a tenth of -O3's time."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2)))
    return module


def _load(
    code: bytes, machine: llvm.TargetMachine, functions: tuple[str, ...]
) -> tuple[llvm.ExecutionEngine, dict[str, int]]:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    addresses = {name: engine.get_function_address(name) for name in functions}
    missing = [name for name, address in addresses.items() if not address]
    if missing:
        raise CodegenError(f"faltung loaded a program without {', '.join(missing)}; please report.")
    return engine, addresses
