"""A run file: an evaluation and its thresholds written down in YAML or JSON, for `assay run`."""

import ast
import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from assay.cli.documents import Document, Keys, UnreadableFile, load, read_text
from assay.cli.rows import read_rows
from assay.cli.thresholds import EVALUATION_QUANTITIES, TASK_QUANTITIES, Threshold, parse_condition

KEYS = ("name", "description", "tags", "metadata", "data", "tasks", "cache", "max_cost", "thresholds")
CACHE_MODES = ("auto", "on", "read", "off")
TASK_KEYS = ("task_type", "alias", "configuration")


@dataclass(frozen=True, slots=True)
class RunFile:
    """What a run file says. `rows_path` and `row_lines` say where the rows stood if another file holds them."""

    document: Document
    evaluation: Mapping[str, Any]
    thresholds: Sequence[Threshold]
    rows_path: Path | None
    row_lines: Sequence[int | None]

    @property
    def name(self) -> str:
        """The evaluation's name."""
        return str(self.evaluation["name"])

    def under(self, **given: Any) -> "RunFile":
        """The run file with some of the evaluation's keys given elsewhere; None: not given."""
        changed = {key: value for key, value in given.items() if value is not None}
        return replace(self, evaluation={**self.evaluation, **changed}) if changed else self

    def explain(self, loc: Sequence[Any], message: str) -> str:
        """A problem that the server found at a path of the request, said with the file and line it came from."""
        keys: Keys = tuple(loc[1:] if loc and loc[0] == "body" else loc)
        if self.rows_path is not None and len(keys) >= 2 and keys[0] == "data" and isinstance(keys[1], int):
            line = self.row_lines[keys[1]] if 0 <= keys[1] < len(self.row_lines) else None
            inside = ".".join(str(key) for key in keys[2:])
            return str(UnreadableFile(self.rows_path, f"{inside}: {message}" if inside else message, line))
        return str(self.document.wrong(keys, message))


def read_run_file(path: Path) -> RunFile:
    """Read and check a run file. Raises UnreadableFile, naming file, line and key."""
    document = load(path)
    content = document.value
    if not isinstance(content, dict):
        raise document.wrong((), "must be a mapping with the keys name, data and tasks")
    _refuse_unknown(document, (), content, KEYS)
    for key in ("name", "data", "tasks"):
        if content.get(key) is None:
            raise document.wrong((), f"the key {key!r} is missing")
    _check_types(document, content)
    rows, rows_path, row_lines = _rows(document, content["data"])
    tasks = [_task(document, index, task) for index, task in enumerate(content["tasks"])]
    evaluation = {
        key: content[key]
        for key in ("name", "description", "tags", "metadata", "cache", "max_cost")
        if content.get(key) is not None
    }
    return RunFile(
        document,
        {**evaluation, "data": rows, "tasks": tasks},
        _thresholds(document, content.get("thresholds") or {}, tasks),
        rows_path,
        row_lines,
    )


def _check_types(document: Document, content: Mapping[str, Any]) -> None:
    wanted = {"name": str, "description": str, "tags": list, "metadata": dict, "tasks": list, "thresholds": dict}
    words = {str: "text", list: "a list", dict: "a mapping"}
    for key, kind in wanted.items():
        value = content.get(key)
        if value is not None and not isinstance(value, kind):
            raise document.wrong((key,), f"must be {words[kind]}")
    cache, max_cost = content.get("cache"), content.get("max_cost")
    if cache is not None and cache not in CACHE_MODES:
        raise document.wrong(("cache",), f"must be one of {', '.join(CACHE_MODES)} (off and on in quotes)")
    if max_cost is not None and (isinstance(max_cost, bool) or not isinstance(max_cost, int | float) or max_cost <= 0):
        raise document.wrong(("max_cost",), "must be a number of US dollars above 0")
    for index, tag in enumerate(content.get("tags") or []):
        if not isinstance(tag, str):
            raise document.wrong(("tags", index), "a tag must be text: put it in quotes")
    if not content["tasks"]:
        raise document.wrong(("tasks",), "must have at least one task")


def _refuse_unknown(document: Document, keys: Keys, mapping: Mapping[str, Any], known: Collection[str]) -> None:
    for key in mapping:
        if key not in known:
            raise document.wrong((*keys, key), f"unknown key; {_suggest(key, known)}")


def _suggest(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"


def _rows(document: Document, data: Any) -> tuple[list[dict[str, Any]], Path | None, Sequence[int | None]]:
    if isinstance(data, str):
        path = document.path.parent / data
        if not path.is_file():
            raise document.wrong(("data",), f"no such file: {path}")
        rows, lines = read_rows(path)
        return rows, path, lines
    if not isinstance(data, list) or not data:
        raise document.wrong(("data",), "must be a list of rows, or the path of a .jsonl, .csv or .json file")
    for index, row in enumerate(data):
        if not isinstance(row, dict):
            raise document.wrong(("data", index), "a row must be a mapping of columns to values")
    return data, None, ()


def _task(document: Document, index: int, task: Any) -> dict[str, Any]:
    keys: Keys = ("tasks", index)
    if not isinstance(task, dict):
        raise document.wrong(keys, "a task must be a mapping with the keys task_type and configuration")
    _refuse_unknown(document, keys, task, TASK_KEYS)
    if not isinstance(task.get("task_type"), str):
        raise document.wrong((*keys, "task_type") if "task_type" in task else keys, "task_type must be given, as text")
    configuration = task.get("configuration")
    if not isinstance(configuration, dict):
        raise document.wrong(
            (*keys, "configuration") if "configuration" in task else keys, "configuration must be given, as a mapping"
        )
    if task["task_type"] == "custom_function" and "function" in configuration:
        source = _function_source(document, (*keys, "configuration", "function"), configuration)
        configuration = {key: value for key, value in configuration.items() if key != "function"}
        return {**task, "configuration": {"function_source": source, **configuration}}
    return dict(task)


def _function_source(document: Document, keys: Keys, configuration: Mapping[str, Any]) -> str:
    """The source of `function: checks.py:name`, a function of a Python file beside the run file."""
    named = configuration["function"]
    if "function_source" in configuration:
        raise document.wrong(keys, "give either function or function_source")
    file, separator, name = named.rpartition(":") if isinstance(named, str) else ("", "", "")
    if not separator or not file or not name:
        raise document.wrong(keys, "must be FILE.py:NAME")
    path = document.path.parent / file
    if not path.is_file():
        raise document.wrong(keys, f"no such file: {path}")
    source = read_text(path)
    try:
        tree = ast.parse(source, str(path))
    except (SyntaxError, ValueError) as error:
        raise UnreadableFile(path, f"not Python: {error}", getattr(error, "lineno", None)) from error
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return ast.get_source_segment(source, node) or ""
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    raise document.wrong(keys, f"{path} has no function {name!r}; {_suggest(name, functions) if functions else 'none'}")


def _thresholds(document: Document, content: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> list[Threshold]:
    aliases = [alias for task in tasks for alias in _columns_of(task)]
    found: list[Threshold] = []
    for subject, conditions in content.items():
        keys: Keys = ("thresholds", subject)
        if not isinstance(conditions, dict):
            if subject not in EVALUATION_QUANTITIES:
                raise document.wrong(keys, _not_a_subject(subject, aliases))
            found.append(_threshold(document, keys, None, subject, conditions))
            continue
        if subject not in aliases:
            raise document.wrong(keys, f"no task has this alias; {_suggest(subject, aliases)}")
        _refuse_unknown(document, keys, conditions, TASK_QUANTITIES)
        for quantity, condition in conditions.items():
            found.append(_threshold(document, (*keys, quantity), subject, quantity, condition))
    return found


def _not_a_subject(subject: str, aliases: Collection[str]) -> str:
    if subject in aliases:
        return "must be a mapping such as {mean: '>= 0.4'}"
    return f"unknown; {_suggest(subject, (*EVALUATION_QUANTITIES, *aliases))}"


def _threshold(document: Document, keys: Keys, alias: str | None, quantity: str, condition: Any) -> Threshold:
    try:
        comparison, limit = parse_condition(condition)
    except ValueError as error:
        raise document.wrong(keys, str(error)) from error
    return Threshold(alias, quantity, comparison, limit)


def _columns_of(task: Mapping[str, Any]) -> list[str]:
    """The columns that a task writes: its alias, as given or by its type's default, and a function's outputs."""
    configuration = task["configuration"]
    alias = task.get("alias") or _default_alias(str(task["task_type"]), configuration)
    outputs = configuration.get("outputs")
    columns = [str(alias)]
    for output in outputs if isinstance(outputs, list) else []:
        if isinstance(output, dict):
            columns.append(str(output.get("alias") or str(output.get("path", "")).replace(".", "_")))
    return columns


def _default_alias(task_type: str, configuration: Mapping[str, Any]) -> str:
    if task_type == "metric":
        return str(configuration.get("type"))
    if task_type == "custom_function":
        try:
            body = ast.parse(str(configuration.get("function_source"))).body
        except (SyntaxError, ValueError):
            return task_type
        return next((node.name for node in body if isinstance(node, ast.FunctionDef)), task_type)
    return task_type.replace(".", "_")
