"""Results that native hosts compute by a function pointer, with no Python on the way."""

import ctypes
from collections.abc import Sequence

from faltung.algorithms.choose import choose_kernel, choose_kernel_gradient
from faltung.codegen import service
from faltung.codegen.xla import emit_handler
from faltung.plan.adjoint import adjoint_problems
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.runtime import compile as compiler
from faltung.runtime import pool, processor
from faltung.runtime.launch import Launch
from faltung.spec import ConvSpec

_workspace_place = pool.immortal((ctypes.c_int64 * 1)())


def xla_handler_of_convolution(spec: ConvSpec) -> int:
    """The address of a handler for y = convolve(x, kernel[, bias])."""
    plan = choose_kernel(Problem.of(spec), processor.current())
    return _xla_handler([plan], spec.output_bytes, num_inputs=3 if spec.bias else 2)


def xla_handler_of_input_gradient(spec: ConvSpec) -> int:
    """The address of a handler for dx = input_gradient(dy, kernel); the spec pads with zeros, if at all."""
    problems, leaves_some = adjoint_problems(Problem.of(spec))
    plans = [choose_kernel(problem, processor.current()) for problem in problems]
    return _xla_handler(plans, spec.input_bytes, is_zeroed=leaves_some)


def xla_handler_of_kernel_gradient(spec: ConvSpec) -> int:
    """The address of a handler for dw = kernel_gradient(x, dy)."""
    plan = choose_kernel(Problem.of(spec), processor.current(), choose_kernel_gradient)
    return _xla_handler([plan], spec.kernel_bytes)


def _xla_handler(plans: Sequence[Plan], result_bytes: int, *, num_inputs: int = 2, is_zeroed: bool = False) -> int:
    program = compiler.build(
        ("xla handler", num_inputs),
        lambda e: emit_handler(e, num_inputs),
        ("bind", "handle"),
        dtype="float32",
        target=processor.current(),
    )
    bind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(program.addresses["bind"])
    bind(pool.addresses()["serve"], _record(plans, result_bytes, is_zeroed))
    return program.addresses["handle"]


def _record(plans: Sequence[Plan], result_bytes: int, is_zeroed: bool) -> int:
    """Lay out the record of a result that these plans compute together, and keep it for good."""
    launches = [Launch(plan) for plan in plans]
    record = (ctypes.c_int64 * (service.JOBS + len(plans)))()
    record[service.POOL_PLACE] = pool.place()
    record[service.WORKSPACE_PLACE] = ctypes.addressof(_workspace_place)
    record[service.SHARED_BYTES] = max((plan.shared_bytes for plan in plans), default=0)
    record[service.SCRATCH_BYTES] = max((plan.scratch_bytes for plan in plans), default=0)
    record[service.RESULT_BYTES] = result_bytes
    record[service.IS_ZEROED] = is_zeroed
    record[service.NEEDS_ALIGNMENT] = any(plan.kernel.has_streaming_stores for plan in plans)
    record[service.NUM_JOBS] = len(plans)
    record[service.JOBS :] = [launch.job_address for launch in launches]
    pool.immortal(launches)
    return ctypes.addressof(pool.immortal(record))
