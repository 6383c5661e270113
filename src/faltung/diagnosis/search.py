"""The search: run on shapes; where a layer refuses, try every small change; keep what runs; apply the best; go on."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from faltung.diagnosis import inputs, lengths, options, silent
from faltung.diagnosis.axes import SPATIAL, readings
from faltung.diagnosis.candidate import Candidate, joined
from faltung.diagnosis.codes import line
from faltung.diagnosis.diagnosis import Axis, Diagnosis, Fault, Fix
from faltung.diagnosis.numbers import number_faults
from faltung.models.data import Data, as_data
from faltung.models.declared import declared, undeclared
from faltung.models.geometry import Misfit
from faltung.models.layer import Layer, Role, Shape
from faltung.models.program import Edit, Edits, Program, Trace
from faltung.models.readers import as_program
from faltung.models.rearrange import Rearrange

MOST_FAULTS = 8
MOST_FIXES = 5
TEMPERATURE = 0.35
"""Two fixes whose costs differ by this much stand as e to 1."""


def diagnose(model: Any, data: Any = None) -> Diagnosis:
    """Return what is wrong between a model and its data, why, and what to change; every fix was run on shapes.

    Arguments:
        model: a Keras layer or model (built or not) or a list of layers, a PyTorch module, a ConvSpec or its text, an
            ONNX model or session, or functools.partial of a convolution function with its kernel, or of a layer class.
        data: an array of any framework, a shape such as (8, 128, 64), its text "8x128x64", or a file (.npy, .npz, .csv,
            .wav, an image). Default: what the model declares of its input.

    Returns:
        Diagnosis: empty (false) where nothing is wrong.

    Raises:
        ShapeError: if the model or the data are nothing that it can read.

    >>> diagnose("conv1d n8 w100 ic16 oc32 kw7", (100, 16)).faults[0].fixes[0].code
    'x = x[None]'
    """
    program = as_program(model)
    given = as_data(data) if data is not None else declared(program)
    return examine(undeclared(program, given), given)


def examine(program: Program, given: Data) -> Diagnosis:
    """Return the diagnosis of a program with its data."""
    numbers, data = number_faults(program, given)
    faults = list(numbers)
    edits: Edits = {}
    shape = data.shape
    seen: set[tuple[str, str]] = set()
    trace = program.run(shape, edits)
    while trace.refused is not None and len(faults) < MOST_FAULTS:
        fault, best = _mend(program, data, shape, edits, trace)
        faults.append(fault)
        key = (fault.where, trace.misfit.rule if trace.misfit else "")
        if best is None or key in seen:
            break
        seen.add(key)
        shape, edits = _applied(best, shape, edits)
        trace = program.run(shape, edits)
    if len(faults) > 1:  # mending the numbers alone does not make it run
        fixed = (replace(fault, fixes=tuple(replace(fix, reaches=False) for fix in fault.fixes)) for fault in numbers)
        faults[: len(numbers)] = fixed
    warnings = silent.warnings(program, data, trace, edits, bool(faults))
    return Diagnosis(program.name, given.shape, tuple(faults), tuple(warnings), trace.output_shape)


def _applied(candidate: Candidate, shape: Shape, edits: Edits) -> tuple[Shape, Edits]:
    new = candidate.data.shape(shape) if candidate.data is not None else shape
    return new, joined(edits, candidate.edits)


def _mend(program: Program, data: Data, shape: Shape, edits: Edits, trace: Trace) -> tuple[Fault, Candidate | None]:
    """Return the fault at the layer that refuses, and the best change."""
    trace = replace(trace, data_shape=shape)
    running: dict[str, tuple[float, Candidate, Trace, str]] = {}
    for candidate in _candidates(program, data, trace, shape, edits):
        code = _code(program, data, candidate, trace)
        cost = candidate.cost
        if code in running and running[code][0] <= cost:
            continue
        new_shape, new_edits = _applied(candidate, shape, edits)
        if (new_shape, new_edits) == (shape, edits):
            continue
        ran = program.run(new_shape, new_edits)
        if not lengths.beyond(ran, trace):
            continue
        if ran.refused is not None:  # it would bite again later: other readings go first
            cost += 0.5
            is_redeclared = trace.refused is not None and trace.refused.kind == "input" and bool(candidate.edits)
            if is_redeclared and ran.misfit is not None and ran.misfit.rule == "axes":
                continue
        if 0 in (ran.output_shape or ()):
            cost += 1.0
        if _makes(candidate, program):
            running[code] = (cost, candidate, ran, code)
    ranked = sorted(running.values(), key=lambda entry: entry[0])
    ranked = [entry for entry in ranked if entry[0] <= ranked[0][0] + 1.6][:MOST_FIXES]
    return _fault(data, shape, trace, ranked), ranked[0][1] if ranked else None


def _makes(candidate: Candidate, program: Program) -> bool:
    """Whether the host framework accepts the changed layers, which it is asked to make."""
    from faltung.models.readers import keras

    for layer in candidate.changed:
        if layer.host == "keras" and layer.kind in ("conv", "conv_transpose", "pool") and not layer["call"]:
            try:
                keras.build(layer)
            except (ValueError, TypeError):
                return False
        if layer.host == "faltung" and not layer["call"]:
            try:
                line(layer)
            except ValueError:
                return False
    return True


def _candidates(program: Program, data: Data, trace: Trace, shape: Shape, edits: Edits) -> Iterable[Candidate]:
    layer, misfit = trace.refused, trace.misfit
    assert layer is not None and misfit is not None
    if misfit.rule not in ("groups", "output_padding", "same with stride", "stride with dilation", "kernel rank"):
        yield from _rearrangements(program, trace, shape, data)
    if layer.kind == "input":
        yield from inputs.candidates(program, trace, shape)
    if (
        layer.kind == "conv"
        and misfit.rule == "groups"
        and layer["in_channels"] is None
        and len(shape) == layer.rank + 2
    ):
        channels = trace.shape[1 if layer.is_first else -1]
        if channels is not None and layer["out_channels"] % layer["groups"] == 0:
            yield from options.groups_of_input(layer, channels)
    yield from options.candidates(trace)
    yield from lengths.candidates(program, trace, shape, edits)
    yield from inputs.resized(program, trace, shape)


def _rearrangements(program: Program, trace: Trace, shape: Shape, data: Data) -> Iterable[Candidate]:
    """Readings of what the layer was given: of the data, or of what comes out of the layers before it."""
    layer = trace.refused
    assert layer is not None
    roles = layer.roles()
    if trace.is_direct and roles:
        for reading in readings(inputs.naming(program, layer), roles, shape):
            yield Candidate(reading.cost, reading.kind, reading.sentence, reading.rearrange)
        return
    if roles and layer.kind not in ("linear", "pool", "global_pool") and layer.host != "onnx":
        for reading in readings(layer, roles, trace.shape):
            if reading.rearrange.axes[0] != (0,):  # what comes out of layers has its batch where it belongs
                continue
            edits = {layer.path: Edit(reading.rearrange)}
            yield Candidate(reading.cost + 0.6, reading.kind, reading.sentence, edits=edits)
    first = next((each for each in program.layers if each.roles()), None)
    if first is not None and trace.steps:
        wanted = first.roles() or ()
        for reading in readings(inputs.naming(program, first), wanted, shape):
            if reading.rearrange.axes[0] not in ((0,), ()):
                continue
            if len(reading.rearrange.axes) >= len(shape) or reading.rearrange.is_moved:
                cost = reading.cost + 0.4 * (len(reading.rearrange.axes) == len(shape))  # it got this far as it is
                yield Candidate(cost, reading.kind, reading.sentence, reading.rearrange)
    is_first = next((each for each in program.layers if each.kind != "input"), layer)
    if first is None or layer.kind == "other" or is_first.kind == "embedding" or not trace.steps:
        yield from _blind(shape)


def _blind(shape: Shape) -> Iterable[Candidate]:
    """Where nothing is known of a model: one axis more, one less, or two exchanged."""
    rank = len(shape)
    own = [(axis,) for axis in range(rank)]
    for axis in range(rank + 1 if rank else 0):
        change = Rearrange((*own[:axis], (), *own[axis:]), rank)
        yield Candidate(1.5 + 0.1 * axis, "missing axis", f"an axis is missing at {axis}", change)
    for axis in range(rank):
        if shape[axis] == 1:
            change = Rearrange((*own[:axis], *own[axis + 1 :]), rank)
            yield Candidate(1.0, "axis too many", f"axis {axis} of size 1 is one too many", change)
    for axis in range(1, rank - 1):
        for other in range(axis + 1, rank):
            swapped = list(own)
            swapped[axis], swapped[other] = swapped[other], swapped[axis]
            sentence = f"axes {axis} and {other} are in each other's place"
            yield Candidate(1.8, "axes swapped", sentence, Rearrange(tuple(swapped), rank))


def _code(program: Program, data: Data, candidate: Candidate, trace: Trace) -> str:
    """The line of a candidate in the user's framework."""
    if candidate.code:
        more = [line(layer) for layer in candidate.changed]
        return "; ".join([candidate.code, *more])
    parts = []
    host = data.host or {"torch": "torch", "tensorflow": "tensorflow"}.get(program.host, "numpy")
    if candidate.data is not None:
        if data.is_declared:
            parts.append(inputs.declaration(candidate.data.shape(data.shape)))
        else:
            parts.append(candidate.data.code(host))
    for path, edit in candidate.edits.items():
        if edit.before is not None:
            where = trace.refused.label if trace.refused else path
            parts.append(f"{edit.before.code(host)}  # before {where}")
    parts += [line(layer) for layer in candidate.changed]
    return "; ".join(dict.fromkeys(parts))


def _fault(data: Data, shape: Shape, trace: Trace, ranked: list[tuple[float, Candidate, Trace, str]]) -> Fault:
    layer, misfit = trace.refused, trace.misfit
    assert layer is not None and misfit is not None
    weights = [math.exp(-cost / TEMPERATURE) for cost, *_ in ranked]
    total = sum(weights) + math.exp(-3.0 / TEMPERATURE)
    fixes = []
    for weight, (_, candidate, ran, code) in zip(weights, ranked, strict=True):
        new_shape, _ = _applied(candidate, shape, {})
        edits: tuple[Callable[[Any], Any], ...] = ()
        if candidate.data is not None and not candidate.edits and not data.is_declared:
            edits = (candidate.data.apply,)
        out = ran.output_of(layer.path) if layer.path and layer.kind != "input" else None
        out = ran.output_shape if out is None else out
        where = layer.label if candidate.data is None else "x"
        fix = Fix(
            code,
            candidate.target,
            candidate.sentence,
            candidate.kind,
            new_shape,
            out,
            weight / total,
            where,
            edits,
            ran.refused is None,
        )
        fixes.append(fix)
    best = ranked[0][1] if ranked else None
    kind = best.kind if best else {"call": "refused", "declared": "declared"}.get(misfit.rule, misfit.rule)
    sentence = _sentence(best.sentence) if best else _sentence(f"{layer.label} {misfit.message}")
    change = best.data if best is not None and trace.is_direct else None
    axes = tuple(_axes(layer, trace.shape, misfit, change if isinstance(change, Rearrange) else None))
    return Fault(layer.label, kind, sentence, trace.shape, axes, tuple(fixes), misfit.rule)


def _sentence(text: str) -> str:
    is_word = text.partition(" ")[0].isalpha() and text[1:2].isalpha()
    return f"{text[:1].upper() if is_word else text[:1]}{text[1:]}." if text else ""


def _axes(layer: Layer, shape: Shape, misfit: Misfit, change: Rearrange | None) -> Iterable[Axis]:
    """The axes that the layer wants beside those that came; with a reading, each under the name it has there."""
    roles = layer.roles()
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
    aligned = (
        roles
        if len(roles) <= len(shape)
        else roles[1:]
        if layer.host == "torch" and roles[0].name == "batch"
        else roles
    )
    lead = tuple(Role("extra", 1) for _ in range(len(shape) - len(aligned)))
    for place, role in enumerate((*lead, *aligned)):
        got = _size(shape[place]) if place < len(shape) else "missing"
        fits = place < len(shape) and role.takes(shape[place])
        is_short = misfit.rule in ("reflect", "declared", "groups") and place in misfit.axes
        yield Axis(role.name, got, role.wanted(), not fits or is_short)


def _size(size: int | None) -> str:
    return "?" if size is None else str(size)


__all__ = ["SPATIAL", "diagnose", "examine"]
