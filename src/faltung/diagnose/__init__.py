"""Why it failed: from a model and its data to the faults, their causes, and fixes that were tried on shapes."""

import sys
from types import ModuleType
from typing import Any

from faltung.diagnose.diagnosis import Axis, Diagnosis, Fault, Fix, Warning
from faltung.diagnose.raised import explain_errors
from faltung.diagnose.search import diagnose

__all__ = ["Axis", "Diagnosis", "Fault", "Fix", "Warning", "diagnose", "explain_errors"]


class _CallableModule(ModuleType):
    """The package and the function have one name: ft.diagnose can be called whichever of them it is."""

    def __call__(self, model: Any, data: Any = None) -> Diagnosis:
        return diagnose(model, data)


sys.modules[__name__].__class__ = _CallableModule
