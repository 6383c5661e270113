"""Which algorithm: each refuses with a reason or offers a plan; the cheapest by the cost model is taken."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from faltung.algorithms.direct_nchw.plan import plan_taps
from faltung.algorithms.direct_nchw_transposed.plan import plan_turned, refuse_turned
from faltung.algorithms.direct_nhwc.plan import plan_runs
from faltung.algorithms.fft.plan import FftPlan, plan_fft, plan_fft_gradient, refuse_fft
from faltung.algorithms.grouped.plan import plan_groups, refuse_groups
from faltung.algorithms.kernel_gradient.plan import plan_kernel_gradient
from faltung.algorithms.winograd.plan import plan_winograd, refuse_winograd
from faltung.algorithms.winograd_gradient.plan import plan_winograd_gradient, refuse_winograd_gradient
from faltung.errors import UnsupportedConvError
from faltung.machine.target import Target
from faltung.plan.in_place import is_readable
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem

AnyPlan = Plan | FftPlan


@dataclass(frozen=True)
class _Rule:
    algorithm: str
    refusal: Callable[[Problem, Target], str | None]
    plan: Callable[[Problem, Target], AnyPlan]


def _refuse_taps(problem: Problem, _: Target) -> str | None:
    return None if is_readable(problem) else "neighbours along w, or their channels, do not lie side by side"


def _refuse_runs(problem: Problem, _: Target) -> str | None:
    if not problem.is_channels_last:
        return "the input's channels do not lie side by side"
    return None if (problem.x.c, problem.x.spatial[-1]) == (1, problem.in_channels) else "a line has gaps"


RULES = (
    _Rule("groups", refuse_groups, plan_groups),
    _Rule("taps", _refuse_taps, plan_taps),
    _Rule("runs", _refuse_runs, plan_runs),
    _Rule("turned runs", refuse_turned, plan_turned),
    _Rule("winograd", refuse_winograd, plan_winograd),
    _Rule("fft", refuse_fft, plan_fft),
)
GRADIENT_RULES = (
    _Rule("winograd kernel gradient", refuse_winograd_gradient, plan_winograd_gradient),
    _Rule("fft kernel gradient", refuse_fft, plan_fft_gradient),
)


def choose_plan(problem: Problem, target: Target) -> AnyPlan:
    """The plan that the cost model finds cheapest, with what became of the others."""
    plans, reasons = _ask(RULES, problem, target)
    if not plans:
        raise UnsupportedConvError(f"conv: no algorithm covers {problem.text!r}: {'; '.join(reasons)}.")
    return _cheapest(plans, reasons)


def offers(problem: Problem, target: Target) -> list[AnyPlan]:
    """The plans of all algorithms that could serve, the cheapest by the cost model first."""
    plans, _ = _ask(RULES, problem, target)
    return sorted(plans, key=lambda plan: plan.cycles)


def choose_kernel_gradient(problem: Problem, target: Target) -> AnyPlan:
    """The plan for the kernel gradient of a forward problem on contiguous arrays."""
    plans, reasons = _ask(GRADIENT_RULES, problem, target)
    return _cheapest([plan_kernel_gradient(problem, target), *plans], reasons)


def choose_kernel(problem: Problem, target: Target, choose: Callable[[Problem, Target], AnyPlan] = choose_plan) -> Plan:
    """The cheapest plan that is a kernel of ours, for callers that need its addresses or exact sums."""
    plan = choose(problem, target)
    if not isinstance(plan, Plan):
        plan = choose(replace(problem, precision="exact"), target)
    assert isinstance(plan, Plan)  # only a kernel sums exactly
    return plan


def _ask(rules: tuple[_Rule, ...], problem: Problem, target: Target) -> tuple[list[AnyPlan], list[str]]:
    """The plans that rules offer, and why the others refuse."""
    plans, reasons = [], []
    for rule in rules:
        refusal = rule.refusal(problem, target)
        if refusal is None:
            plans.append(rule.plan(problem, target))
        else:
            reasons.append(f"{rule.algorithm}: passed over, {refusal}")
    return plans, reasons


def _cheapest(plans: list[AnyPlan], reasons: list[str]) -> AnyPlan:
    """The cheapest plan, with what became of the others besides these reasons."""
    chosen, *others = sorted(plans, key=lambda plan: plan.cycles)
    reasons = [*reasons, *(f"{plan.algorithm}: passed over, {plan.cycles:.3g} cycles by the model" for plan in others)]
    reason = f"{chosen.algorithm}: chosen, {chosen.cycles:.3g} cycles by the model"
    return replace(chosen, reasons=(reason, *chosen.reasons, *reasons))
