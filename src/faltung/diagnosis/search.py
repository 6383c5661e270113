"""The search: run on shapes; where a layer refuses, gather facts, try candidates, rank them; apply the best; go on."""

from dataclasses import replace
from typing import Any

from faltung.diagnosis import silent
from faltung.diagnosis.candidates import candidates
from faltung.diagnosis.diagnosis import Diagnosis
from faltung.diagnosis.facts import facts_of
from faltung.diagnosis.faults import fault_of
from faltung.diagnosis.numbers import number_faults
from faltung.diagnosis.ranking import ranked
from faltung.models.data import Data, as_data
from faltung.models.declared import declared, undeclared
from faltung.models.program import Edits, ShapeProgram
from faltung.models.reading import as_program

MOST_FAULTS = 8


def diagnose(model: Any, data: Any = None) -> Diagnosis:
    """Return what is wrong between a model and its data, why, and what to change; every fix was run on shapes.

    Arguments:
        model: a Keras layer or model (built or not) or a list of layers, a PyTorch module, a ConvSpec or its text, an
            ONNX model or session, a compiled network, or functools.partial of a convolution function with its kernel,
            or of a layer class.
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


def examine(program: ShapeProgram, given: Data) -> Diagnosis:
    """Return the diagnosis of a program with its data."""
    numbers, data = number_faults(program, given)
    faults = list(numbers)
    edits: Edits = {}
    shape = data.shape
    seen: set[tuple[str, str]] = set()
    trace = program.run(shape, edits)
    while trace.refused is not None and len(faults) < MOST_FAULTS:
        facts = facts_of(program, shape, edits, trace)
        fixes = ranked(program, data, facts, candidates(facts))
        fault = fault_of(facts, data, fixes)
        faults.append(fault)
        if not fixes or (fault.where, fault.rule) in seen:
            break
        seen.add((fault.where, fault.rule))
        shape, edits = fixes[0].candidate.applied(shape, edits)
        trace = program.run(shape, edits)
    if len(faults) > 1:  # mending the numbers alone does not make it run
        fixed = (replace(fault, fixes=tuple(replace(fix, reaches=False) for fix in fault.fixes)) for fault in numbers)
        faults[: len(numbers)] = fixed
    warnings = silent.warnings(program, data, trace, edits, bool(faults))
    return Diagnosis(program.name, given.shape, tuple(faults), tuple(warnings), trace.output_shape)
