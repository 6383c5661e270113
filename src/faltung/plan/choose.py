"""Which algorithm: each refuses with a reason or offers a plan; the cheapest by the cost model is taken."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from faltung.errors import UnsupportedConvError
from faltung.plan.plan import Plan
from faltung.plan.runs import plan_runs
from faltung.plan.taps import plan_taps
from faltung.plan.target import Target
from faltung.spec import ConvSpec


@dataclass(frozen=True)
class Strides:
    """Strides of the input in elements, by axis: n, c and the spatial axes."""

    n: int
    c: int
    spatial: tuple[int, ...]

    @classmethod
    def of_contiguous(cls, spec: ConvSpec, channels: int, sizes: tuple[int, ...]) -> "Strides":
        """Strides of a C-contiguous array in the layout of the spec."""
        c, step = (1, channels) if spec.is_channels_last else (0, 1)
        spatial = []
        for size in reversed(sizes):
            spatial.append(step)
            step *= size
        return cls(step, c, tuple(reversed(spatial))) if c else cls(step * channels, step, tuple(reversed(spatial)))


@dataclass(frozen=True)
class _Rule:
    algorithm: str
    refusal: Callable[[ConvSpec, Strides], str | None]
    plan: Callable[[ConvSpec, Target, Strides], Plan]


def _refuse_taps(spec: ConvSpec, x: Strides) -> str | None:
    if spec.is_channels_last and spec.in_channels * spec.out_channels > 1:
        return None if (x.c, x.spatial[-1]) == (1, spec.in_channels) else "one line of the input must be contiguous"
    if x.spatial[-1] != 1:
        return "neighbours along w must lie side by side"
    return None


def _refuse_runs(spec: ConvSpec, x: Strides) -> str | None:
    if not spec.is_channels_last:
        return "the input's channels do not lie side by side"
    if (x.c, x.spatial[-1]) != (1, spec.in_channels):
        return "one line of the input must be contiguous"
    return None


def _plan_taps(spec: ConvSpec, target: Target, x: Strides) -> Plan:
    y = Strides.of_contiguous(spec, spec.out_channels, spec.out_size)
    return plan_taps(spec, target, (x.n, x.c, *x.spatial), (y.n, y.c, *y.spatial))


RULES = (
    _Rule("taps", _refuse_taps, _plan_taps),
    _Rule("runs", _refuse_runs, lambda spec, target, x: plan_runs(spec, target, (x.n, *x.spatial))),
)


def choose_plan(spec: ConvSpec, target: Target, x: Strides) -> Plan:
    """The plan that the cost model finds cheapest, with what became of the others."""
    plans, reasons = [], []
    for rule in RULES:
        refusal = rule.refusal(spec, x)
        if refusal is None:
            plans.append(rule.plan(spec, target, x))
        else:
            reasons.append(f"{rule.algorithm}: passed over, {refusal}")
    if not plans:
        raise UnsupportedConvError(f"{spec.name}: no algorithm covers {spec.to_text()}: {'; '.join(reasons)}.")
    chosen, *others = sorted(plans, key=lambda plan: plan.cycles)
    reasons += [f"{plan.algorithm}: passed over, {plan.cycles:.3g} cycles by the model" for plan in others]
    reason = f"{chosen.algorithm}: chosen, {chosen.cycles:.3g} cycles by the model"
    return replace(chosen, reasons=(reason, *chosen.reasons, *reasons))


def is_readable(spec: ConvSpec, x: Strides) -> bool:
    """Can some algorithm read an input with these strides in place?"""
    return any(rule.refusal(spec, x) is None for rule in RULES)
