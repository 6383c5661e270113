"""An accelerated model that was saved loads wherever faltung is imported, at the command line too."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_backends import on_backend

from faltung.cli import main
from faltung.frontends.saved import LAYERS


@pytest.fixture(scope="module")
def file(keras, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with all of our layers that take sequences."""
    import faltung as ft

    kinds = [keras.layers.Conv1D, keras.layers.SeparableConv1D, keras.layers.Conv1DTranspose]
    layers = [kind(4, 3, padding="same") for kind in kinds] + [keras.layers.DepthwiseConv1D(3)]
    path = tmp_path_factory.mktemp("models") / "model.keras"
    ft.accelerate(keras.Sequential([keras.Input((16, 2)), *layers])).save(path)
    return path


@pytest.mark.parametrize("order", ["import keras, faltung", "import faltung, keras", "import faltung, keras.saving"])
def test_import_faltung_is_enough(file, order):
    program = f"""
{order}
import sys
assert "faltung.keras" not in sys.modules
model = keras.saving.load_model({str(file)!r})
assert [type(layer).__module__ for layer in model.layers] == ["faltung.keras.layers"] * 4
assert keras.saving.get_registered_object("faltung>Conv1D") is sys.modules["faltung.keras"].Conv1D
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, env=on_backend("torch"))


def test_every_layer_of_ours_is_known():
    import faltung.keras

    assert set(LAYERS) == {name for name in faltung.keras.__all__ if "Conv" in name}


def test_python_without_keras_says_so_as_ever():
    program = """
import sys
sys.path = [place for place in sys.path if "packages" not in place]
import importlib.util
spec = importlib.util.spec_from_file_location("saved", FILE)
saved = importlib.util.module_from_spec(spec); spec.loader.exec_module(saved)
saved.make_known(); saved.make_known()
assert sum(type(finder).__name__ == "_WaitsForKeras" for finder in sys.meta_path) == 1
try:
    import keras
except ModuleNotFoundError as error:
    assert error.name == "keras"
else:
    raise AssertionError("there is a Keras")
"""
    import faltung.frontends.saved as saved

    program = program.replace("FILE", repr(saved.__file__))
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)


@pytest.mark.parametrize("command", [["doctor"], ["explain"], ["show"]], ids=lambda command: command[0])
def test_the_command_line_loads_it(file, command, tmp_path):
    more = ["--out", str(tmp_path / "page.html")] if command == ["show"] else []
    done = CliRunner().invoke(main, [*command, str(file), "1x16x2", *more])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("command", ["doctor", "explain", "show"])
def test_a_file_that_cannot_be_loaded_is_one_line(file, command, tmp_path):
    bad = tmp_path / "bad.keras"
    bad.write_bytes(file.read_bytes()[:300])
    done = CliRunner().invoke(main, [command, str(bad), "1x16x2"])
    assert done.exit_code == 2
    assert len(done.output.splitlines()) == 1 and "the model file must be readable; got" in done.output
    assert len(done.output) < 700
