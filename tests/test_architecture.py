"""The plan of the house: which part imports which, how long a function is, how names and docs are written."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Every part imports only what stands below it.
FLOORS = ["photo", "serving", "components", "pipeline", "tintype", "benchmarks"]
FLOORS_OF_SERVING = [{"model"}, {"video"}, {"server", "client"}, {"rollout", "batch", "web"}]
NOT_FOR_PHOTO = {"tensorflow", "keras", "tfx", "grpc", "apache_beam"}
LONGEST_FUNCTION = 60
LONGEST_LINE_OF_DOCS = 120


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of ours by its name."""
    modules = {}
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            modules[name] = ast.parse(path.read_text(encoding="utf-8"))
    return modules


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(tree: ast.AST) -> set[str]:
    """What a module imports anywhere, also inside functions, but for what only the type checker reads."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import: {ast.unparse(node)}"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in trees() else str(node.module))
        elif is_type_checking(node):
            for other in node.orelse:
                found |= imports(other)
        else:
            found |= imports(node)
    return found


@cache
def arrows() -> dict[str, set[str]]:
    return {name: imports(tree) for name, tree in trees().items()}


def ours() -> list[tuple[str, str]]:
    return [(name, other) for name, found in arrows().items() for other in sorted(found) if other in trees()]


def test_parts_import_only_what_stands_below_them():
    upwards = [
        f"{name} imports {other}"
        for name, other in ours()
        if FLOORS.index(other.split(".")[0]) > FLOORS.index(name.split(".")[0])
    ]
    assert not upwards


def floor_of_serving(name: str) -> int | None:
    parts = name.split(".")
    if parts[0] != "serving" or len(parts) < 2:
        return None
    return next((index for index, parts_of_floor in enumerate(FLOORS_OF_SERVING) if parts[1] in parts_of_floor), -1)


def test_inside_serving_arrows_point_down():
    wrong = []
    for name, other in ours():
        own, others = floor_of_serving(name), floor_of_serving(other)
        if own is None or others is None or name.split(".")[1] == other.split(".")[1]:
            continue
        if others > own or (others == own >= 0):
            wrong.append(f"{name} imports {other}")
    assert not wrong


def test_no_modules_import_each_other():
    graph = {name: {other for other in found if other in trees()} for name, found in arrows().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_photo_stands_without_tensorflow_grpc_and_beam():
    heavy = {
        name: found
        for name in trees()
        if name.split(".")[0] == "photo"
        and (found := {other.split(".")[0] for other in arrows()[name]} & NOT_FOR_PHOTO)
    }
    assert not heavy


def functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (f"{name}.{node.name}", node)
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


# Functions over 60 lines that are still to be cut, by who cuts them.
STILL_LONG: dict[str, str] = {}


def test_no_function_is_long_without_a_reason():
    long = {
        name: lines
        for name, node in functions()
        if (lines := node.end_lineno - node.lineno + 1) > LONGEST_FUNCTION
        and "Long because" not in (ast.get_docstring(node) or "")
        and name not in STILL_LONG
    }
    assert not long


def names_in(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.add(value)
    return found


def test_identifiers_spell_color():
    spelled = {name: {word for word in names_in(tree) if "colour" in word.lower()} for name, tree in trees().items()}
    assert not {name: words for name, words in spelled.items() if words}


# Pages whose lines are still to be broken, by who breaks them.
STILL_WIDE: dict[str, str] = {}


def test_lines_of_docs_are_no_longer_than_a_screen():
    wide = []
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        is_code = False
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            is_code ^= line.lstrip().startswith("```")
            words = re.sub(r"\]\([^)]*\)|https?://\S+", "", line)
            skipped = is_code or line.lstrip().startswith("|") or line.startswith("    ")
            if len(words) > LONGEST_LINE_OF_DOCS and not skipped and path.name not in STILL_WIDE:
                wide.append(f"{path.relative_to(ROOT)}:{number}")
    assert not wide
