"""See it: a page that shows the kernel sliding over your own data, and a model's receptive field traced back."""

import sys
from types import ModuleType
from typing import Any

from faltung.show.page import Page
from faltung.show.shown import show

__all__ = ["Page", "show"]


class _CallableModule(ModuleType):
    """The package and the function have one name: ft.show can be called whichever of them it is."""

    def __call__(self, layer: Any, data: Any = None, path: Any = "page.html", **options: Any) -> Page:
        return show(layer, data, path, **options)


sys.modules[__name__].__class__ = _CallableModule
