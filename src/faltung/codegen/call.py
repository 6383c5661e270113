"""What a piece of work is handed: the arrays of one call, and the numbers of its plan."""

from faltung.codegen.emitter import Buffer, Emitter, Value

WORDS = ("x", "kernel", "bias", "y", "workspace", "parameters")
"""The words of a call block, in order; all are pointers."""


class Call:
    """The call block seen from inside a kernel."""

    def __init__(self, e: Emitter, pointer: Value) -> None:
        words = e.words(pointer)
        self.x, self.kernel, self.bias, self.y, self.workspace, self.parameters = (
            words.pointer_at(n, name) for n, name in enumerate(WORDS)
        )

    def parameter(self, e: Emitter, name: str, names: tuple[str, ...]) -> Value:
        """One of the plan's numbers, where no other is asked for."""
        return e.words(self.parameters).word(names.index(name), name)


class Parameters:
    """The plan's numbers by name, loaded where they are first asked for at the top of a kernel."""

    def __init__(self, e: Emitter, pointer: Value, names: tuple[str, ...]) -> None:
        words: Buffer = e.words(pointer)
        self._values = {name: words.word(n, name) for n, name in enumerate(names)}

    def __getattr__(self, name: str) -> Value:
        return self._values[name]
