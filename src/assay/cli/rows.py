"""Reads an evaluation's rows from a JSONL, CSV or JSON file; a bad row names its line."""

import csv
import io
from pathlib import Path
from typing import Any

from assay.cli.documents import UnreadableFile, load, parse_json, read_text

Rows = tuple[list[dict[str, Any]], list[int | None]]
"""The rows, and the line of each in its file."""


def read_rows(path: Path) -> Rows:
    """The rows of a file, by its suffix: `.jsonl` or `.ndjson`, `.csv`, `.json`."""
    readers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".csv": _csv, ".json": _json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UnreadableFile(path, f"rows are read from {', '.join(readers)}; this ends in {path.suffix or 'nothing'}")
    rows, lines = reader(path)
    if not rows:
        raise UnreadableFile(path, "there are no rows in it")
    return rows, lines


def _jsonl(path: Path) -> Rows:
    rows: list[dict[str, Any]] = []
    lines: list[int | None] = []
    for number, text in enumerate(read_text(path).split("\n"), 1):
        if not text.strip():
            continue
        rows.append(_row(path, parse_json(path, text, number), number))
        lines.append(number)
    return rows, lines


def _json(path: Path) -> Rows:
    document = load(path)
    if not isinstance(document.value, list):
        raise UnreadableFile(path, "must be a list of objects", 1)
    lines = [document.line((index,)) for index in range(len(document.value))]
    return [_row(path, row, line) for row, line in zip(document.value, lines, strict=True)], lines


def _csv(path: Path) -> Rows:
    """Every value is text. The first line names the columns."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    rows: list[dict[str, Any]] = []
    lines: list[int | None] = []
    columns: list[str] | None = None
    start = 1
    try:
        for values in reader:
            if columns is None:
                columns = values
                _check_columns(path, columns)
            elif values:
                if len(values) != len(columns):
                    raise UnreadableFile(path, f"{len(values)} values for {len(columns)} columns", start)
                rows.append(dict(zip(columns, values, strict=True)))
                lines.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise UnreadableFile(path, f"not CSV: {error}", reader.line_num) from error
    return rows, lines


def _check_columns(path: Path, columns: list[str]) -> None:
    for index, name in enumerate(columns):
        if not name.strip():
            raise UnreadableFile(path, f"column {index + 1} has no name", 1)
        if name in columns[:index]:
            raise UnreadableFile(path, f"two columns are called {name!r}", 1)


def _row(path: Path, value: Any, line: int | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableFile(path, f"a row must be an object, not {type(value).__name__}", line)
    return value
