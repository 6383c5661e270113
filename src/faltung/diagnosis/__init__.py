"""Why it failed: from a model and its data to the faults, their causes, and fixes that were tried on shapes."""

from faltung.diagnosis.diagnosis import Diagnosis
from faltung.diagnosis.findings import Axis, Fault, Fix, Warning
from faltung.diagnosis.raised import explain_errors
from faltung.diagnosis.search import diagnose

__all__ = ["Axis", "Diagnosis", "Fault", "Fix", "Warning", "diagnose", "explain_errors"]
