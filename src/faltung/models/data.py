"""The data as models meet it: shape, element type, device, whose it is, and the array when there is one."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faltung.errors import ShapeError
from faltung.models.files import read
from faltung.models.layer import Shape

HOSTS = {"numpy": "numpy", "torch": "torch", "jax": "jax", "jaxlib": "jax", "tensorflow": "tensorflow"}


@dataclass(frozen=True, slots=True)
class Data:
    """What goes into a model.

    Arguments:
        shape: its sizes; None where nobody knows.
        dtype: name of the element type, None when only a shape was given.
        host: "numpy", "torch", "jax", "tensorflow", or "" for a shape alone.
        device: "cpu", "cuda:0", …
        array: the array itself, if there is one.
        is_declared: it is no data but what an Input layer promises.
        trouble: "sparse", "ragged", "text" or "complex" where no numbers can be had as they are.
    """

    shape: Shape
    dtype: str | None = None
    host: str = ""
    device: str = "cpu"
    array: Any = None
    is_declared: bool = False
    trouble: str = ""


def as_data(data: Any) -> Data:
    """Return arrays, shapes, shape texts such as "1x128x64" and files as Data.

    >>> as_data("8x1x100").shape, as_data((8, None, 3)).shape
    ((8, 1, 100), (8, None, 3))
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, str | Path):
        if isinstance(data, str) and re.fullmatch(r"\(?\s*(\d+|\?|None)(\s*[x,]\s*(\d+|\?|None))*\s*,?\s*\)?", data):
            sizes = re.findall(r"\d+|\?|None", data)
            return Data(tuple(int(size) if size.isdigit() else None for size in sizes))
        return as_data(read(Path(data)))
    if isinstance(data, tuple | list) and all(isinstance(size, int) or size is None for size in data):
        return Data(tuple(data))
    if type(data).__name__ == "KerasTensor":
        return Data(tuple(data.shape), str(data.dtype), "", is_declared=True)
    if type(data).__name__ in ("DataFrame", "Series") and hasattr(data, "to_numpy"):
        data = data.to_numpy()
    if hasattr(data, "tocsr") or "sparse" in type(data).__module__:
        return Data(tuple(data.shape), str(getattr(data, "dtype", "float32")), "numpy", array=data, trouble="sparse")
    if isinstance(data, tuple | list):
        return _from_lists(data)
    if not hasattr(data, "shape"):
        raise ShapeError(
            f"diagnose: data must be an array, a shape or a file; got {type(data).__name__}. Give x.shape."
        )
    return _from_array(data)


def _from_array(array: Any) -> Data:
    host = HOSTS.get(type(array).__module__.split(".")[0], "numpy")
    shape = tuple(None if size is None else int(size) for size in array.shape)
    dtype = str(getattr(array.dtype, "name", array.dtype)).removeprefix("torch.")
    is_sparse = "sparse" in str(getattr(array, "layout", "")) and host == "torch"
    trouble = "sparse" if is_sparse else ""
    if dtype == "object":
        trouble = "ragged"
    elif dtype.startswith(("str", "bytes", "<U", ">U", "|S", "datetime")):
        trouble = "text"
    elif dtype.startswith("complex"):
        trouble = "complex"
    device = str(getattr(array, "device", "cpu")) if host == "torch" else "cpu"
    return Data(shape, dtype, host, device, array, trouble=trouble)


def _from_lists(data: Any) -> Data:
    """Lists of numbers or of arrays; rows of different lengths stay what they are."""
    np = sys.modules["numpy"]
    try:
        return _from_array(np.asarray(data))
    except ValueError:
        return Data((len(data),), "object", "numpy", array=data, trouble="ragged")
