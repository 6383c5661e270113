"""The program of a kernel: the functions that a call runs, in order."""

from faltung.algorithms.direct_nchw.emit import emit_taps
from faltung.algorithms.direct_nchw_transposed.emit import emit_turned
from faltung.algorithms.direct_nhwc.emit import emit_runs
from faltung.algorithms.epilogue_gradient.emit import emit_epilogue_gradient
from faltung.algorithms.grouped.emit import emit_groups
from faltung.algorithms.kernel_gradient.emit import emit_kernel_gradient
from faltung.algorithms.winograd.emit import emit_winograd
from faltung.algorithms.winograd_gradient.emit import emit_winograd_gradient
from faltung.codegen.emitter import Emitter
from faltung.codegen.packing import emit_runs_packing, emit_taps_packing
from faltung.plan.kernels import (
    AnyKernel,
    EpilogueGradientKernel,
    GradientKernel,
    GroupsKernel,
    RunsKernel,
    TurnedKernel,
    WinogradGradientKernel,
    WinogradKernel,
)


def emit_program(e: Emitter, kernel: AnyKernel) -> None:
    """The functions that the phases of a plan name, each as name(call, index, scratch)."""
    if isinstance(kernel, EpilogueGradientKernel):
        emit_epilogue_gradient(e, kernel)
    elif isinstance(kernel, GradientKernel):
        emit_kernel_gradient(e, kernel)
    elif isinstance(kernel, WinogradGradientKernel):
        emit_winograd_gradient(e, kernel)
    elif isinstance(kernel, WinogradKernel):
        emit_winograd(e, kernel)
    elif isinstance(kernel, GroupsKernel):
        emit_runs_packing(e, kernel)
        emit_groups(e, kernel)
    elif isinstance(kernel, RunsKernel):
        emit_runs_packing(e, kernel)
        emit_runs(e, kernel)
    elif isinstance(kernel, TurnedKernel):
        emit_runs_packing(e, kernel)
        emit_turned(e, kernel)
    else:
        emit_taps_packing(e, kernel)
        emit_taps(e, kernel)


def functions_of(kernel: AnyKernel) -> tuple[str, str]:
    """The names of the functions, in the order of the phases."""
    if isinstance(kernel, EpilogueGradientKernel):
        return "sums", "total"
    is_gradient = isinstance(kernel, GradientKernel | WinogradGradientKernel)
    return ("partial", "total") if is_gradient else ("pack", "piece")
