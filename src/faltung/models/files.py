"""Data files: .npy, .npz, .csv, .wav and, through Pillow, images."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faltung.errors import ShapeError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def read(path: Path) -> NDArray[Any]:
    """Return the array in a file: a recording is (steps, channels), a table (rows, columns), an image (H, W, C)."""
    readers = {".npy": _npy, ".npz": _npz, ".csv": _csv, ".txt": _csv, ".tsv": _csv, ".wav": _wav}
    reader = readers.get(path.suffix.lower(), _image if path.suffix.lower() in IMAGES else None)
    if reader is None:
        kinds = ", ".join((*readers, *IMAGES))
        raise ShapeError(f"diagnose: data must be a shape such as 1x128x64 or a file of {kinds}; got {str(path)!r}.")
    if not path.exists():
        raise ShapeError(f"diagnose: the data file must exist; got {str(path)!r}. Check the path.")
    try:
        return reader(path)
    except (OSError, ValueError, EOFError, wave.Error) as error:
        raise ShapeError(f"diagnose: the data file must be readable; got {str(path)!r}: {error}.") from error


def _npy(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    return array


def _npz(path: Path) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as arrays:
        names = [name for name in ("x", "X", "data", "x_train", "X_train") if name in arrays] or list(arrays)
        if not names:
            raise ValueError("it has no arrays")
        if len(names) > 1 and names == list(arrays):
            names = sorted(names, key=lambda name: -arrays[name].size)
        array: NDArray[Any] = arrays[names[0]]
        return array


def _csv(path: Path) -> NDArray[Any]:
    """A table of numbers; one line of column names is left out."""
    with path.open(encoding="utf-8") as file:
        first = file.readline()
    delimiter = next((mark for mark in ("\t", ";", ",") if mark in first), None)
    words = [word.strip() for word in first.split(delimiter)]
    has_names = any(not _is_number(word) for word in words)
    table: NDArray[Any] = np.loadtxt(path, delimiter=delimiter, skiprows=int(has_names), dtype=np.float64, ndmin=2)
    return table[:, 0] if table.shape[1] == 1 else table


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _wav(path: Path) -> NDArray[Any]:
    """Samples between -1 and 1; one channel gives (steps,)."""
    with wave.open(str(path)) as file:
        raw, width, channels = file.readframes(file.getnframes()), file.getsampwidth(), file.getnchannels()
    if width == 3:  # 24 bits: put each sample into the upper bytes of 32
        bytes_ = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        padded = np.zeros((len(bytes_), 4), np.uint8)
        padded[:, 1:] = bytes_
        samples: NDArray[np.floating[Any]] = padded.view("<i4")[:, 0] / 2.0**31
    elif width == 1:
        samples = (np.frombuffer(raw, np.uint8) - 128.0) / 128.0
    else:
        samples = np.frombuffer(raw, f"<i{width}") / 2.0 ** (8 * width - 1)
    short = samples.astype(np.float32)
    return short.reshape(-1, channels) if channels > 1 else short


def _image(path: Path) -> NDArray[Any]:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise ShapeError("diagnose: reading images needs Pillow; got none. Use pip install pillow.") from None
    with Image.open(path) as image:
        return np.asarray(image)
