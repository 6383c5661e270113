"""Models that were saved with our Keras layers load wherever `import faltung` was said, before Keras or after it.

Keras finds a layer of others by the name that it was registered under. Under the names of ours stand classes that do
no more than import `faltung.keras` when a model needs one; who never loads such a model pays for none of it. Where
Keras is not there yet, a finder of modules waits for it, and lets Python find it as ever.
"""

import sys
from importlib import import_module, util
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

LAYERS = (
    *("Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    *("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
)
"""The layers of faltung.keras, by the names that Keras saves after "faltung>"."""


def make_known() -> None:
    """Let Keras find our layers by name, now if it is loaded, else once it is."""
    keras = sys.modules.get("keras")
    if hasattr(keras, "saving"):
        _register(keras)
    elif not any(isinstance(finder, _WaitsForKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WaitsForKeras())


def _register(keras: Any) -> None:
    known = keras.saving.get_custom_objects()
    for name in LAYERS:
        known.setdefault(f"faltung>{name}", _stand_in(name))


def _stand_in(name: str) -> type:
    """A class from which Keras gets the layer itself."""

    def from_config(config: dict[str, Any]) -> Any:
        return getattr(import_module("faltung.keras"), name).from_config(config)

    return type(name, (), {"from_config": staticmethod(from_config), "__doc__": f"Makes a faltung.keras.{name}."})


class _WaitsForKeras:
    """Finds Keras as the other finders do, and has it run `_register` when it is loaded."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        spec = util.find_spec("keras")
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegisters(spec.loader)  # type: ignore[assignment]  # it quacks as one
        return spec


class _ThenRegisters:
    """Loads a module by its own loader, whose every other word it passes on."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        if hasattr(module, "saving"):
            _register(module)
