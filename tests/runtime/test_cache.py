"""Object code on disk: loaded by the next process, ignored where damaged or foreign, private or not used at all."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from checking import exit_code, fork, python

from faltung.runtime import cache

TEXT = "conv1d n2 w100 ic3 oc8 kw5 same relu f32"
OTHER = "conv1d n2 w100 ic3 oc8 kw4 same relu f32"

# Prints where the kernel's program came from, and a number that only the right kernel gives: kw * ic.
PROGRAM = """
import logging, sys
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
import numpy as np, faltung as ft
for text in sys.argv[1:]:
    spec = ft.ConvSpec.from_text(text)
    conv = ft.compile(spec)
    y = conv(np.ones(spec.input_shape, "f4"), np.ones(spec.kernel_shape, "f4"))
    print("loaded" if conv._launch.program.was_kept else "compiled", y[0, 50, 0])
"""


def run(place: Path | str, *texts: str) -> list[str]:
    """Return the lines that a fresh process prints."""
    done = python(PROGRAM, *(texts or (TEXT,)), FALTUNG_CACHE_DIR=str(place))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def files(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory that does not exist yet."""
    return tmp_path / "a" / "cache"


def test_the_second_process_loads_what_the_first_compiled(place: Path) -> None:
    assert run(place) == ["compiled 15.0"]
    kept = files(place)
    assert run(place) == ["loaded 15.0"]
    assert files(place) == kept
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in place.iterdir())


def test_kernels_are_kept_apart_by_target(place: Path) -> None:
    run(place)
    kept = files(place)
    done = python(PROGRAM, TEXT, FALTUNG_CACHE_DIR=str(place), FALTUNG_TARGET="x86-64")
    assert done.stdout == "compiled 15.0\n", done
    assert kept.items() < files(place).items()


def test_one_program_serves_all_lengths(place: Path) -> None:
    run(place, TEXT.replace("w100", "w1000").replace("n2", "n8"))
    kept = files(place)
    assert run(place, TEXT.replace("w100", "w1013").replace("n2", "n7")) == ["loaded 15.0"]
    assert files(place) == kept


DAMAGE: dict[str, Any] = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "with one more byte": lambda content: content + b"\0",
    "with a flipped bit in the code": lambda content: content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
    "with a flipped bit in the digest": lambda content: content[:30] + bytes([content[30] ^ 1]) + content[31:],
    "with a flipped bit at the front": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "foreign": lambda content: b"#!/bin/sh\necho boo\n",
    "random": lambda content: os.urandom(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_ignored_and_rewritten(place: Path, damage: str) -> None:
    run(place)
    intact = files(place)
    for name, content in intact.items():
        (place / name).write_bytes(DAMAGE[damage](content))
    assert_compiled_again(run(place), place, intact)
    assert files(place) == intact
    assert run(place) == ["loaded 15.0"]


def assert_compiled_again(lines: list[str], place: Path, damaged: Iterable[str]) -> None:
    """One line in the log for each damaged file, and then the right number."""
    warnings = {f"WARNING object code is damaged or foreign, and compiled again: {place / name}" for name in damaged}
    assert lines[-1] == "compiled 15.0"
    assert set(lines[:-1]) == warnings and len(lines) == len(warnings) + 1


def test_a_file_under_the_name_of_another_is_ignored_and_rewritten(place: Path) -> None:
    """Once wrong: a whole file, but of another kernel, was loaded and run."""
    run(place)
    first = set(files(place))
    run(place, OTHER)
    (second,) = set(files(place)) - first
    intact = files(place)
    for name in first:
        (place / name).write_bytes(intact[second])
    assert_compiled_again(run(place), place, first)
    assert files(place) == intact


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701, 0o777])
def test_a_directory_that_others_can_reach_is_not_used(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    warning = f"WARNING object code is not kept: {tmp_path} must be a directory of yours with mode 700"
    lines = run(tmp_path)
    assert lines == [warning, "compiled 15.0"]
    assert files(tmp_path) == {}


def test_a_link_to_a_directory_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    lines = run(tmp_path / "link")
    assert lines[-1] == "compiled 15.0" and lines[0].startswith("WARNING object code is not kept: ")
    assert files(tmp_path / "real") == {}


def test_a_path_that_cannot_be_a_directory_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        lines = run(wrong)
        assert lines[-1] == "compiled 15.0" and lines[0].startswith("WARNING object code is not kept: ")


def test_an_empty_setting_turns_the_cache_off(tmp_path: Path) -> None:
    done = python(PROGRAM, TEXT, FALTUNG_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert done.stdout == "compiled 15.0\n", done
    assert files(tmp_path) == {}


UNKNOWN = "WARNING object code is not kept: Could not determine home directory."


@pytest.mark.parametrize("setting", ["~nobody_of_this_name", "~nobody_of_this_name/cache"])
def test_the_home_of_an_unknown_user_is_not_used(setting: str) -> None:
    assert run(setting) == [UNKNOWN, "compiled 15.0"]


def test_without_home_and_user_it_is_not_used() -> None:
    """As in containers, where a number without an entry runs the program."""
    program = """
import os, pwd
for name in ("HOME", "XDG_CACHE_HOME", "FALTUNG_CACHE_DIR"):
    os.environ.pop(name, None)
def unknown(_):
    raise KeyError
pwd.getpwuid = unknown
"""
    done = python(program + PROGRAM, TEXT)
    assert (done.stdout, done.stderr) == (f"{UNKNOWN}\ncompiled 15.0\n", "")


def test_without_a_setting_it_lies_among_the_users_caches(tmp_path: Path) -> None:
    program = "import os; del os.environ['FALTUNG_CACHE_DIR']\n" + PROGRAM
    python(program, TEXT, XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    assert python(program, TEXT, XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path)).stdout == "loaded 15.0\n"
    assert list(tmp_path.rglob("*" + cache.SUFFIX))


def test_a_read_only_directory_is_read_and_not_written(tmp_path: Path) -> None:
    """In a child without privileges: to root no directory is read-only."""
    os.chmod(tmp_path.parent, 0o755)
    place = tmp_path / "cache"
    run(place)
    kept = files(place)
    nobody = 65534

    def work() -> bool:
        if os.getuid() == 0:
            os.setuid(nobody)
        cache.keep("key", b"code")
        return cache.load("key") is None and cache.load(next(iter(kept)).removesuffix(cache.SUFFIX)) is not None

    owned = [place, *place.iterdir()]
    before = os.environ["FALTUNG_CACHE_DIR"]
    parents = [parent for parent in place.parents if parent.stat().st_uid == os.getuid() and len(parent.parts) > 2]
    modes = [parent.stat().st_mode for parent in parents]
    try:
        if os.getuid() == 0:
            for path in owned:
                os.chown(path, nobody, -1)
            for parent in parents:
                parent.chmod(0o755)
        place.chmod(0o500)
        os.environ["FALTUNG_CACHE_DIR"] = str(place)
        assert exit_code(fork(work)) == 0
    finally:
        os.environ["FALTUNG_CACHE_DIR"] = before
        place.chmod(0o700)
        for parent, mode in zip(parents, modes, strict=True):
            parent.chmod(stat.S_IMODE(mode))
    assert files(place) == kept


def test_processes_that_write_at_once(place: Path) -> None:
    texts = [f"conv1d n1 w100 ic3 oc{channels} kw5 same relu f32" for channels in (1, 2, 3, 4)]
    environment = {**os.environ, "FALTUNG_CACHE_DIR": str(place)}
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, *texts], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(6)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert {line.split()[1] for line in output.splitlines()} == {"15.0"}
    assert run(place, *texts) == ["loaded 15.0"] * 4
    assert {path.suffix for path in place.iterdir()} == {cache.SUFFIX}, "a temporary file was left"


def test_fifty_processes_on_an_empty_cache(place: Path) -> None:
    """All begin at once, none waits for another, and each has the right number."""
    program = """
import numpy as np, faltung as ft
from checking import exit_code, fork
spec = ft.ConvSpec.from_text("conv1d n2 w100 ic3 oc8 kw5 same relu f32")
def work():
    return ft.compile(spec)(np.ones(spec.input_shape, "f4"), np.ones(spec.kernel_shape, "f4"))[0, 50, 0] == 15
children = [fork(work) for _ in range(50)]
print([code for code in map(exit_code, children) if code != 0])
"""
    done = python(program, FALTUNG_CACHE_DIR=str(place), FALTUNG_NUM_THREADS="1", timeout=240)
    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert run(place) == ["loaded 15.0"]
    assert {path.suffix for path in place.iterdir()} == {cache.SUFFIX}, "a temporary file was left"


def test_on_a_full_disk_the_numbers_are_right_and_no_file_is_left(place: Path) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"  # a larger write fails
    done = python(full + PROGRAM, TEXT, FALTUNG_CACHE_DIR=str(place))
    warning = "WARNING object code is not kept: [Errno 27] File too large"
    assert (done.stdout, done.stderr) == (f"{warning}\ncompiled 15.0\n", "")
    assert files(place) == {}


def test_what_was_used_longest_ago_goes_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(place))
    monkeypatch.setattr(cache, "most_bytes", lambda: 16_000)
    monkeypatch.setattr(cache, "_bytes_to_look", None)
    for hour, key in enumerate("abcdefgh"):
        cache.keep(key, b"x" * 3000)
        os.utime(place / f"{key}{cache.SUFFIX}", (3600 * hour,) * 2)
        assert cache.load("a") is not None  # and so it is used now
        assert cache.size()[1] <= 16_000
    assert set(files(place)) == {f"{key}{cache.SUFFIX}" for key in "aefgh"}


def test_what_nobody_will_finish_goes(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(place))
    monkeypatch.setattr(cache, "_bytes_to_look", None)
    assert cache.size() == (0, 0)
    old, new = (place / f"{name}{cache.UNFINISHED}" for name in ("old", "new"))
    for file in (old, new):
        file.touch()
    os.utime(old, (0, 0))
    cache.keep("key", b"code")
    assert set(files(place)) == {new.name, f"key{cache.SUFFIX}"}


def test_the_bound_is_that_of_the_environment(place: Path) -> None:
    program = "import faltung as ft; from faltung.runtime import cache; print(cache.most_bytes())"
    assert python(program, FALTUNG_CACHE_MB="3").stdout == f"{3 << 20}\n"
    assert python(program, FALTUNG_CACHE_MB="").stdout == f"{256 << 20}\n"
    refused = python(program, FALTUNG_CACHE_MB="-1").stderr.splitlines()[-1]
    assert refused.endswith("FaltungError: FALTUNG_CACHE_MB: must be a number of MiB, 0 or more; got '-1'. Use 256.")
    done = python(PROGRAM, TEXT, OTHER, FALTUNG_CACHE_DIR=str(place), FALTUNG_CACHE_MB="0")
    assert done.stdout == "compiled 15.0\ncompiled 12.0\n", done
    assert files(place) == {}


def test_size_and_clear(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(place)
    monkeypatch.setenv("FALTUNG_CACHE_DIR", str(place))
    kept = files(place)
    assert cache.size() == (len(kept), sum(map(len, kept.values())))
    (place / "mine.txt").touch()
    assert cache.clear() == len(kept)
    assert set(files(place)) == {"mine.txt"}
    assert cache.size() == (0, 0)


def test_the_key_tells_programs_and_targets_apart() -> None:
    parts = [("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), ("a\n'b'",), ("a",)]
    assert len({cache.key_of(*entry) for entry in parts}) == len(parts)
    assert cache.key_of("a", 1) == cache.key_of("a", 1)
