"""`python -m faltung.bench.programs`: what it lists of a few texts, what it says of differences, and its errors."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from faltung.algorithms.choose import choose_plan
from faltung.bench import programs
from faltung.errors import CodegenError
from faltung.machine.known import TARGETS
from faltung.machine.target import Target
from faltung.plan.kernel import AnyKernel
from faltung.plan.plan import Plan
from faltung.plan.problem import Problem
from faltung.spec import ConvSpec

TEXT = "conv1d n2 w40 ic3 oc8 kw3 bias relu f32"
FUNCTIONS = ("forward", "input gradient", "kernel gradient", "epilogue gradient")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def listed() -> programs.Programs:
    return programs.programs_of(TEXT)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(programs.main, [str(argument) for argument in arguments])


def written(folder: Path, name: str, found: dict[str, Any]) -> Path:
    file = folder / name
    file.write_text(json.dumps(found), encoding="utf-8")
    return file


def test_a_text_is_listed_for_each_layout_function_and_target(listed: programs.Programs) -> None:
    assert sorted(listed) == sorted(
        f"{TEXT} | {layout} | {function} | {name}"
        for layout in ("nwc", "ncw")
        for function in FUNCTIONS
        for name in TARGETS
    )
    for found in listed.values():
        for algorithm, code, numbers in found:
            assert algorithm and len(code) == len(numbers) == 16
    codes = [listed[f"{TEXT} | nwc | forward | {name}"][0][1] for name in TARGETS]
    assert len(set(codes)) == len(TARGETS), "instruction sets are told apart"


def test_a_program_without_code_is_an_error() -> None:
    """On x86 the code lies in .ltext: a listing that looked for .text alone would find every program the same."""
    for name, target in TARGETS.items():
        with pytest.raises(CodegenError, match="no machine code in the program of 'nothing'"):
            programs._code("nothing", lambda e: None, "float32", target)
        assert programs._kernel_code(_kernel(target), name) != programs._kernel_code(_kernel(target, kw=4), name)


def _kernel(target: Target, kw: int = 3) -> AnyKernel:
    plan = choose_plan(Problem.of(ConvSpec.from_text(f"conv1d n1 w20 ic3 oc4 kw{kw} f32")), target)
    assert isinstance(plan, Plan)
    return plan.kernel


def test_the_same_code_lists_the_same(listed: programs.Programs) -> None:
    programs._kernel_code.cache_clear()
    assert programs.programs_of(TEXT) == listed


def test_shared_programs_are_listed() -> None:
    found = programs.shared_programs()
    names = ["launcher and service", "xla handler of 2 inputs", "xla handler of 3 inputs"]
    names += ["roofline float32", "roofline float64"]
    assert sorted(found) == sorted(f"{what} | {name}" for what in names for name in TARGETS)
    codes = {key: code for key, ((_, code, _),) in found.items()}
    for name in TARGETS:
        assert len({codes[f"{what} | {name}"] for what in names}) == len(names), "programs are told apart"
    for dtype in ("float32", "float64"):
        assert len({codes[f"roofline {dtype} | {name}"] for name in TARGETS}) == len(TARGETS)


def test_all_programs_are_those_of_texts_and_the_shared_ones(
    listed: programs.Programs, capsys: pytest.CaptureFixture[str]
) -> None:
    assert programs.all_programs([TEXT]) == {**programs.shared_programs(), **listed}
    assert "compiling" in capsys.readouterr().err


def test_equal_files_do_not_differ(listed: programs.Programs, tmp_path: Path) -> None:
    old, new = (written(tmp_path, name, dict(listed)) for name in ("old.json", "new.json"))
    done = run(old, new)
    assert (done.exit_code, done.output) == (0, f"0 of {len(listed)} differ\n")


def test_what_differs_is_named(listed: programs.Programs, tmp_path: Path) -> None:
    old = {key: [list(program) for program in found] for key, found in listed.items()}
    new = json.loads(json.dumps(old))
    changed, renamed, gone, *_ = sorted(old)
    new[changed][0][1] = "0" * 16
    new[renamed][0][0] = "another name"  # of the same program
    del new[gone]
    new["launcher | neon"] = [["launcher", "1", "2"]]
    old_file, new_file = written(tmp_path, "old.json", old), written(tmp_path, "new.json", new)
    done = run(old_file, new_file)
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        changed,
        f"  old: {old[changed]}",
        f"  new: {new[changed]}",
        f"only in {old_file}: {gone}",
        f"only in {new_file}: launcher | neon",
        f"1 of {len(old) - 1} differ",
    ]


def test_many_that_one_side_lacks_are_counted(listed: programs.Programs, tmp_path: Path) -> None:
    first, *_ = sorted(listed)
    done = run(written(tmp_path, "old.json", dict(listed)), written(tmp_path, "new.json", {first: listed[first]}))
    *named, counted, verdict = done.output.splitlines()
    assert len(named) == programs.MOST_NAMES and all(line.startswith("only in ") for line in named)
    assert counted.endswith(f": {len(listed) - 1 - programs.MOST_NAMES} more")
    assert (verdict, done.exit_code) == ("0 of 1 differ", 0)


def test_files_without_a_program_in_common_are_an_error(listed: programs.Programs, tmp_path: Path) -> None:
    done = run(written(tmp_path, "old.json", dict(listed)), written(tmp_path, "new.json", {}))
    assert done.exit_code == 1 and "list no program that both have" in done.output


def test_write(listed: programs.Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "all_programs", lambda: listed)
    file = tmp_path / "programs.json"
    assert run("--write", file).exit_code == 0
    assert run(file, file).output == f"0 of {len(listed)} differ\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["HEAD"], "OLD and NEW are both needed, each a commit or a file."),
        (["--write", "kept.json", "HEAD"], "--write lists the code that runs; it takes no OLD and NEW."),
        (["no-such-commit", "HEAD"], "'no-such-commit' is neither a file nor a commit of this repository: "),
    ],
)
def test_what_is_asked_wrongly(arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = run(*arguments)
    assert done.exit_code != 0 and message in done.output


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A repository in the present folder; call it to commit a file, in a package."""
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q"], check=True)

    def commit(file: str, text: str) -> None:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for package in ("src/faltung", "src/faltung/bench"):
            if (tmp_path / package).is_dir():
                (tmp_path / package / "__init__.py").touch()
        subprocess.run([*git, "add", "src"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", file], check=True)

    return commit


def test_a_commit_is_listed_by_its_own_code(repository: Callable[[str, str], None]) -> None:
    for digest in "12":
        found = {"a | neon": [["direct", digest, "0"]], "b | neon": [["direct", "7", "0"]]}
        listing = f"import sys\nassert sys.argv[1] == '--write'\nopen(sys.argv[2], 'w').write({json.dumps(found)!r})\n"
        repository(str(programs.MODULE), listing)
    done = run("HEAD~1", "HEAD")
    assert done.exit_code == 1
    *named, verdict = done.output.splitlines()
    assert named == ["a | neon", "  old: [['direct', '1', '0']]", "  new: [['direct', '2', '0']]"]
    assert verdict == "1 of 2 differ"


def test_a_commit_that_lacks_the_module(repository: Callable[[str, str], None]) -> None:
    repository("src/faltung/plan.py", "")
    done = run("HEAD", "HEAD")
    assert done.exit_code == 1
    assert "commit 'HEAD' cannot tell its programs: it has no src/faltung/bench/programs.py" in done.output


def test_code_that_fails_to_list_is_an_error(repository: Callable[[str, str], None]) -> None:
    repository(str(programs.MODULE), "raise SystemExit(3)\n")
    done = run("HEAD", "HEAD")
    assert done.exit_code == 1 and "the code of commit 'HEAD' failed to list its programs" in done.output


def test_help_names_both_ways() -> None:
    done = run("--help")
    assert done.exit_code == 0
    for words in ("OLD", "NEW", "--write", "python -m faltung.bench.programs HEAD~1 HEAD", "exit code is 1"):
        assert words in done.output, words
