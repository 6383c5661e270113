"""Models named on the command line: a .keras or .onnx file, an object in a Python module or file, or a spec's text."""

import sys
from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from typing import Any

from faltung.errors import ShapeError
from faltung.spec import ConvSpec


def load(name: str) -> Any:
    """Return the model that a word on the command line means."""
    path = Path(name)
    if path.suffix in (".keras", ".h5"):
        keras = _needs("keras", path)
        return _read(path, lambda: keras.saving.load_model(path, compile=False))
    if path.suffix == ".onnx":
        onnx = _needs("onnx", path)
        return _read(path, lambda: onnx.load(path))
    if ":" in name and not name.startswith("conv"):
        return _from_module(name)
    return ConvSpec.from_text(name)


def _needs(package: str, path: Path) -> Any:
    if not path.exists():
        raise ShapeError(f"doctor: the model file must exist; got {str(path)!r}. Check the path.")
    try:
        return import_module(package)
    except ModuleNotFoundError:
        raise ShapeError(f"doctor: reading {path.name} needs {package}; got none. Use pip install {package}.") from None


def _read(path: Path, load: Callable[[], Any]) -> Any:
    """What is in a model file; of what its library says against it, the cause in one line."""
    try:
        return load()
    except Exception as error:  # a library raises whatever its parts do
        lines = str(error).split("Exception encountered: ")[-1].strip().splitlines() or [type(error).__name__]
        cause = lines[0].split(". Full object config")[0].rstrip(".")
        raise ShapeError(f"doctor: the model file must be readable; got {str(path)!r}: {cause[:300]}.") from error


def _from_module(name: str) -> Any:
    """The object; a class or function without arguments is called."""
    where, _, attribute = name.rpartition(":")
    if where.endswith(".py"):
        if not Path(where).exists():
            raise ShapeError(f"doctor: the file must exist; got {where!r}. Check the path.")
        spec = util.spec_from_file_location(Path(where).stem, where)
        assert spec is not None and spec.loader is not None  # a .py file that exists has a loader
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, str(Path.cwd()))
        try:
            module = import_module(where)
        except ModuleNotFoundError as error:
            raise ShapeError(f"doctor: module:object must name a module; got {where!r}: {error}.") from error
        finally:
            sys.path.remove(str(Path.cwd()))
    found: Any = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise ShapeError(f"doctor: module:object must name an object; {where!r} has no {part!r}. Check the name.")
        found = getattr(found, part)
    return found() if isinstance(found, type) or type(found).__name__ == "function" else found
