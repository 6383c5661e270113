"""What was read goes downwards only: from models to facts, candidates, ranking and report, without a way back."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import faltung

PACKAGE = Path(faltung.__file__).parent
ROOMS = ("models", "diagnosis", "explanation", "pages")
NETWORKS = PACKAGE / "models" / "graphs"  # another journey, whose tables call each other: a layer is read from within
FILES = sorted(path for room in ROOMS for path in (PACKAGE / room).rglob("*.py") if not path.is_relative_to(NETWORKS))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in FILES}


def imported(nodes: Iterator[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of everything of ours that is imported."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "faltung":
            yield from ((node.module or "", alias.name) for alias in node.names)


def uses(path: Path) -> set[str]:
    """Return the modules of these rooms that a file imports, or takes a name from."""
    both = {(module, f"{module}.{name}") for module, name in imported(ast.walk(TREES[path]))}
    return {full if full in NAMES else module for module, full in both if full in NAMES or module in NAMES}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_climbs_back_up(path: Path) -> None:
    functions = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef)]
    inside = [name for function in functions for name in imported(ast.walk(function))]
    assert not inside, "an import within a function hides a way back up"
    private = [pair for pair in imported(ast.walk(TREES[path])) if pair[1].startswith("_")]
    assert not private, "what a neighbour needs is no private name"


def test_no_file_reaches_itself() -> None:
    graph = {name_of(path): uses(path) - {name_of(path)} for path in FILES}
    while ends := {name for name, below in graph.items() if not below & graph.keys()}:
        graph = {name: below for name, below in graph.items() if name not in ends}
    assert not graph, f"a circle: {sorted(graph)}"


def test_all_weights_of_the_diagnosis_stand_in_one_table() -> None:
    found = [
        f"{path.name}:{node.lineno}: {node.value}"
        for path, tree in TREES.items()
        if path.relative_to(PACKAGE).parts[0] == "diagnosis" and path.name != "costs.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value != 0.0
    ]
    assert not found, "a weight belongs to diagnosis/costs.py"
