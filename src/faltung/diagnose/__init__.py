"""Why it failed: from a layer or model and its data to the faults, their causes, and fixes that were tried on shapes."""

from faltung.diagnose.diagnosis import Axis, Diagnosis, Fault, Fix, Warning
from faltung.diagnose.explain_errors import explain_errors
from faltung.diagnose.search import diagnose

__all__ = ["Axis", "Diagnosis", "Fault", "Fix", "Warning", "diagnose", "explain_errors"]
