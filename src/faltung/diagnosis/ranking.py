"""Which candidates run, how much each costs, and how likely it is what was meant."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from faltung.diagnosis import costs
from faltung.diagnosis.candidate import Candidate
from faltung.diagnosis.codes import can_be_made, declaration, line
from faltung.diagnosis.facts import Facts
from faltung.models.data import Data
from faltung.models.program import ShapeProgram, Trace

MOST_FIXES = 5


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate that runs: its cost, the run with it, its line of code, and its share of the likelihood."""

    cost: float
    candidate: Candidate
    trace: Trace
    code: str
    confidence: float = 0.0


def ranked(program: ShapeProgram, data: Data, facts: Facts, candidates: Iterable[Candidate]) -> tuple[Ranked, ...]:
    """Return the candidates that get past the refusing layer, the likeliest first; of each line the cheapest."""
    running: dict[str, Ranked] = {}
    for candidate in candidates:
        code = _code(program, data, candidate, facts)
        if code in running and running[code].cost <= candidate.cost:
            continue
        trace = _run(program, candidate, facts)
        if trace is not None and all(can_be_made(layer) for layer in candidate.changed):
            running[code] = Ranked(_cost(candidate, trace), candidate, trace, code)
    best = sorted(running.values(), key=lambda each: each.cost)
    return _with_confidences([each for each in best if each.cost <= best[0].cost + costs.WORTH_SAYING][:MOST_FIXES])


def _run(program: ShapeProgram, candidate: Candidate, facts: Facts) -> Trace | None:
    """The run with a candidate; None where it changes nothing or does not get past the layer."""
    shape, edits = candidate.applied(facts.shape, facts.edits)
    if (shape, edits) == (facts.shape, facts.edits):
        return None
    trace = program.run(shape, edits)
    is_redeclared = facts.layer.kind == "input" and bool(candidate.edits)
    if is_redeclared and trace.misfit is not None and trace.misfit.rule == "axes":
        return None
    return trace if trace.is_beyond(facts.trace) else None


def _cost(candidate: Candidate, trace: Trace) -> float:
    """What a candidate costs once it has run: one that is refused later would bite again."""
    cost = candidate.cost
    if trace.refused is not None:
        cost += costs.REFUSED_LATER
    if 0 in (trace.output_shape or ()):
        cost += costs.EMPTY_RESULT
    return cost


def _with_confidences(best: list[Ranked]) -> tuple[Ranked, ...]:
    weights = [math.exp(-each.cost / costs.TEMPERATURE) for each in best]
    total = sum(weights) + math.exp(-costs.SOMETHING_ELSE / costs.TEMPERATURE)
    rows = zip(best, weights, strict=True)
    return tuple(Ranked(one.cost, one.candidate, one.trace, one.code, weight / total) for one, weight in rows)


def _code(program: ShapeProgram, data: Data, candidate: Candidate, facts: Facts) -> str:
    """The line of a candidate in the user's framework."""
    made = [line(layer) for layer in candidate.changed]
    if candidate.code:
        return "; ".join([candidate.code, *made])
    parts = []
    host = data.host or {"torch": "torch", "tensorflow": "tensorflow"}.get(program.host, "numpy")
    if candidate.data is not None and data.is_declared:
        parts.append(declaration(candidate.data.shape(data.shape)))
    elif candidate.data is not None:
        parts.append(candidate.data.code(host))
    for edit in candidate.edits.values():
        if edit.before is not None:
            parts.append(f"{edit.before.code(host)}  # before {facts.layer.label}")
    return "; ".join(dict.fromkeys([*parts, *made]))
