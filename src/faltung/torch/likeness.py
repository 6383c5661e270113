"""Our modules' classes pass for PyTorch's in other people's tables and rules.

Whoever treats layers by class keeps a table of classes (quantisation, the fusing of layers, counters of operations, a
user's `if type(module) == nn.Conv1d`) or asks where a class lives (tracers keep whole what lives in torch.nn). So a
class of ours equals the one that it stands for, and a module of ours says that it lives in torch.nn. Classes that
users derive from ours are their own, as those that they derive from PyTorch's are.
"""

from typing import Any

from torch import nn


class Likeness(type):
    """The metaclass of our modules; a class that names its `stock` equals that one."""

    def __new__(metaclass, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> "Likeness":
        """Make a class; one with a `stock` gets a home that differs for the class and for its modules."""
        if "stock" in body:
            body["__module__"] = Home(body["__module__"], body["stock"].__module__)
        return super().__new__(metaclass, name, bases, body)

    def __eq__(cls, other: object) -> bool:
        return isinstance(other, type) and _stands_for(cls) is _stands_for(other)

    def __hash__(cls) -> int:
        return type.__hash__(_stands_for(cls))


def _stands_for(kind: type) -> type:
    return vars(kind).get("stock", kind)


def unparametrized(module: nn.Module) -> type[nn.Module]:
    """Return the module's class as it was before `torch.nn.utils.parametrize` made one for it alone."""
    kind = type(module)
    return kind.__bases__[0] if nn.utils.parametrize.is_parametrized(module) else kind


def change_class(module: nn.Module, kind: type[nn.Module]) -> None:
    """Give a module this class; one made for it alone is made anew, with what it defines itself."""
    before = type(module)
    if before is not unparametrized(module):
        own = {name: value for name, value in vars(before).items() if name not in ("__dict__", "__weakref__")}
        metaclass: Any = type(kind)
        kind = metaclass(before.__name__, (kind,), own)
    module.__class__ = kind


class Home(str):
    """The `__module__` of a class: of the class its own file, as pickle wants it, of a module that of `stock`."""

    stock: str

    def __new__(cls, own: str, stock: str) -> "Home":
        """Make it of the names of both files."""
        home = super().__new__(cls, own)
        home.stock = stock
        return home

    def __get__(self, module: object, kind: type) -> str:
        return self if module is None else self.stock

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)
