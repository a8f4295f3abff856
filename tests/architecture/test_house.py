"""The shape of the house: short functions and modules, one file a task type or metric with its test, plain names."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "assay"
MODULES = sorted(SOURCE.rglob("*.py"))
FORBIDDEN = re.compile(r"(^|_)(utils?|helpers?|common|misc|managers?|handlers?)($|_)", re.IGNORECASE)
FORBIDDEN_CLASS = re.compile(r"(Utils?|Helpers?|Common|Misc|Manager|Handler)$")

LONGEST_MODULE = 600
ORDINARY_FUNCTION = 45
LONG_FUNCTION = 100
MOST_PARAMETERS = 8


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in MODULES:
        yield path.relative_to(ROOT), ast.parse(path.read_text("utf-8"))


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path}:{node.lineno} {node.name}", node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_no_module_is_longer_than_six_hundred_lines() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_text("utf-8").splitlines()) for path in MODULES}

    assert {path: lines for path, lines in lengths.items() if lines > LONGEST_MODULE} == {}


def test_nineteen_in_twenty_functions_are_short_and_hardly_any_is_long() -> None:
    lengths = {name: length(node) for name, node in functions()}
    longer = {name: lines for name, lines in lengths.items() if lines > ORDINARY_FUNCTION}
    long = {name: lines for name, lines in lengths.items() if lines > LONG_FUNCTION}

    assert len(longer) <= len(lengths) * 0.05, longer
    assert len(long) < max(1, len(lengths) * 0.01), long


def test_functions_take_few_parameters() -> None:
    counts = {
        name: len(node.args.args) + len(node.args.kwonlyargs) + len(node.args.posonlyargs) for name, node in functions()
    }
    routes_and_commands = re.compile(r"src/assay/(api/.*/routes|cli)/")

    crowded = {
        name: count for name, count in counts.items() if count > MOST_PARAMETERS and not routes_and_commands.match(name)
    }
    assert crowded == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(path) for path, tree in trees() if tree.body and not ast.get_docstring(tree)]

    assert silent == []


def test_no_module_or_class_has_a_name_that_says_nothing() -> None:
    modules = [str(path.relative_to(ROOT)) for path in MODULES if FORBIDDEN.search(path.stem)]
    folders = sorted({str(path.parent) for path in MODULES if FORBIDDEN.search(path.parent.name)})
    classes = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and FORBIDDEN_CLASS.search(node.name)
    ]

    assert modules + folders + classes == []


def members(folder: str) -> list[str]:
    """The modules of a folder of the house that are entries of their own."""
    return sorted(path.stem for path in (SOURCE / folder).glob("*.py") if not path.stem.startswith("_"))


@pytest.mark.parametrize(
    ("folder", "class_name"),
    [("task_types", "TaskType"), ("metrics", "Metric")],
)
def test_each_task_type_and_metric_is_one_file_with_one_test_file(folder: str, class_name: str) -> None:
    names = members(folder)

    assert names
    for name in names:
        tree = ast.parse((SOURCE / folder / f"{name}.py").read_text("utf-8"))
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        assert class_name in classes, f"{folder}/{name}.py defines no {class_name}"
        tests = [path.stem.removeprefix("test_") for path in (ROOT / "tests" / "unit" / folder).glob("test_*.py")]
        family = [test for test in tests if len(test) > 3 and name.startswith(test)]
        assert name in tests or family, f"tests/unit/{folder}/test_{name}.py is missing"


def code_of(path: Path) -> str:
    """A module's code without its comments and docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [
                statement
                for statement in node.body
                if not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
            ] or [ast.Pass()]
    return ast.unparse(tree)


def test_the_database_and_the_engine_are_named_in_their_own_homes_only() -> None:
    homes = ("core", "stats", "registry", "judging", "task_types", "metrics", "services", "api", "web")
    named = [
        str(path.relative_to(ROOT))
        for home in homes
        for path in (SOURCE / home).rglob("*.py")
        if re.search(r"sqlite|postgres|dbos", code_of(path), re.IGNORECASE)
    ]

    assert named == []


def test_any_exception_is_caught_only_at_the_edges() -> None:
    """A request, a task's run, a command, a job or a background writer; nobody else may swallow the unknown."""
    edges = re.compile(
        r"src/assay/(api/shared|cli|services/(execution|result_writer)|adapters|bootstrap|worker|metrics/|task_types/)"
    )
    broad = [
        f"{path}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}))
        and not edges.match(str(path))
    ]

    assert broad == []
