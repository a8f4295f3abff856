"""Reads YAML and JSON files into JSON values and remembers the line of every key and element.

YAML is read by the core rules of YAML 1.2: `no` and `2026-01-01` are text, `true` and `7` are not.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

Keys = tuple[str | int, ...]
"""Where a value is in its file: `("tasks", 0, "alias")`."""

_DEEPEST = 100
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: truth for truth, words in ((True, "true True TRUE"), (False, "false False FALSE")) for word in words.split()
}
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


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
    """A YAML text as a JSON value, built from the parsed nodes so that each keeps its line."""

    def __init__(self, path: Path, text: str) -> None:
        import yaml

        self._path = path
        self.lines: dict[Keys, int] = {}
        loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            root = yaml.compose(text, Loader=type("Loader", (loader,), {"yaml_implicit_resolvers": {}}))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else None
            raise UnreadableFile(path, f"not YAML: {error.problem or error.context}", line) from error
        except (yaml.YAMLError, RecursionError) as error:
            raise UnreadableFile(path, f"not YAML: {str(error).splitlines()[0]}") from error
        self.value = None if root is None else self._build(root, ())

    def _build(self, node: "yaml.Node", keys: Keys) -> Any:
        import yaml

        line = node.start_mark.line + 1
        if keys:
            self.lines.setdefault(keys, line)
        if node.tag not in _PLAIN_TAGS:
            raise UnreadableFile(self._path, f"tags such as {node.tag} are not supported", line)
        if len(keys) > _DEEPEST:
            raise UnreadableFile(self._path, f"more than {_DEEPEST} levels deep", line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, keys)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(element, (*keys, index)) for index, element in enumerate(node.value)]
        return self._scalar(node, line)

    def _mapping(self, node: "yaml.MappingNode", keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._build(key_node, ())
            if not isinstance(key, str):
                raise UnreadableFile(self._path, f"a key must be text: put {key_node.value!r} in quotes", line)
            if key in values:
                raise UnreadableFile(self._path, f"the key {key!r} is given twice", line)
            self.lines[(*keys, key)] = line
            values[key] = self._build(value_node, (*keys, key))
        return values

    def _scalar(self, node: "yaml.Node", line: int) -> Any:
        text = str(node.value)
        if getattr(node, "style", None) is not None:
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
