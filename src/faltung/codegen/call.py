"""What a task is handed: the arrays of one call, and the numbers of its plan."""

from typing import TypeVar

from faltung.codegen.emitter import Emitter, Value
from faltung.plan.parameters import filled

P = TypeVar("P")
FIELDS = ("x", "kernel", "bias", "y", "workspace", "parameters", "extra")
"""The fields of a call's record, in order; all are pointers. `extra` is a fourth input, which only the jobs of a
network have: a call that is launched has null there."""


class Call:
    """The record of a call, seen from inside a program."""

    def __init__(self, e: Emitter, pointer: Value) -> None:
        self._e, fields = e, e.fields(pointer)
        self.x, self.kernel, self.bias, self.y, self.workspace, self._parameters, self.extra = (
            fields.pointer_at(n, name) for n, name in enumerate(FIELDS)
        )

    def read(self, kind: type[P]) -> P:
        """The plan's numbers as an instance of the algorithm's parameter class; what is not used costs nothing."""
        fields = self._e.fields(self._parameters)
        return filled(kind, fields.field)
