"""The house rules: who may import whom, what `import faltung` costs, and that every program and command shown runs."""

import ast
import doctest
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "faltung"
# Those that train a network are no part of `faltung demo`, and have a test of their own in tests/frontends.
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if not path.stem.startswith("torch_"))

# The order of the layers: each imports only layers above it. The public package stands below the last layer it gathers.
LAYERS = [
    "errors",
    "spec",
    "reference",
    "machine",
    "plan",
    "codegen",
    "algorithms",
    "runtime",
    "operators",
    "graph",
    "streams",
    "models",
    "arrays",
    "frontends",
    "torch",
    "jax",
    "tensorflow",
    "keras",
    "__init__",
    "diagnosis",
    "explanation",
    "pages",
    "bench",
    "fuzz",
    "demo",
    "cli",
]
BY_NAME = {
    "faltung.__init__": "what explains, shows and diagnoses is imported when it is first used: import faltung is light",
    "faltung.frontends.accelerate": "the framework whose model was given, of those that are loaded",
    "faltung.frontends.compile": "the reader of the host whose model was given",
    "faltung.frontends.saved": "the layers of ours that a saved model asks for",
    "faltung.keras.backend": "the file of the backend that Keras runs on",
}
"""The modules that import others of ours by a string, and why."""
HEAVY = ["torch", "jax", "tensorflow", "keras", "matplotlib", "scipy", "click", "rich"]


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    names = {path: path.relative_to(PACKAGE.parent).with_suffix("").parts for path in sorted(PACKAGE.rglob("*.py"))}
    return {
        ".".join(parts[:-1] if len(parts) > 2 and parts[-1] == "__init__" else parts): path
        for path, parts in names.items()
    }


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full, from faltung..."
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_by_name(path: Path) -> set[str]:
    """Return the names of ours, or their constant heads, among the strings of a file that calls import_module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {ast.unparse(node.func).split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if called.isdisjoint({"import_module", "__import__"}):
        return set()
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return {text for text in strings if re.fullmatch(r"faltung(\.\w*)+", text)}


def layer(module: str) -> str:
    """Return the layer of a dotted name: faltung.plan.rules is in plan, a public name of faltung in __init__."""
    parts = module.split(".")
    is_module = len(parts) > 1 and any((PACKAGE / name).exists() for name in (parts[1], f"{parts[1]}.py"))
    return parts[1] if is_module or parts[1:] == ["__init__"] else "__init__"


MODULES = modules()


def test_every_module_has_a_layer() -> None:
    assert {layer(name) for name in MODULES} <= set(LAYERS)


@pytest.mark.parametrize("module", MODULES)
def test_a_layer_imports_only_layers_above_it(module: str) -> None:
    own = LAYERS.index(layer(module))
    ours = {name for name in imports(MODULES[module]) if name.split(".")[0] == "faltung"}
    below = {name for name in ours if LAYERS.index(layer(name)) > own}
    assert not below, f"{module} is in layer {LAYERS[own]!r} and imports from below: {sorted(below)}"


def test_few_modules_import_others_by_name() -> None:
    found = {module: names for module, path in MODULES.items() if (names := imports_by_name(path))}
    assert found.keys() == BY_NAME.keys(), found


@pytest.mark.parametrize(
    "module", [name for name in MODULES if layer(name) in ("models", "diagnosis", "explanation", "pages")]
)
def test_what_explains_computes_without_the_oracle(module: str) -> None:
    assert not any(name.startswith("faltung.reference") for name in imports(MODULES[module]))


@pytest.mark.parametrize("module", MODULES)
def test_only_the_emitter_builds_ir(module: str) -> None:
    builds = any(name == "llvmlite.ir" or name.startswith("llvmlite.ir.") for name in imports(MODULES[module]))
    assert not builds or (module + ".").startswith("faltung.codegen.emitter.")


@pytest.mark.parametrize("module", [name for name in MODULES if layer(name) in ("errors", "spec")])
def test_what_is_asked_needs_neither_numpy_nor_llvm(module: str) -> None:
    assert {name.split(".")[0] for name in imports(MODULES[module])}.isdisjoint({"numpy", "llvmlite"})


@pytest.mark.parametrize("module", [name for name in MODULES if layer(name) not in ("reference", "bench", "fuzz")])
def test_the_oracle_computes_nothing_that_it_judges(module: str) -> None:
    assert not any(f"{name}.".startswith("faltung.reference.") for name in imports(MODULES[module]))


def import_in_fresh_interpreter(package: str, bytecode: Path) -> tuple[float, list[str]]:
    """Return the seconds of processor time of importing a package, and which heavy ones it loaded."""
    program = f"""
import json, sys, time
start = time.process_time()
import {package}
seconds = time.process_time() - start
print(json.dumps([seconds, [name for name in {HEAVY} if name in sys.modules]]))
"""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users' Python keeps bytecode
    seconds, loaded = json.loads(subprocess.check_output([sys.executable, "-c", program], text=True, env=environment))
    return seconds, loaded


def test_import_is_light(tmp_path: Path) -> None:
    ours, numpys = zip(
        *([import_in_fresh_interpreter(name, tmp_path) for name in ("faltung", "numpy")] for _ in range(5)), strict=True
    )
    assert ours[0][1] == []
    assert min(ours)[0] < 3 * min(numpys)[0]  # a share, since machines differ and are busy at times


def test_import_leaves_what_explains_for_later() -> None:
    program = "import sys, faltung; print([name for name in sys.modules if name.startswith('faltung.')])"
    loaded = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert not re.findall(r"faltung\.(?:models|diagnosis|explanation|pages)\b", loaded)


def test_the_code_of_the_readme_runs() -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert blocks
    session = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "README.md", "README.md", 0)
    report: list[str] = []
    failed, tried = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(session, out=report.append)
    assert tried and not failed, "".join(report)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(example), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sentence, call, picture = done.stdout.splitlines()
    assert sentence and "GFLOP/s" in call
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_the_demo_runs_every_example() -> None:
    from faltung.demo.programs import PROGRAMS

    assert sorted(PROGRAMS) == [example.stem for example in EXAMPLES]
