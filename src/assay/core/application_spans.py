"""Spans that applications tell with their answers: read from whatever they wrote, and given ids that a repeated run
gives again."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from assay.core.identity import Identity
from assay.core.spans import LONGEST_NAME, NewSpan, Span, SpanStatus, SpanType

_NAMESPACE = UUID("5c1f8f0e-6a57-4b9c-9d0a-3f6f0c5f7a11")
_ROOT = "root"
_LONGEST_MS = 10**10
_FAILED = frozenset({"ERROR", "ERRORED", "FAILED", "FAILURE"})
_CANCELED = frozenset({"CANCELED", "CANCELLED"})


@dataclass(frozen=True, slots=True)
class SpanPlace:
    """Where an item's spans belong: the evaluation, item and alias that they are of, and who stores them, when."""

    evaluation_id: str
    item_id: str
    alias: str
    account_id: str
    identity: Identity
    at: datetime

    @property
    def trace_id(self) -> str:
        """The trace's id: the same whenever the task is run again on the item."""
        return str(uuid5(_NAMESPACE, f"{self.evaluation_id}\n{self.item_id}\n{self.alias}"))

    def span_id(self, local: str) -> str:
        """The id of one of the trace's spans."""
        return str(uuid5(_NAMESPACE, f"{self.trace_id}\n{local}"))


def read_spans(told: Sequence[Mapping[str, Any]], root: NewSpan) -> tuple[NewSpan, ...]:
    """An application's spans under a root of our own, with ids that are unique among them only.

    Both the names of `POST /v5/spans` and those of version 4's trace spans are understood; nothing is ever refused:
    what cannot be read is left out, times default to the root's, parents that are not there or go in a ring to
    the root. No spans give none, and no root.
    """
    if not told:
        return ()
    ids: list[str] = []
    taken: set[str] = {_ROOT}
    for index, each in enumerate(told):
        given = each.get("id")
        local = given if isinstance(given, str) and given and given not in taken else f"{_ROOT}/{index}"
        taken.add(local)
        ids.append(local)
    parents = {local: _parent(each, taken) for local, each in zip(ids, told, strict=True)}
    spans = [
        _read_span(each, local, _ROOT if _in_ring(local, parents) else parents[local], root)
        for local, each in zip(ids, told, strict=True)
    ]
    return (replace(root, id=_ROOT), *spans)


def place_spans(spans: Sequence[NewSpan], place: SpanPlace) -> tuple[Span, ...]:
    """The spans as they are stored."""
    return tuple(
        Span(
            id=place.span_id(span.id or _ROOT),
            seq=0,
            account_id=place.account_id,
            trace_id=place.trace_id,
            group_id=place.evaluation_id,
            name=span.name,
            started_at=span.started_at,
            ended_at=span.ended_at,
            created_at=place.at,
            created_by=place.identity,
            parent_id=None if span.parent_id is None else place.span_id(span.parent_id),
            input=span.input,
            output=span.output,
            expected=span.expected,
            metadata=span.metadata,
            status=span.status,
            type=span.type,
            application_variant_id=span.application_variant_id,
        )
        for span in spans
    )


def _parent(told: Mapping[str, Any], known: set[str]) -> str:
    given = told.get("parent_id")
    return given if isinstance(given, str) and given in known else _ROOT


def _in_ring(local: str, parents: Mapping[str, str]) -> bool:
    """Whether a span descends from itself."""
    seen: set[str] = set()
    at = parents[local]
    while at != _ROOT and at not in seen:
        if at == local:
            return True
        seen.add(at)
        at = parents[at]
    return False


def _read_span(told: Mapping[str, Any], local: str, parent: str, root: NewSpan) -> NewSpan:
    started = _time(told.get("start_timestamp")) or root.started_at
    ended = _time(told.get("end_timestamp"))
    if ended is None:
        duration = told.get("duration_ms")
        known = isinstance(duration, int | float) and 0 <= duration <= _LONGEST_MS
        ended = started + timedelta(milliseconds=float(duration or 0)) if known else started
    return NewSpan(
        trace_id="",
        name=_name(_first(told, "name", "node_id")),
        started_at=started,
        id=local,
        parent_id=parent,
        ended_at=max(started, ended),
        input=_document(_first(told, "input", "operation_input")),
        output=_document(_first(told, "output", "operation_output")),
        expected=_document(_first(told, "expected", "operation_expected")),
        metadata=_document(_first(told, "metadata", "operation_metadata")),
        status=_status(_first(told, "status", "operation_status")),
        type=_type(_first(told, "type", "operation_type")),
        application_variant_id=root.application_variant_id,
    )


def _first(told: Mapping[str, Any], *names: str) -> Any:
    return next((told[name] for name in names if told.get(name) is not None), None)


def _name(value: Any) -> str:
    """A name that databases can hold: no NUL character, no lone surrogate, not too long."""
    name = value if isinstance(value, str) and value else "span"
    return name[:LONGEST_NAME].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _document(value: Any) -> Mapping[str, Any] | None:
    return value if value is None or isinstance(value, Mapping) else {"value": value}


def _status(value: Any) -> SpanStatus:
    word = value.upper() if isinstance(value, str) else ""
    if word in _FAILED:
        return SpanStatus.ERROR
    return SpanStatus.CANCELED if word in _CANCELED else SpanStatus.SUCCESS


def _type(value: Any) -> SpanType:
    try:
        return SpanType(value.upper() if isinstance(value, str) else "")
    except ValueError:
        return SpanType.CUSTOM


def _time(value: Any) -> datetime | None:
    """A time as ISO 8601 (UTC where it names no zone) or as seconds since 1970."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif type(value) in (int, float) and math.isfinite(value):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            return None
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
