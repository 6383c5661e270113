"""The variables of a Keras model: their numbers in NumPy, and whether any of them has changed since the last look.

All constants of a model share one version, since all of a network's weights are made again when one has changed, and
one look at everything costs less than a look for each. Nothing is hooked: what a backend changes by itself, in a
compiled training step too, is seen.
"""

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any

import keras
import numpy as np

from faltung.graph.graph import Array


def numbers(value: Any) -> Array:
    """A variable or tensor as it is now, in memory that no later change reaches."""
    return np.array(keras.ops.convert_to_numpy(value))


class Watch:
    """Counts the changes of some variables."""

    def __init__(self) -> None:
        self.variables: dict[int, Any] = {}
        self._count = 0
        self._held: Any = None
        self._before: Any = None
        self._look: Callable[[], tuple[Any, Any]] = {
            "torch": self._torch,
            "tensorflow": self._tensorflow,
        }.get(keras.backend.backend(), self._identities)

    def add(self, variable: Any) -> None:
        """Watch one more."""
        self.variables.setdefault(id(variable), variable)

    def version(self) -> Hashable:
        """A number that is another as soon as any of the variables is."""
        now, held = self._look()
        if now != self._before:
            self._before, self._held = now, held
            self._count += 1
        return self._count

    # Each look gives what is compared, and what must live until the next look so that nothing new takes its identity.

    def _identities(self) -> tuple[Any, Any]:
        """JAX and NumPy: a variable that is assigned to holds another array."""
        held = list(map(_VALUE, self.variables.values()))
        return list(map(id, held)), held

    def _torch(self) -> tuple[Any, Any]:
        """PyTorch counts what is written in place, by optimisers too; what goes through `.data` is not noticed."""
        held = list(map(_VALUE, self.variables.values()))
        try:
            return [*map(id, held), *map(_VERSION, held)], held
        except RuntimeError:  # tensors made in inference mode have no count
            return list(map(id, held)), held

    def _tensorflow(self) -> tuple[Any, Any]:
        """TensorFlow changes a variable in place only while nobody reads it.

        A tensor that was read, and is kept, makes every change, in a graph too, move the variable to other memory.
        """
        held = [value._numpy() for value in _read_together([each._value for each in self.variables.values()])]
        return [array.ctypes.data for array in held], held


_VALUE, _VERSION = attrgetter("_value"), attrgetter("_version")


def _read_together(variables: list[Any]) -> list[Any]:
    """What TensorFlow's variables hold now, without a copy, in one call: one for each would take five times as long."""
    from tensorflow.python.eager import context, execute

    if not variables:
        return []
    handles = [variable.handle for variable in variables]
    types = [variable.dtype.as_datatype_enum for variable in variables]
    attributes = ("N", len(handles), "dtypes", types)
    found: list[Any] = execute.execute(b"_ReadVariablesOp", len(handles), handles, attributes, context.context())
    return found
