"""What an application is sent and what its answer means, by its endpoint's mappings. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.endpoints import ROOTS, ResponseMapping, placeholders
from assay.core.locators import Locator, MissingValue, render

LARGEST_COUNT = 2**53
MOST_SPANS = 1000


@dataclass(frozen=True, slots=True)
class ApplicationCall:
    """What an application is asked: its inputs, and what else goes along; None where there is nothing."""

    inputs: Mapping[str, Any]
    history: Sequence[Any] | None = None
    operation_metadata: Mapping[str, Any] | None = None
    overrides: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class MappedAnswer:
    """What an answer holds, by its mapping. `spans` are objects as the application wrote them; `ignored` says
    why some of what was mapped is not there."""

    output: Any
    extra_info: Any = None
    spans: tuple[Mapping[str, Any], ...] = ()
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ignored: str | None = None


class UnmappedAnswer(Exception):
    """An answer that has nothing where its mapping says that the output is; the message names the path."""


class _Absent:
    """Stands for what the call does not have: a member that is left out."""


_ABSENT = _Absent()


def compose(request: Any, call: ApplicationCall) -> Any:
    """The body of a request: every placeholder replaced by the call's value.

    A text that is one placeholder becomes the value with its own type; inside longer text it becomes the value's
    text. What the call does not have at all (no history) is left out of its object, null in a list, nothing in
    text. Raises MissingValue for a path that leads nowhere in what is there.
    """
    values = {root: value for root in ROOTS if (value := getattr(call, root)) is not None}
    composed = _compose(request, values)
    return None if composed is _ABSENT else composed


def _compose(part: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(part, str):
        return _compose_text(part, values)
    if isinstance(part, Mapping):
        inner = {key: _compose(value, values) for key, value in part.items()}
        return {key: value for key, value in inner.items() if value is not _ABSENT}
    if isinstance(part, list):
        return [None if (each := _compose(value, values)) is _ABSENT else each for value in part]
    return part


def _compose_text(text: str, values: Mapping[str, Any]) -> Any:
    pieces: list[str] = []
    end = 0
    for found in placeholders(text):
        value = _placed(found[1], values)
        if found[0] == text:
            return value
        pieces += (text[end : found.start()], "" if value is _ABSENT else render(value))
        end = found.end()
    return "".join((*pieces, text[end:])) if pieces else text


def _placed(path: str, values: Mapping[str, Any]) -> Any:
    root, _, rest = path.partition(".")
    if root not in values:
        return _ABSENT
    try:
        return Locator(root, rest or None).resolve(values)
    except MissingValue:
        raise MissingValue(path, f"the call's {root} have nothing there") from None


def map_answer(mapping: ResponseMapping, body: Any) -> MappedAnswer:
    """What an answer holds. `body` is the parsed answer; for `text` its text; for `sse` the list of its events.

    Raises UnmappedAnswer when there is no output.
    """
    if mapping.format == "text":
        return MappedAnswer(body)
    events = body if mapping.format == "sse" else None
    if isinstance(mapping.output, str):
        output = _output(mapping.output, body, events)
    else:
        output = {name: _output(path, body, events) for name, path in mapping.output.items()}
    spans, ignored = _spans(_found(mapping.spans, body, events))
    return MappedAnswer(
        output,
        extra_info=_found(mapping.extra_info, body, events),
        spans=spans,
        prompt_tokens=_count(_found(mapping.prompt_tokens, body, events)),
        completion_tokens=_count(_found(mapping.completion_tokens, body, events)),
        ignored=ignored,
    )


def _output(path: str, body: Any, events: Sequence[Any] | None) -> Any:
    if events is None:
        found = _at(path, body)
    else:
        each = [value for event in events if (value := _at(path, event)) is not _ABSENT and value is not None]
        texts = [value for value in each if isinstance(value, str)]
        found = "".join(texts) if texts and len(texts) == len(each) else each[-1] if each else _ABSENT
    if found is _ABSENT:
        where = f"nothing at the output's path {path[:200]!r}" if path else "no event"
        raise UnmappedAnswer(f"the answer has {where}")
    return found


def _found(path: str | None, body: Any, events: Sequence[Any] | None) -> Any:
    if path is None:
        return None
    parts = [body] if events is None else reversed(events)
    return next((value for part in parts if (value := _at(path, part)) is not _ABSENT), None)


def _at(path: str, body: Any) -> Any:
    try:
        return Locator("answer", path or None).resolve({"answer": body})
    except MissingValue:
        return _ABSENT


def _spans(value: Any) -> tuple[tuple[Mapping[str, Any], ...], str | None]:
    if value is None:
        return (), None
    if not isinstance(value, list) or not all(isinstance(span, Mapping) for span in value):
        return (), "what stands where the spans should be is no list of objects"
    if len(value) > MOST_SPANS:
        return tuple(value[:MOST_SPANS]), f"{len(value)} spans came; the first {MOST_SPANS} are kept"
    return tuple(value), None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None
