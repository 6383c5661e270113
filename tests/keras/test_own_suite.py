"""Keras's own tests of its convolutional layers, which its installation carries, with our layers in their place.

Some distributions of Keras leave its tests out. Then there is nothing to run, which is an error where the environment
says FALTUNG_TEST_KERAS=required.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from keras_backends import on_backend

FOLDER = Path(__file__).parent
FILES = ("conv_test", "conv_transpose_test", "depthwise_conv_test", "separable_conv_test")

# Both end at what we lifted, strides together with dilation_rate. What they ask for after that, groups that divide the
# filters and an output_padding less than the strides, is asked for in check_layers.py, by Keras's own messages.
LIFTED = "AssertionError: ValueError not raised"
FAILURES = {
    "ConvBasicTest.test_bad_init_args": LIFTED,  # Conv2D(strides=2, dilation_rate=(2, 1))
    "ConvTransposeBasicTest.test_bad_init_args": LIFTED,  # Conv2DTranspose(strides=2, dilation_rate=(2, 1))
}
# What Keras's tests leave out themselves: pairs of options that Keras refuses, drawn along with those that it takes
SKIPS = {"`output_padding` greater than `strides` is not supported", "`output_padding` must be less than `strides`"}
SKIPS_ON = {"tensorflow": {"channels_first unsupported on CPU with TF"}}  # check_layers.py computes it: up_first


def files() -> list[Path]:
    """Keras's files of tests, whether they are there or not."""
    spec = importlib.util.find_spec("keras")
    assert spec is not None and spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0], "src", "layers", "convolutional")
    return [folder / f"{name}.py" for name in FILES]


def require_files(wanted: list[Path]) -> None:
    """Where one of the files is not there, skip, or fail if FALTUNG_TEST_KERAS says that all must be."""
    missing = [str(file) for file in wanted if not file.exists()]
    if missing:
        reason = f"Keras's installation does not carry its tests: {', '.join(missing)}"
        if os.environ.get("FALTUNG_TEST_KERAS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)


def test_a_missing_suite_is_an_error_where_it_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = [Path("nowhere", "conv_test.py")]
    monkeypatch.setenv("FALTUNG_TEST_KERAS", "required")
    with pytest.raises(pytest.fail.Exception, match=r"does not carry its tests: nowhere.conv_test\.py"):
        require_files(nowhere)
    monkeypatch.delenv("FALTUNG_TEST_KERAS")
    with pytest.raises(pytest.skip.Exception, match="does not carry its tests"):
        require_files(nowhere)


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_keras_own_tests_pass_on(backend: str, tmp_path: Path) -> None:
    require_files(files())
    results = tmp_path / "results.xml"
    options = ["-q", "-p", "no:cacheprovider", "-p", "ours_in_place", "-c", os.devnull]
    options += [f"--rootdir={files()[0].parents[4]}", f"--junitxml={results}"]
    modules = [f"keras.src.layers.convolutional.{name}" for name in FILES]
    command = [sys.executable, "-m", "pytest", *options, "--pyargs", *modules]
    paths = os.pathsep.join(filter(None, [str(FOLDER), os.environ.get("PYTHONPATH")]))
    environment = on_backend(backend) | {"PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    said = f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    assert results.exists(), said

    failures, skips, passed = {}, set(), set()
    for case in ElementTree.parse(results).iter("testcase"):
        file, _, kind = case.attrib["classname"].rpartition(".")
        name = f"{kind}.{case.attrib['name']}"
        if (skipped := case.find("skipped")) is not None:
            skips.add(skipped.attrib["message"])
        elif (wrong := next((each for each in case if each.tag in ("failure", "error")), None)) is not None:
            failures[name] = wrong.attrib["message"]
        else:
            passed.add(file.rpartition(".")[2])
    assert failures == FAILURES, said
    assert skips == SKIPS | SKIPS_ON.get(backend, set()), said
    assert passed == set(FILES), said
