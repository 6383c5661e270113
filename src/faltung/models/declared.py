"""What a model declares of its input, and the model without that."""

from dataclasses import replace

from faltung.errors import ShapeError
from faltung.models.data import Data
from faltung.models.program import Chain, ShapeProgram


def declared(program: ShapeProgram) -> Data:
    """Return the input that a model declares, as data."""
    first = program.layers[0] if program.layers else None
    if first is not None and first.kind == "input":
        return Data(tuple(first["sizes"]), program.dtype, is_declared=True)
    if first is not None and first.host == "faltung" and hasattr(first.source, "input_shape"):
        return Data(tuple(first.source.input_shape))
    if first is not None and first.host in ("torch", "keras") and isinstance(first.source, type):
        roles = first.roles() or ()
        return Data(tuple(None if role.name == "batch" else role.size or max(role.least, 64) for role in roles))
    raise ShapeError("diagnose: this model declares no input; got no data. Give the data or its shape.")


def undeclared(program: ShapeProgram, data: Data) -> ShapeProgram:
    """Return the program without the Input that the data is: what was declared is then itself what may be wrong."""
    if data.is_declared and isinstance(program, Chain) and program.layers[0].kind == "input" and not program.wires:
        return replace(program, layers=program.layers[1:])
    return program
