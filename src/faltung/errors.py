"""The errors of faltung: a wrong request, a right one that nothing covers, and a bug of our own."""

from collections.abc import Callable
from typing import Any


class FaltungError(Exception):
    """Base of every error that faltung raises on purpose."""

    request: dict[str, Any] | None = None
    """The call that was refused, by the names of its arguments, where the error knows it."""

    found: Any = None

    @property
    def diagnosis(self) -> Any:
        """The Diagnosis: what was expected axis by axis, the cause, and fixes that run; made when it is asked for."""
        if self.found is None and explain_error is not None:
            self.found = explain_error(self)
        return self.found


class ShapeError(FaltungError, ValueError):
    """A wrong request: sizes, axes or options that do not fit together."""


class DtypeError(FaltungError, TypeError):
    """A wrong request: an element type that faltung does not compute with."""


class ModelError(FaltungError, TypeError):
    """A wrong request: something that is not a model of a framework that faltung knows."""


class UnsupportedConvError(FaltungError, NotImplementedError):
    """A right request that no algorithm covers; the message lists each refusal."""


class CodegenError(FaltungError, RuntimeError):
    """A bug of faltung's own; the message carries the spec text to report."""


class OutOfMemoryError(FaltungError, MemoryError):
    """The system gave no memory, or no more mappings of memory; nothing is broken by it."""


explain_error: Callable[[FaltungError], object] | None = None
"""What explains an error; the public package sets it, since no error knows who that is."""
