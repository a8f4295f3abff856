"""JSON Schemas that come from outside: checked, compiled once, and bounded in what they can cost.

A schema may refer to its own parts (`#/...`) and to nothing else: nothing is ever fetched. It may not refer to
itself in a circle, and unfolded it has at most 10,000 parts. Patterns have no look-around or back-references and
are matched in linear time, which can still be milliseconds for a thousand characters: the more of them there are,
the shorter an answer must be.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import orjson

MOST_PARTS = 10_000
MOST_LEVELS = 120
MOST_BYTES = 200_000
_DATA = frozenset({"const", "enum", "default", "examples"})
_REFUSED = ("$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor")
_PATTERN_SIZE = 1 << 17

LONGEST = 1_000_000
"""Characters that an answer may have when no pattern is matched."""
MOST_PATTERNS = 20

Check = Callable[[Any], str | None]
"""Takes a JSON value; says what is wrong with it, and where, or None when it is valid."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that answers are held to. `longest`: the characters that an answer's text may have."""

    check: Check
    longest: int


class UnusableSchema(Exception):
    """A schema that answers cannot be held to; the message says why."""


def compiled_schema(schema: Mapping[str, Any]) -> Schema:
    """A schema, checked and compiled. Compiling the same one again costs next to nothing. Raises UnusableSchema."""
    try:
        document = orjson.dumps(schema)
    except TypeError as error:
        raise UnusableSchema(f"not JSON: {error}") from None
    return _compiled(document)


@lru_cache(maxsize=256)
def _compiled(document: bytes) -> Schema:
    import jsonschema_rs

    if len(document) > MOST_BYTES:
        raise UnusableSchema(f"larger than {MOST_BYTES} bytes")
    schema = orjson.loads(document)
    try:
        patterns = _refuse_costly(schema)
    except RecursionError:
        raise UnusableSchema(f"more than {MOST_LEVELS} levels, with references unfolded") from None
    options = jsonschema_rs.RegexOptions(size_limit=_PATTERN_SIZE, dfa_size_limit=_PATTERN_SIZE)
    try:
        validator = jsonschema_rs.validator_for(schema, offline=True, pattern_options=options, validate_formats=False)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise UnusableSchema(f"not a JSON Schema: {_first_line(error)}") from None

    def check(value: Any) -> str | None:
        if validator.is_valid(value):
            return None
        for error in validator.iter_errors(value):
            place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path)
            return f"{place.lstrip('.')}: {error.message}"[:500] if place else error.message[:500]
        return "does not match the schema"

    return Schema(check, LONGEST // (1 + 5 * patterns))


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "message", "") or error).splitlines() or [""])[0][:300]


def _refuse_costly(schema: Any) -> int:
    """How many patterns there are in a schema. Raises UnusableSchema for references to anything outside, for
    circles of them, and for a schema that is too large or too deep or has too many patterns once unfolded."""
    known: dict[str, tuple[int, int, int] | None] = {"#": None}

    def measured(part: Any) -> tuple[int, int, int]:
        """How many parts there are from here, how deep they lie, and how many patterns there are."""
        reference = part.get("$ref") if isinstance(part, dict) else None
        below = [referred(reference)] if isinstance(reference, str) else []
        below.extend(measured(inner) for inner in _inside(part))
        size = 1 + sum(each[0] for each in below)
        depth = 1 + max((each[1] for each in below), default=0)
        patterns = _patterns(part) + sum(each[2] for each in below)
        if size > MOST_PARTS or depth > MOST_LEVELS:
            raise UnusableSchema(f"more than {MOST_PARTS} parts or {MOST_LEVELS} levels, with references unfolded")
        if patterns > MOST_PATTERNS:
            raise UnusableSchema(f"more than {MOST_PATTERNS} patterns, with references unfolded")
        return size, depth, patterns

    def referred(reference: str) -> tuple[int, int, int]:
        if len(known) > MOST_LEVELS:
            raise UnusableSchema(f"more than {MOST_LEVELS} different references")
        if reference not in known:
            known[reference] = None
            known[reference] = measured(_resolved(schema, reference))
        found = known[reference]
        if found is None:
            raise UnusableSchema(f"{reference[:200]!r} refers to itself in a circle")
        return found

    return measured(schema)[2]


def _patterns(part: Any) -> int:
    """The patterns that a part itself matches."""
    if not isinstance(part, dict):
        return 0
    by_name = part.get("patternProperties")
    return isinstance(part.get("pattern"), str) + (len(by_name) if isinstance(by_name, dict) else 0)


def _inside(part: Any) -> Iterator[Any]:
    """What lies directly inside a part of a schema, without plain data."""
    if isinstance(part, dict):
        for word in _REFUSED:
            if isinstance(part.get(word), str | bool):
                raise UnusableSchema(f"{word} is not supported")
        for word, value in part.items():
            if word == "$id" and isinstance(value, str):
                raise UnusableSchema("$id is not supported: a schema refers to its own parts as #/...")
            if word not in _DATA or isinstance(value, dict):  # a property may have such a name
                yield value
    elif isinstance(part, list):
        yield from part


def _resolved(schema: Any, reference: str) -> Any:
    if not reference.startswith("#/"):
        if reference == "#":
            raise UnusableSchema("'#' refers to itself in a circle")
        raise UnusableSchema(f"$ref {reference[:200]!r}: only parts of the schema itself (#/...) can be referred to")
    found = schema
    for step in unquote(reference[2:]).split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdecimal() and len(name) < 6 and int(name) < len(found):
            found = found[int(name)]
        else:
            raise UnusableSchema(f"$ref {reference[:200]!r} points at nothing")
    return found
