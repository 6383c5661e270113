"""Data files and containers: what they hold becomes an array, and what cannot be read is said in one line."""

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame
from PIL import Image
from scipy.sparse import csr_matrix

import faltung as ft
from faltung.models.data import as_data
from faltung.models.files import read


def test_npy_npz_csv(tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(4, 3)
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "a.npz", y=np.zeros(2), x=x)
    (tmp_path / "a.csv").write_text("a,b,c\n" + "\n".join(",".join(map(str, row)) for row in x))
    (tmp_path / "b.csv").write_text("\n".join(map(str, x[:, 0])))
    for name in ("a.npy", "a.npz", "a.csv"):
        np.testing.assert_array_equal(read(tmp_path / name), x)
    assert read(tmp_path / "b.csv").shape == (4,)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav(tmp_path: Path, width: int, channels: int) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(8000)
        half = {1: b"\xc0", 2: b"\x00\x40", 3: b"\x00\x00\x40", 4: b"\x00\x00\x00\x40"}[width]
        file.writeframes(half * 50 * channels)
    x = read(tmp_path / "a.wav")
    assert x.shape == ((50, 2) if channels == 2 else (50,))
    np.testing.assert_allclose(x, 0.5)


def test_image(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    assert as_data(str(tmp_path / "a.png")).shape == (10, 20, 3)


@pytest.mark.parametrize("name", ["missing.npy", "a.xyz", "broken.npy"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.npy").write_bytes(b"no")
    with pytest.raises(ft.ShapeError, match=r"^diagnose: .*got .*"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "text, shape",
    [("1x128x64", (1, 128, 64)), ("8, 3", (8, 3)), ("(8, None, 3)", (8, None, 3)), ("?x3", (None, 3)), ("7", (7,))],
)
def test_shapes_as_text(text: str, shape: tuple[Any, ...]) -> None:
    assert as_data(text).shape == shape


def test_containers() -> None:
    assert as_data(csr_matrix(np.eye(3))).trouble == "sparse"
    assert as_data([[1, 2], [3]]).trouble == "ragged"
    assert as_data(np.array(["a"])).trouble == "text"
    assert as_data(np.zeros(3, "c8")).trouble == "complex"
    assert as_data(DataFrame({"a": [1.0, 2.0]})).shape == (2, 1)
