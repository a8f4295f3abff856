"""Filters over evaluations: what they may be, and which evaluations pass them.

This module is the whole truth about filters in plain Python; a store may find the passing evaluations in any
way as long as it finds these.

A stored value and a filter's value are both read the same way (`read`): text that is a JSON number of at most 64
characters is that number, a number is itself, an ISO date or time is that moment (UTC where it names no zone),
true and false are the words, and everything else is text; a list or an object is its compact JSON text with
sorted keys. Two numbers compare as numbers, two moments as moments, all else as text by code point. null is no
value.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from assay.core.errors import InvalidInput, Problem
from assay.core.folding import fold

MAX_FILTERS = 10
MAX_NUMBER_LENGTH = 64
STATUS = "status"
TAG = "tag"

BEGIN_NUMBER = frozenset("-0123456789")
"""The characters with which a text begins that is a number or a moment."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Operator(StrEnum):
    """How a filter compares."""

    EQUAL = "=="
    UNEQUAL = "!="
    AT_LEAST = ">="
    AT_MOST = "<="
    IN = "IN"
    NOT_IN = "NOT_IN"


NEGATIONS = {Operator.UNEQUAL: Operator.EQUAL, Operator.NOT_IN: Operator.IN}
"""Operators that hold exactly where another one does not, missing values included."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value as filters see it: its text, and the number or the moment (microseconds since 1970) that it is."""

    text: str
    number: int | float | None = None
    moment: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition. `values` are what to compare with: one value, or those of IN and NOT_IN."""

    key: str
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class MetadataKey:
    """A key that evaluations of an account have: on how many, how often as a number, date, boolean or text, and,
    when there are at most 50 different ones, how often each value."""

    name: str
    count: int
    types: Mapping[str, int]
    values: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class MetadataKeys:
    """An account's keys by name; `complete` is False when there are more than the index holds."""

    keys: Sequence[MetadataKey]
    complete: bool


def parse_filters(raw: Any, loc: tuple[str | int, ...] = ("body", "filters")) -> tuple[Filter, ...]:
    """The filters of a request. Raises InvalidInput naming every place that is wrong."""
    if not isinstance(raw, Sequence) or isinstance(raw, str):
        raise InvalidInput([Problem(loc, "must be a list of filters", "list_type")])
    if len(raw) > MAX_FILTERS:
        message = f"at most {MAX_FILTERS} filters, not {len(raw)}"
        raise InvalidInput([Problem(loc, message, "too_long")])
    problems: list[Problem] = []
    filters = [_parse_filter(each, (*loc, index), problems) for index, each in enumerate(raw)]
    if problems:
        raise InvalidInput(problems)
    return tuple(each for each in filters if each is not None)


def _parse_filter(raw: Any, loc: tuple[str | int, ...], problems: list[Problem]) -> Filter | None:
    if not isinstance(raw, Mapping):
        problems.append(Problem(loc, "must be an object with key, operator and value", "dict_type"))
        return None
    known = len(problems)
    key = raw.get("key")
    if not isinstance(key, str) or not key:
        message = "a metadata key, or status or tag" if "key" not in raw else "must be text that is not empty"
        problems.append(Problem((*loc, "key"), message, "missing" if "key" not in raw else "string_type"))
    operator = raw.get("operator")
    if operator not in tuple(Operator):
        choices = ", ".join(Operator)
        shown = operator[:100] if isinstance(operator, str) else None
        kind = "enum" if "operator" in raw else "missing"
        problems.append(Problem((*loc, "operator"), f"unknown operator; there are: {choices}", kind, shown))
    if "value" not in raw:
        problems.append(Problem((*loc, "value"), "the value to compare with is missing", "missing"))
    if raw.get("object") not in (None, "metadata_filter"):
        problems.append(Problem((*loc, "object"), "must be metadata_filter, or left out", "enum"))
    if len(problems) > known or not isinstance(key, str):
        return None
    chosen = Operator(str(operator))
    try:
        return Filter(key, chosen, _parse_values(chosen, raw["value"]))
    except ValueError as error:
        problems.append(Problem((*loc, "value"), str(error), "json_invalid"))
        return None


def _parse_values(operator: Operator, raw: Any) -> tuple[Value, ...]:
    if operator not in (Operator.IN, Operator.NOT_IN):
        return (read_text(as_text(raw)),)
    parts: Sequence[Any]
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        parts = raw
    else:
        text = as_text(raw)
        if text.lstrip().startswith("["):
            try:
                parts = json.loads(text)
            except (ValueError, RecursionError):
                raise ValueError("begins with [ but is no JSON array") from None
        else:
            parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(read_text(as_text(part)) for part in parts))


def as_text(value: Any) -> str:
    """A JSON value as text: text is itself, a whole number has no fraction, anything else is compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return _number_text(value)
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, bytes)):
        return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False, default=dict)
    return json.dumps(value)


def _number_text(number: float) -> str:
    """The one text of a number that is not in doubt: `1`, not `1.0`."""
    if isinstance(number, int):
        return str(number)
    return str(int(number)) if number.is_integer() and abs(number) < 1e16 else repr(number)


def read(stored: Any) -> Value | None:
    """A stored value; None for null, which counts as absent."""
    if stored is None:
        return None
    if type(stored) is int or type(stored) is float:
        if isinstance(stored, float) and not math.isfinite(stored):
            return Value(repr(stored))
        return Value(_number_text(stored), number=stored)
    return read_text(as_text(stored))


def read_text(text: str) -> Value:
    """A text as the number, the moment or the text that it is."""
    if len(text) <= MAX_NUMBER_LENGTH and text[:1] in BEGIN_NUMBER:
        if found := _NUMBER.fullmatch(text):
            number = float(text) if found[1] or found[2] else int(text)
            if math.isfinite(number):
                return Value(_number_text(number), number=number)
        elif _MOMENT.fullmatch(text):
            moment = _moment(text)
            if moment is not None:
                return Value(text, moment=moment)
    return Value(text)


def _moment(text: str) -> int | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return (at - _EPOCH) // _MICROSECOND


def equal(stored: Value, wanted: Value) -> bool:
    """Whether two values are the same number, moment or text."""
    if stored.number is not None and wanted.number is not None:
        return stored.number == wanted.number
    if stored.moment is not None and wanted.moment is not None:
        return stored.moment == wanted.moment
    return stored.text == wanted.text


def at_least(stored: Value, wanted: Value) -> bool:
    """Whether a value is the wanted one or comes after it."""
    if stored.number is not None and wanted.number is not None:
        return stored.number >= wanted.number
    if stored.moment is not None and wanted.moment is not None:
        return stored.moment >= wanted.moment
    return stored.text >= wanted.text


def compare(stored: Value | None, operator: Operator, values: Sequence[Value]) -> bool:
    """Whether one stored value passes. A missing one passes only != and NOT_IN."""
    positive = NEGATIONS.get(operator)
    if positive is not None:
        return not compare(stored, positive, values)
    if stored is None:
        return False
    if operator is Operator.AT_LEAST:
        return at_least(stored, values[0])
    if operator is Operator.AT_MOST:
        return at_least(values[0], stored)
    return any(equal(stored, value) for value in values)


def compare_tags(tags: Sequence[str], operator: Operator, values: Sequence[Value]) -> bool:
    """Whether an evaluation's tags pass: one of them does, in any case; for != and NOT_IN, none is the value."""
    positive = NEGATIONS.get(operator)
    if positive is not None:
        return not compare_tags(tags, positive, values)
    wanted = folded_values(values)
    return any(compare(read_text(fold(tag)), operator, wanted) for tag in tags)


def folded_values(values: Sequence[Value]) -> tuple[Value, ...]:
    """The values to compare folded tags with."""
    return tuple(read_text(fold(value.text)) for value in values)


def resolve(metadata: Mapping[str, Any] | None, key: str) -> Any:
    """What a dotted key names: at each object the longest key that leads somewhere wins. None: nothing."""
    if metadata is None:
        return None
    value = metadata.get(key)
    if value is not None:
        return value
    cut = key.rfind(".", 0, max(map(len, metadata), default=0) + 1)
    while cut != -1:
        inner = metadata.get(key[:cut])
        if isinstance(inner, Mapping):
            value = resolve(inner, key[cut + 1 :])
            if value is not None:
                return value
        cut = key.rfind(".", 0, cut)
    return None


def flatten(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Every dotted key that leads to a value, and that value: `resolve` for all keys at once."""
    found: dict[str, Any] = {}
    if metadata:
        _walk(metadata, "", found)
    return found


def _walk(values: Mapping[str, Any], prefix: str, found: dict[str, Any]) -> None:
    nested = []
    for key, value in values.items():
        if value is not None:
            found.setdefault(prefix + key, value)
        if isinstance(value, Mapping):
            nested.append(key)
    for key in sorted(nested, key=len, reverse=True):
        _walk(values[key], f"{prefix}{key}.", found)


def passes(filters: Sequence[Filter], *, metadata: Mapping[str, Any] | None, tags: Sequence[str], status: str) -> bool:
    """Whether an evaluation passes all filters."""
    for each in filters:
        if each.key == TAG:
            passed = compare_tags(tags, each.operator, each.values)
        else:
            stored = status if each.key == STATUS else resolve(metadata, each.key)
            passed = compare(read(stored), each.operator, each.values)
        if not passed:
            return False
    return True
