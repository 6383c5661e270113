"""Which algorithm: each refuses with a reason or offers a plan; the cheapest by the cost model is taken."""

from collections.abc import Callable
from dataclasses import replace

from faltung.algorithms.algorithm import Algorithm, AnyPlan
from faltung.algorithms.direct_nchw import plan as direct_nchw
from faltung.algorithms.direct_nchw_transposed import plan as direct_nchw_transposed
from faltung.algorithms.direct_nhwc import plan as direct_nhwc
from faltung.algorithms.fft import plan as fft
from faltung.algorithms.grouped import plan as grouped
from faltung.algorithms.kernel_gradient import plan as kernel_gradient
from faltung.algorithms.moved import plan as moved
from faltung.algorithms.winograd import plan as winograd
from faltung.algorithms.winograd_gradient import plan as winograd_gradient
from faltung.errors import UnsupportedConvError
from faltung.machine.target import Target
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem

KERNELS = (
    Algorithm("grouped", grouped.refuse, grouped.plan),
    Algorithm("direct_nchw", direct_nchw.refuse, direct_nchw.plan),
    Algorithm("direct_nhwc", direct_nhwc.refuse, direct_nhwc.plan, stores_once=True),
    Algorithm("direct_nchw_transposed", direct_nchw_transposed.refuse, direct_nchw_transposed.plan),
    Algorithm("winograd", winograd.refuse, winograd.plan, stores_once=True),
    Algorithm("fft", fft.refuse, fft.plan),
)
"""Algorithms that are one pass over the arrays, and the FFT."""
FORWARD = (
    *KERNELS,
    Algorithm("moved", moved.refuse, lambda problem, target: moved.plan(problem, target, choose_kernel)),
)
"""Algorithms of a convolution, and of each part of an input gradient; of equal prices the first is taken."""
KERNEL_GRADIENT = (
    Algorithm("kernel_gradient", kernel_gradient.refuse, kernel_gradient.plan),
    Algorithm("winograd_gradient", winograd_gradient.refuse, winograd_gradient.plan),
    Algorithm("fft_gradient", fft.refuse, fft.plan_gradient),
)
"""The algorithms of the gradient with respect to the learned kernel."""


def choose_plan(problem: Problem, target: Target) -> AnyPlan:
    """The plan that the cost model finds cheapest, with what became of the others."""
    return _cheapest(FORWARD, problem, target)


def choose_kernel_gradient(problem: Problem, target: Target) -> AnyPlan:
    """The plan for the kernel gradient of a forward problem on contiguous arrays."""
    return _cheapest(KERNEL_GRADIENT, problem, target)


def choose_pass(problem: Problem, target: Target) -> AnyPlan:
    """The cheapest plan that needs no arrays between x and y."""
    return _cheapest(KERNELS, problem, target)


def choose_kernel(problem: Problem, target: Target, choose: Callable[[Problem, Target], AnyPlan] = choose_pass) -> Plan:
    """The cheapest plan that is a kernel of ours, for callers that need its addresses or exact sums."""
    plan = choose(problem, target)
    if not isinstance(plan, Plan):
        plan = choose(replace(problem, precision="exact"), target)
    assert isinstance(plan, Plan)  # only a kernel sums exactly
    return plan


def offers(problem: Problem, target: Target, algorithms: tuple[Algorithm, ...] = FORWARD) -> list[AnyPlan]:
    """The plans of all algorithms that could serve, the cheapest by the cost model first."""
    plans, _ = _ask(algorithms, problem, target)
    return sorted(plans, key=lambda plan: plan.cycles)


def _ask(algorithms: tuple[Algorithm, ...], problem: Problem, target: Target) -> tuple[list[AnyPlan], list[str]]:
    """The plans that algorithms offer, and why the others refuse."""
    plans, reasons = [], []
    for algorithm in algorithms:
        refusal = algorithm.refuse(problem, target)
        if refusal is None and problem.adds_result and not algorithm.stores_once:
            refusal = "some results are stored twice, which cannot be added to what stands there"
        if refusal is None:
            plans.append(algorithm.plan(problem, target))
        else:
            reasons.append(f"{algorithm.name}: passed over, {refusal}")
    return plans, reasons


def _cheapest(algorithms: tuple[Algorithm, ...], problem: Problem, target: Target) -> AnyPlan:
    """The cheapest plan, with what became of the others."""
    plans, reasons = _ask(algorithms, problem, target)
    if not plans:
        raise UnsupportedConvError(f"conv: no algorithm covers {problem.text!r}: {'; '.join(reasons)}.")
    chosen, *others = sorted(plans, key=lambda plan: plan.cycles)
    reasons = [*reasons, *(f"{plan.algorithm}: passed over, {plan.cycles:.3g} cycles by the model" for plan in others)]
    reason = f"{chosen.algorithm}: chosen, {chosen.cycles:.3g} cycles by the model"
    return replace(chosen, reasons=(reason, *chosen.reasons, *reasons))
