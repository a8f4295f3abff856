"""How values become text and numbers in the database: JSON, times, folded text for searching."""

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from assay.core.errors import InvalidInput
from assay.core.folding import fold

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXACT_SECONDS = 2**32 * 1_000_000
"""Up to here (the year 2106) seconds as a double are exact to less than half a microsecond."""
_from_timestamp = datetime.fromtimestamp
_FULL_PARSER = " "

__all__ = [
    "dump_json",
    "finite",
    "fold",
    "fold_tag",
    "fold_tags",
    "from_micros",
    "is_storable",
    "load_all_json",
    "load_json",
    "storable",
    "to_micros",
]


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC time of a number of microseconds since 1970."""
    if 0 <= micros < _EXACT_SECONDS:
        return _from_timestamp(micros / 1_000_000, UTC)
    return _EPOCH + timedelta(microseconds=micros)


def dump_json(value: Any) -> str:
    """A JSON value as text. Integers beyond 64 bits and lone surrogates survive the round trip: such texts
    begin with a space, which tells `load_json` to take the slower parser. Raises InvalidInput for what is
    no JSON value or is nested too deeply."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        pass
    try:
        return _FULL_PARSER + json.dumps(value, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise InvalidInput.at(("data",), "is not a JSON value that can be stored") from None


def load_json(text: str) -> Any:
    """The value of a text that `dump_json` made."""
    if text[0] == _FULL_PARSER:
        return json.loads(text)
    return orjson.loads(text)


def load_all_json(texts: Sequence[str | None]) -> list[Any]:
    """The values of many texts that `dump_json` made, None for None; quicker than one by one."""
    if _FULL_PARSER in {text[0] for text in texts if text is not None}:
        return [None if text is None else load_json(text) for text in texts]
    joined = ",".join(["null" if text is None else text for text in texts])
    found: list[Any] = orjson.loads(f"[{joined}]")
    return found


def finite(number: float | None) -> float | None:
    """The number, or None when it is not finite."""
    return number if number is not None and math.isfinite(number) else None


def is_storable(text: str) -> bool:
    """Whether both databases can hold it: no NUL character, no lone surrogate."""
    if "\x00" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(text: str) -> str:
    """The text with NUL characters and lone surrogates replaced by U+FFFD: for messages, never for names."""
    if is_storable(text):
        return text
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def fold_tag(tag: str) -> str:
    """A folded tag between marks that no tag contains, so that it is found whole in `fold_tags` of a list that
    has it."""
    return "\n<" + fold(tag).replace("\\", "\\\\").replace("\n", "\\n") + ">\n"


def fold_tags(tags: Iterable[str]) -> str:
    """All tags in one searchable text."""
    return "".join(fold_tag(tag) for tag in tags)
