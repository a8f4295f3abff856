"""JSON Schemas that come from outside: checked, compiled once, and bounded in what they can cost.

A schema may refer to its own parts (`#/...`) and to nothing else: nothing is ever fetched. It may not refer to
itself in a circle, and unfolded it has at most 10,000 parts, so that no answer takes long to check. Patterns are
matched in linear time, and have no look-around or back-references.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import orjson

MOST_PARTS = 10_000
MOST_LEVELS = 120
MOST_BYTES = 200_000
_DATA = frozenset({"const", "enum", "default", "examples"})
_REFUSED = ("$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor")
_PATTERN_SIZE = 1 << 20

Check = Callable[[Any], str | None]
"""Takes a JSON value; says what is wrong with it, and where, or None when it is valid."""


class UnusableSchema(Exception):
    """A schema that answers cannot be held to; the message says why."""


def compiled_schema(schema: Mapping[str, Any]) -> Check:
    """The check of a schema. Compiling the same one again costs next to nothing. Raises UnusableSchema."""
    try:
        document = orjson.dumps(schema)
    except TypeError as error:
        raise UnusableSchema(f"not JSON: {error}") from None
    return _compiled(document)


@lru_cache(maxsize=256)
def _compiled(document: bytes) -> Check:
    import jsonschema_rs

    if len(document) > MOST_BYTES:
        raise UnusableSchema(f"larger than {MOST_BYTES} bytes")
    schema = orjson.loads(document)
    try:
        _refuse_costly(schema)
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

    return check


def _first_line(error: Exception) -> str:
    return (str(getattr(error, "message", "") or error).splitlines() or [""])[0][:300]


def _refuse_costly(schema: Any) -> None:
    """Raise UnusableSchema for references to anything outside, for circles of them, and for a schema that is too
    large or too deep once they are unfolded."""
    known: dict[str, tuple[int, int] | None] = {"#": None}

    def measured(part: Any) -> tuple[int, int]:
        """How many parts there are from here, and how deep they lie."""
        reference = part.get("$ref") if isinstance(part, dict) else None
        below = [referred(reference)] if isinstance(reference, str) else []
        below.extend(measured(inner) for inner in _inside(part))
        size = 1 + sum(each[0] for each in below)
        depth = 1 + max((each[1] for each in below), default=0)
        if size > MOST_PARTS or depth > MOST_LEVELS:
            raise UnusableSchema(f"more than {MOST_PARTS} parts or {MOST_LEVELS} levels, with references unfolded")
        return size, depth

    def referred(reference: str) -> tuple[int, int]:
        if len(known) > MOST_LEVELS:
            raise UnusableSchema(f"more than {MOST_LEVELS} different references")
        if reference not in known:
            known[reference] = None
            known[reference] = measured(_resolved(schema, reference))
        found = known[reference]
        if found is None:
            raise UnusableSchema(f"{reference[:200]!r} refers to itself in a circle")
        return found

    measured(schema)


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
