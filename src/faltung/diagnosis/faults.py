"""From a refusal and the changes that mend it to the Fault that is shown: axis by axis, with cause and fixes."""

from collections.abc import Callable, Iterator
from typing import Any

from faltung.diagnosis.facts import Facts
from faltung.diagnosis.findings import Axis, Fault, Fix
from faltung.diagnosis.ranking import Ranked
from faltung.models.data import Data
from faltung.models.layer import Role, Size
from faltung.models.rearrange import Rearrange

NAMES = {"call": "refused"}
"""What a broken rule is called where no candidate mends it; the others are called as they are."""


def fault_of(facts: Facts, data: Data, ranked: tuple[Ranked, ...]) -> Fault:
    """Return the fault at the layer that refuses."""
    layer, misfit = facts.layer, facts.misfit
    fixes = tuple(_fix(facts, data, each) for each in ranked)
    best = ranked[0].candidate if ranked else None
    kind = best.kind if best else NAMES.get(misfit.rule, misfit.rule)
    cause = _sentence(best.sentence if best else f"{layer.label} {misfit.message}")
    change = best.data if best is not None and facts.is_direct else None
    axes = tuple(_axes(facts, change if isinstance(change, Rearrange) else None))
    return Fault(layer.label, kind, cause, facts.given, axes, fixes, misfit.rule)


def _fix(facts: Facts, data: Data, ranked: Ranked) -> Fix:
    candidate, trace, layer = ranked.candidate, ranked.trace, facts.layer
    edits: tuple[Callable[[Any], Any], ...] = ()
    if candidate.data is not None and not candidate.edits and not data.is_declared:
        edits = (candidate.data.apply,)
    out = trace.output_of(layer.path) if layer.path and layer.kind != "input" else None
    return Fix(
        code=ranked.code,
        target=candidate.target,
        reading=candidate.sentence,
        kind=candidate.kind,
        data_shape=candidate.applied(facts.shape, {})[0],
        output_shape=trace.output_shape if out is None else out,
        confidence=ranked.confidence,
        where=layer.label if candidate.data is None else "x",
        edits=edits,
        reaches=trace.refused is None,
    )


def _sentence(text: str) -> str:
    is_word = text.partition(" ")[0].isalpha() and text[1:2].isalpha()
    return f"{text[:1].upper() if is_word else text[:1]}{text[1:]}." if text else ""


def _axes(facts: Facts, change: Rearrange | None) -> Iterator[Axis]:
    """The axes that the layer wants beside those that came; with a reading, each under the name it has there."""
    roles, shape = facts.roles, facts.given
    if roles is None:
        return
    if change is not None and len(change.axes) == len(roles):
        for place, (role, entry) in enumerate(zip(roles, change.axes, strict=True)):
            got = "×".join(_size(shape[axis]) for axis in entry) or "missing"
            at = f" (axis {entry[0]})" if entry and entry[0] != place else ""
            yield Axis(role.name, got + at, role.wanted(), not entry or entry != (place,))
        for axis in change.dropped:
            yield Axis("too many", f"{_size(shape[axis])} (axis {axis})", "none", True)
        return
    has_no_batch = len(roles) > len(shape) and facts.layer.host == "torch" and roles[0].name == "batch"
    aligned = roles[1:] if has_no_batch else roles
    lead = tuple(Role("extra", 1) for _ in range(len(shape) - len(aligned)))
    for place, role in enumerate((*lead, *aligned)):
        got = _size(shape[place]) if place < len(shape) else "missing"
        fits = place < len(shape) and role.takes(shape[place])
        is_wrong = facts.misfit.rule in ("reflect", "declared", "groups") and place in facts.misfit.axes
        yield Axis(role.name, got, role.wanted(), not fits or is_wrong)


def _size(size: Size) -> str:
    return "?" if size is None else str(size)
