"""Rows as they arrive: a plain loop that says what is wrong with one, without copying any."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.errors import InvalidInput, Problem

MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A row of an evaluation to make, with where it comes from."""

    data: Mapping[str, Any]
    files: Mapping[str, str] | None = None
    dataset_item_id: str | None = None
    dataset_item_version_num: int | None = None


def check_rows(rows: Any, loc: tuple[str | int, ...] = ("body", "data")) -> tuple[str, ...]:
    """The columns of the rows, in first-seen order.

    Raises InvalidInput unless `rows` is a non-empty list of objects whose keys are not empty. Any other key is
    the user's own, names of item fields such as `id` among them: rows live under `data`.
    """
    if not isinstance(rows, list):
        raise InvalidInput.at(loc, "must be a list of rows", type="list_type")
    if not rows:
        raise InvalidInput.at(loc, "needs at least one row", type="too_short")
    columns: dict[str, None] = {}
    problems: list[Problem] = []
    for index, row in enumerate(rows):
        if type(row) is not dict:
            problems.append(Problem((*loc, index), "a row must be an object", "dict_type", row))
        elif not row.keys() <= columns.keys():
            if "" in row:
                problems.append(Problem((*loc, index), "a column's name must not be empty", "empty_key"))
            columns.update(dict.fromkeys(row))
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise InvalidInput(problems)
    return tuple(columns)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The union of good rows' keys, in first-seen order."""
    columns: dict[str, None] = {}
    for row in rows:
        if not row.keys() <= columns.keys():
            columns.update(dict.fromkeys(row))
    return tuple(columns)


def check_files(
    files: Sequence[Mapping[str, str]] | None, rows: int, loc: tuple[str | int, ...] = ("body", "files")
) -> None:
    """Raise InvalidInput unless files go with rows one to one. Whether they exist, `services.files.require_files`
    says."""
    if files is None:
        return
    if len(files) != rows:
        raise InvalidInput.at(loc, f"there are {len(files)} entries for {rows} rows", type="length_mismatch")
