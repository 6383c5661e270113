"""The diagnosis of an error of our own, from the call that it carries."""

import contextlib
from typing import Any

from faltung.diagnosis.diagnosis import Diagnosis
from faltung.diagnosis.findings import Fault
from faltung.diagnosis.search import examine
from faltung.errors import FaltungError
from faltung.models.data import Data
from faltung.models.readers.calls import of_call


def of_error(error: FaltungError) -> Diagnosis:
    """Return what the call's shapes show; where they show nothing, the error's own sentence as the one fault."""
    request = dict(error.request or {})
    name, _, rest = str(error).partition(": ")
    if "x" in request and "kernel" in request:
        found = _of_call(request)
        if found is not None and not found.ok:
            return found
    shape = request["x"][0] if "x" in request else ()
    return Diagnosis(name, shape, (Fault(name, "refused", rest or str(error), shape, (), (), "call"),))


def _of_call(request: dict[str, Any]) -> Diagnosis | None:
    (shape, dtype), (kernel_shape, kernel_dtype) = request.pop("x"), request.pop("kernel")
    name, host, _ = str(request.pop("function")), request.pop("host", "faltung"), request.pop("rank", None)
    said = {key: value for key, value in request.items() if value is not None}
    with contextlib.suppress(Exception):  # options so wrong that no layer can be drawn from them
        program = of_call(host, name, tuple(kernel_shape), said, kernel_dtype)
        return examine(program, Data(tuple(shape), dtype, "numpy"))
    return None
