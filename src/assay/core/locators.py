"""Locators (`item.<column>[.path]`) and templates (`{{item.x}}`): how a configuration points at an item's values."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

PREFIX = "item."
_OPENING = re.compile(r"\{\{\s*item\.")


class MissingValue(Exception):
    """A locator points at nothing in this item; `path` is the locator as it was written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Locator:
    """A parsed locator: the top-level column and the rest of the path (None: the column itself)."""

    column: str
    rest: str | None

    @property
    def text(self) -> str:
        """The locator as it is written."""
        return f"{PREFIX}{self.column}" if self.rest is None else f"{PREFIX}{self.column}.{self.rest}"

    def resolve(self, values: Mapping[str, Any]) -> Any:
        """The value it points at, with its own type. Raises MissingValue when there is none."""
        if self.column not in values:
            raise MissingValue(self.text, f"this item has no {self.column!r}")
        value = values[self.column]
        if self.rest is None:
            return value
        found, inner = _walk(value, self.rest)
        if not found:
            raise MissingValue(self.text, "nothing there in this item")
        return inner


def _walk(value: Any, path: str) -> tuple[bool, Any]:
    """Follow a dotted path; at each object the longest key that leads somewhere wins."""
    if isinstance(value, Mapping):
        if path in value:
            return True, value[path]
        cut = path.rfind(".", 0, _longest(value) + 1)
        while cut != -1:
            key = path[:cut]
            if key in value:
                found, inner = _walk(value[key], path[cut + 1 :])
                if found:
                    return True, inner
            cut = path.rfind(".", 0, cut)
        return False, None
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        head, dot, tail = path.partition(".")
        if head.isascii() and head.isdigit() and len(head) < 10 and int(head) < len(value):
            return _walk(value[int(head)], tail) if dot else (True, value[int(head)])
    return False, None


def _longest(keys: Collection[str]) -> int:
    """The length of the longest key: no longer beginning of a path needs to be looked up, however long it is."""
    return _longest_known(keys) if isinstance(keys, frozenset) else max(map(len, keys), default=0)


@lru_cache(maxsize=4)
def _longest_known(keys: frozenset[str]) -> int:
    """The same for an evaluation's columns, which are asked about once a locator: thousands against thousands."""
    return max(map(len, keys), default=0)


def parse_locator(text: str, columns: Collection[str]) -> Locator | None:
    """The locator that `text` is, given the known columns (row keys and aliases); None when it is a literal.

    The longest known column that the path begins with wins, so `item.a.b` means the column `a.b` where there
    is one. Text whose beginning is no known column is a literal.
    """
    if not text.startswith(PREFIX):
        return None
    path = text[len(PREFIX) :]
    if path in columns:
        return Locator(path, None)
    cut = path.rfind(".", 0, _longest(columns) + 1)
    while cut != -1:
        if path[:cut] in columns and cut + 1 < len(path):
            return Locator(path[:cut], path[cut + 1 :])
        cut = path.rfind(".", 0, cut)
    return None


def render(value: Any) -> str:
    """The text form of a value inside a template: text as it is, null as nothing, the rest as compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Template:
    """Text with placeholders: literal pieces and locators in turn."""

    pieces: tuple[str | Locator, ...]

    def resolve(self, values: Mapping[str, Any]) -> str:
        """The text with each placeholder replaced. Raises MissingValue when one points at nothing."""
        return "".join(piece if isinstance(piece, str) else render(piece.resolve(values)) for piece in self.pieces)


def parse_template(text: str, columns: Collection[str]) -> Template | None:
    """The template that `text` is; None when it has no placeholder. Raises UnknownColumn for a placeholder
    that names no column: a template is meant, so a typing mistake must not reach a model as text."""
    if "{{" not in text:
        return None
    pieces: list[str | Locator] = []
    end = 0
    for start, path, stop in _placeholders(text):
        locator = parse_locator(PREFIX + path, columns)
        if locator is None:
            raise UnknownColumn(PREFIX + path)
        if start > end:
            pieces.append(text[end:start])
        pieces.append(locator)
        end = stop
    if not pieces:
        return None
    if end < len(text):
        pieces.append(text[end:])
    return Template(tuple(pieces))


def _placeholders(text: str) -> Iterator[tuple[int, str, int]]:
    """The placeholders as (start, path, end). One pass: a single pattern for the whole would take quadratic
    time on hostile text."""
    end = 0
    while (opening := _OPENING.search(text, end)) is not None:
        close = text.find("}}", opening.end() + 1)
        if close == -1:
            return
        path = text[opening.end() : close]
        yield opening.start(), path.rstrip() or path[0], close + 2
        end = close + 2


def template_parts(text: str) -> list[tuple[str, str | None]]:
    """A template as pairs of a literal and the locator after it; the last pair's locator is None.

    What is no placeholder is literal, as in `parse_template`; columns are not looked at."""
    parts: list[tuple[str, str | None]] = []
    end = 0
    for start, path, stop in _placeholders(text):
        parts.append((text[end:start], PREFIX + path))
        end = stop
    return [*parts, (text[end:], None)]


class UnknownColumn(Exception):
    """A placeholder or a required locator names no column of the evaluation; `locator` is what was written."""

    def __init__(self, locator: str) -> None:
        super().__init__(locator)
        self.locator = locator


Resolver = Callable[[Mapping[str, Any]], Any]
"""Takes an item's values by column and gives a configuration value; raises MissingValue."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A value compiled against the known columns: its resolver, and the columns that it reads.

    `constant` is True when nothing in it depends on the item.
    """

    resolve: Resolver
    columns: frozenset[str]
    constant: bool


def bind(value: Any, columns: Collection[str]) -> Binding:
    """Compile a JSON value: every string inside that is a locator or a template is resolved per item, the
    rest is passed as it is. Raises UnknownColumn for a placeholder without a column."""
    if isinstance(value, str):
        pointer = parse_locator(value, columns) or parse_template(value, columns)
        if pointer is None:
            return _constant(value)
        return Binding(pointer.resolve, frozenset(_columns_of(pointer)), constant=False)
    if isinstance(value, Mapping):
        parts = {key: bind(inner, columns) for key, inner in value.items()}
        if all(part.constant for part in parts.values()):
            return _constant(value)
        return Binding(
            lambda values: {key: part.resolve(values) for key, part in parts.items()},
            frozenset().union(*(part.columns for part in parts.values())),
            constant=False,
        )
    if isinstance(value, list):
        inner = [bind(element, columns) for element in value]
        if all(part.constant for part in inner):
            return _constant(value)
        return Binding(
            lambda values: [part.resolve(values) for part in inner],
            frozenset().union(*(part.columns for part in inner)),
            constant=False,
        )
    return _constant(value)


def _constant(value: Any) -> Binding:
    return Binding(lambda _values: value, frozenset(), constant=True)


def _columns_of(pointer: Locator | Template) -> Iterator[str]:
    if isinstance(pointer, Locator):
        yield pointer.column
    else:
        yield from (piece.column for piece in pointer.pieces if isinstance(piece, Locator))
