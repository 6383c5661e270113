"""The precision of calls that name none, for the whole process: `faltung.precision`."""

from types import TracebackType

from faltung.spec.rules import named, one_of

PRECISIONS = ("high", "exact")

_default = "high"


class precision:
    """Set the precision of everything that is not told one, in the whole process: all threads, all front-ends.

    ``precision("exact")`` stays; ``with precision("exact"):`` puts back what was before. It is read when a convolution
    is asked for, so what JAX, TensorFlow or ``torch.compile`` has traced keeps the precision of its tracing, and a
    gradient has that of its forward call. A ``precision=`` that a call, a module or a layer was given wins, and a
    ``ConvSpec`` says its own.

    Arguments:
        default: "high" or "exact"; see `faltung.conv1d`.

    Raises:
        ShapeError: if it is another word.

    >>> with precision("exact"):
    ...     in_effect(None), in_effect("high")
    ('exact', 'high')
    >>> in_effect(None)
    'high'
    """

    def __init__(self, default: str) -> None:
        global _default
        with named("precision"):
            self._before, _default = _default, one_of("default", default, PRECISIONS)

    def __enter__(self) -> None:
        """Nothing is left to do."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        global _default
        _default = self._before


def in_effect(given: str | None) -> str:
    """Return the precision that a call was given, else that of the process."""
    return _default if given is None else given


def check_precision(function: str, given: str) -> None:
    """Refuse what is no precision, where the host of a function does not get to see it."""
    if given not in PRECISIONS:  # soon seen
        with named(function):
            one_of("precision", given, PRECISIONS)
