"""The program of a kernel: the functions that a call runs, in order."""

from faltung.codegen.emitter import Emitter
from faltung.codegen.packing import emit_runs_packing, emit_taps_packing
from faltung.codegen.runs import emit_runs
from faltung.codegen.taps import emit_taps
from faltung.plan.kernels import RunsKernel, TapsKernel

FUNCTIONS = ("pack", "piece")


def emit_program(e: Emitter, kernel: RunsKernel | TapsKernel) -> None:
    """pack(call, index, scratch) lays out the kernel; piece(call, index, scratch) computes a part of the output."""
    if isinstance(kernel, RunsKernel):
        emit_runs_packing(e, kernel)
        emit_runs(e, kernel)
    else:
        emit_taps_packing(e, kernel)
        emit_taps(e, kernel)
