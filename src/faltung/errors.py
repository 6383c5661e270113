"""The errors of faltung: a wrong request, a right one that nothing covers, and a bug of our own."""


class FaltungError(Exception):
    """Base of every error that faltung raises on purpose."""


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
