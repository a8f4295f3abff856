"""Reads YAML and JSON files into JSON values and remembers the line of every key and element.

YAML is read by the core rules of YAML 1.2: `no` and `2026-01-01` are text, `true` and `7` are not.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Keys = tuple[str | int, ...]
"""Where a value is in its file: `("tasks", 0, "alias")`."""

_DEEPEST = 100
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: truth for truth, words in ((True, "true True TRUE"), (False, "false False FALSE")) for word in words.split()
}
_PLAIN_TAGS = (None, "!")


class UnreadableFile(Exception):
    """A file of the user's is wrong. `str()` is `FILE:LINE: message`, without the line where none is known."""

    def __init__(self, path: Path | str, message: str, line: int | None = None) -> None:
        super().__init__(f"{path}:{line}: {message}" if line else f"{path}: {message}")


@dataclass(frozen=True, slots=True)
class Document:
    """A file's value, and the line of each place in it."""

    path: Path
    value: Any
    lines: Mapping[Keys, int] = field(default_factory=dict)

    def line(self, keys: Keys) -> int | None:
        """The line of a place, or of the nearest place around it that has one."""
        for end in range(len(keys), 0, -1):
            if keys[:end] in self.lines:
                return self.lines[keys[:end]]
        return None

    def wrong(self, keys: Keys, message: str) -> UnreadableFile:
        """The error that says what is wrong at a place."""
        where = ".".join(str(key) for key in keys)
        return UnreadableFile(self.path, f"{where}: {message}" if where else message, self.line(keys))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(path, f"not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise UnreadableFile(path, error.strerror or "cannot be read") from error


def load(path: Path) -> Document:
    """Read a `.json` file as JSON and any other as YAML."""
    text = read_text(path)
    if path.suffix.lower() == ".json":
        value = parse_json(path, text)
        try:
            return Document(path, value, _Composed(path, text).lines)
        except UnreadableFile:  # JSON that is no YAML, such as tabs before a key: only the lines are lost
            return Document(path, value)
    composed = _Composed(path, text)
    return Document(path, composed.value, composed.lines)


def parse_json(path: Path, text: str, line: int = 1) -> Any:
    """Parse JSON text that begins on a line of a file; refuses NaN and keys given twice."""

    def pairs(found: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(found)
        if len(values) < len(found):
            seen: set[str] = set()
            twice = next(key for key, _ in found if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise UnreadableFile(path, f"the key {twice!r} is given twice", line)
        return values

    def constant(word: str) -> None:
        raise UnreadableFile(path, f"{word} is not a JSON number", line)

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise UnreadableFile(path, f"not JSON: {error.msg}", line + error.lineno - 1) from error
    except (RecursionError, ValueError) as error:
        raise UnreadableFile(path, "not JSON that can be read: too deep, or a number too large", line) from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is beyond what a number can be")
    return number


class _Composed:
    """A YAML text as a JSON value, built from the parser's events so that each place keeps its line.

    The library's own composer recurses without a limit; this one stops at a depth.
    """

    def __init__(self, path: Path, text: str) -> None:
        import yaml

        self._path = path
        self._anchors: dict[str, Any] = {}
        self.lines: dict[Keys, int] = {}
        try:
            self._events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            next(self._events)
            if isinstance(next(self._events), yaml.StreamEndEvent):
                self.value: Any = None
                return
            self.value = self._build(next(self._events), ())
            next(self._events)
            if not isinstance(more := next(self._events), yaml.StreamEndEvent):
                raise UnreadableFile(path, "there is a second document in the file", _line(more))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise UnreadableFile(path, f"not YAML: {error.problem or error.context}", line) from error
        except yaml.YAMLError as error:
            raise UnreadableFile(path, f"not YAML: {str(error).splitlines()[0]}") from error

    def _build(self, event: Any, keys: Keys) -> Any:
        import yaml

        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise UnreadableFile(self._path, f"*{event.anchor} stands before the end of its anchor", line)
            return self._anchors[event.anchor]
        if keys:
            self.lines.setdefault(keys, line)
        if event.tag not in _PLAIN_TAGS:
            raise UnreadableFile(self._path, f"tags such as {event.tag} are not supported", line)
        if len(keys) > _DEEPEST:
            raise UnreadableFile(self._path, f"more than {_DEEPEST} levels deep", line)
        if isinstance(event, yaml.MappingStartEvent):
            value: Any = self._mapping(keys)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(keys)
        else:
            value = self._scalar(event, line)
        if event.anchor is not None:
            self._anchors[event.anchor] = value
        return value

    def _sequence(self, keys: Keys) -> list[Any]:
        import yaml

        values: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._build(event, (*keys, len(values))))
        return values

    def _mapping(self, keys: Keys) -> dict[str, Any]:
        import yaml

        values: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            key = self._scalar(event, line) if isinstance(event, yaml.ScalarEvent) else None
            if not isinstance(key, str):
                raise UnreadableFile(self._path, "a key must be text: put it in quotes", line)
            if key in values:
                raise UnreadableFile(self._path, f"the key {key!r} is given twice", line)
            self.lines[(*keys, key)] = line
            values[key] = self._build(next(self._events), (*keys, key))
        return values

    def _scalar(self, event: Any, line: int) -> Any:
        text = str(event.value)
        if event.style:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _NOT_FINITE.fullmatch(text):
            raise UnreadableFile(self._path, f"{text} is not a JSON number", line)
        try:
            if _INTEGER.fullmatch(text):
                return int(text)
            if _FLOAT.fullmatch(text):
                return _finite(text)
        except ValueError as error:
            raise UnreadableFile(self._path, "a number too large: put it in quotes", line) from error
        return text


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
