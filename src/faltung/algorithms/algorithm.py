"""What an algorithm is: a name, a reason to refuse, and a plan with its price; its programs stand beside it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from faltung.algorithms.fft.plan import FftPlan
from faltung.algorithms.moved.plan import MovedPlan
from faltung.codegen.emitter import Emitter
from faltung.machine.target import Target
from faltung.plan.kernel import AnyKernel
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem

AnyPlan = Plan | FftPlan | MovedPlan


@dataclass(frozen=True)
class Algorithm:
    """One way to compute a problem."""

    name: str
    refuse: Callable[[Problem, Target], str | None]
    """Why it does not apply, or None."""
    plan: Callable[[Problem, Target], AnyPlan]
    """Its cheapest plan: constants and parameters of a program, cut into tasks, with its price in cycles."""
    stores_once: bool = False
    """Is each result stored exactly once, so that it can be added to what stands there?"""


def emit_program(e: Emitter, kernel: AnyKernel) -> None:
    """Emit the functions of a kernel's STAGES, each as name(call, index, scratch).

    They are those of `emit` in emit.py, beside the kernel.py that defines the kernel's class; it is imported when the
    first program of its kind is compiled.
    """
    import_module(f"{type(kernel).__module__.rpartition('.')[0]}.emit").emit(e, kernel)
