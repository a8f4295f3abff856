"""Spans: the timed steps of a trace, and what people say about them. One core for every version of the API."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from assay.core.errors import Problem
from assay.core.identity import Identity
from assay.core.paging import Page

LONGEST_ID = 256
LONGEST_NAME = 500
MOST_IDS = 10_000
MOST_TERMS = 10

_OBS_SPAN_ID = re.compile(r"[0-9a-f]{16}")
_OBS_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PHRASE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_MILLISECOND = timedelta(milliseconds=1)
_LARGEST_COUNT = 2**63 - 1

Document = Mapping[str, Any]


class SpanStatus(StrEnum):
    """How a span's step went."""

    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    CANCELED = "CANCELED"


class SpanType(StrEnum):
    """What kind of step a span is."""

    TEXT_INPUT = "TEXT_INPUT"
    TEXT_OUTPUT = "TEXT_OUTPUT"
    COMPLETION_INPUT = "COMPLETION_INPUT"
    COMPLETION = "COMPLETION"
    KB_RETRIEVAL = "KB_RETRIEVAL"
    KB_INPUT = "KB_INPUT"
    RERANKING = "RERANKING"
    EXTERNAL_ENDPOINT = "EXTERNAL_ENDPOINT"
    PROMPT_ENGINEERING = "PROMPT_ENGINEERING"
    DOCUMENT_INPUT = "DOCUMENT_INPUT"
    MAP_REDUCE = "MAP_REDUCE"
    DOCUMENT_SEARCH = "DOCUMENT_SEARCH"
    DOCUMENT_PROMPT = "DOCUMENT_PROMPT"
    CUSTOM = "CUSTOM"
    CODE_EXECUTION = "CODE_EXECUTION"
    DATA_MANIPULATION = "DATA_MANIPULATION"
    EVALUATION = "EVALUATION"
    FILE_RETRIEVAL = "FILE_RETRIEVAL"
    KB_ADD_CHUNK = "KB_ADD_CHUNK"
    KB_MANAGEMENT = "KB_MANAGEMENT"
    GUARDRAIL = "GUARDRAIL"
    OUTPUT_GUARDRAIL = "OUTPUT_GUARDRAIL"
    TRACER = "TRACER"
    AGENT_TRACER = "AGENT_TRACER"
    AGENT_WORKFLOW = "AGENT_WORKFLOW"
    STANDALONE = "STANDALONE"


@dataclass(frozen=True, slots=True)
class NewSpan:
    """A span as its producer tells it. Without an `id` it gets one; without `ended_at` it is still running.

    Documents are JSON objects, None when they were not sent. `trace_id` and `group_id` are the producer's own;
    `obs_trace_id` and `obs_span_id` name a trace and a span of some other system (32 and 16 hex digits).
    """

    trace_id: str
    name: str
    started_at: datetime
    id: str | None = None
    parent_id: str | None = None
    group_id: str | None = None
    ended_at: datetime | None = None
    input: Document | None = None
    output: Document | None = None
    expected: Document | None = None
    metadata: Document | None = None
    status: SpanStatus = SpanStatus.SUCCESS
    type: SpanType = SpanType.CUSTOM
    application_interaction_id: str | None = None
    application_variant_id: str | None = None
    obs_span_id: str | None = None
    obs_trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A stored span; its id is unique in its account. The fields of a NewSpan, and who stored it first, when."""

    id: str
    seq: int
    account_id: str
    trace_id: str
    name: str
    started_at: datetime
    created_at: datetime
    created_by: Identity
    parent_id: str | None = None
    group_id: str | None = None
    ended_at: datetime | None = None
    input: Document | None = None
    output: Document | None = None
    expected: Document | None = None
    metadata: Document | None = None
    status: SpanStatus = SpanStatus.SUCCESS
    type: SpanType = SpanType.CUSTOM
    application_interaction_id: str | None = None
    application_variant_id: str | None = None
    obs_span_id: str | None = None
    obs_trace_id: str | None = None

    @property
    def duration_ms(self) -> int | None:
        """Whole milliseconds from start to end; None while it is running."""
        return None if self.ended_at is None else (self.ended_at - self.started_at) // _MILLISECOND

    @property
    def input_tokens(self) -> int | None:
        """Prompt tokens that the producer reported, None when it reported none; see `reported_tokens`."""
        return reported_tokens(self, "input_tokens", "prompt_tokens")

    @property
    def output_tokens(self) -> int | None:
        """Completion tokens that the producer reported, None when it reported none."""
        return reported_tokens(self, "output_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Where a span hangs: enough to see whether parents make sense."""

    id: str
    trace_id: str
    parent_id: str | None


@dataclass(frozen=True, slots=True)
class SpanFilter:
    """What is searched for: spans that meet every condition given. An empty tuple or None is no condition.

    `since` and `until` bound the start, both included. Durations are milliseconds, included, and leave out spans
    that are still running. `metadata` names keys with the values that each may have. `texts` are to occur in the
    name, input, output or metadata, in any case; `text_trace_ids` are traces found whatever the texts say.
    """

    trace_ids: tuple[str, ...] = ()
    span_ids: tuple[str, ...] = ()
    parent_ids: tuple[str, ...] = ()
    excluded_trace_ids: tuple[str, ...] = ()
    excluded_span_ids: tuple[str, ...] = ()
    spans: tuple[tuple[str, str], ...] = ()
    excluded_spans: tuple[tuple[str, str], ...] = ()
    group_id: str | None = None
    names: tuple[str, ...] = ()
    statuses: tuple[SpanStatus, ...] = ()
    types: tuple[SpanType, ...] = ()
    parents_only: bool = False
    application_interaction_ids: tuple[str, ...] = ()
    application_variant_ids: tuple[str, ...] = ()
    obs_span_ids: tuple[str, ...] = ()
    obs_trace_ids: tuple[str, ...] = ()
    assessment_types: tuple["AssessmentType", ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    min_duration_ms: int | None = None
    max_duration_ms: int | None = None
    metadata: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    texts: tuple[str, ...] = ()
    text_trace_ids: tuple[str, ...] = ()

    @property
    def id_count(self) -> int:
        """How many ids it holds; a pair is two."""
        plain = (self.trace_ids, self.span_ids, self.parent_ids, self.excluded_trace_ids, self.excluded_span_ids)
        return sum(map(len, plain)) + 2 * (len(self.spans) + len(self.excluded_spans))


@dataclass(frozen=True, slots=True)
class SpanPage(Page[Span]):
    """A page of spans. `cut_short`: it has fewer than asked for because the next would not have fitted."""

    cut_short: bool = False


def span_problems(span: NewSpan) -> Iterator[Problem]:
    """What is wrong with a span by itself; places are names of its fields on the wire."""
    for name in ("id", "trace_id", "parent_id", "group_id", "application_interaction_id", "application_variant_id"):
        value = getattr(span, name)
        if value is not None and not 1 <= len(value) <= LONGEST_ID:
            yield Problem((name,), f"must have 1 to {LONGEST_ID} characters", "string_length")
    yield from name_problems(span.name)
    if span.id is not None and span.parent_id == span.id:
        yield Problem(("parent_id",), "a span cannot be its own parent", "invalid", span.parent_id)
    yield from end_problems(span.started_at, span.ended_at)
    if span.obs_span_id is not None and not _OBS_SPAN_ID.fullmatch(span.obs_span_id):
        yield Problem(("obs_span_id",), "must be 16 lowercase hex digits", "string_pattern", span.obs_span_id)
    if span.obs_trace_id is not None and not _OBS_TRACE_ID.fullmatch(span.obs_trace_id):
        yield Problem(("obs_trace_id",), "must be 32 lowercase hex digits", "string_pattern", span.obs_trace_id)
    if span.obs_span_id is not None and span.obs_trace_id is None:
        yield Problem(("obs_trace_id",), "obs_span_id needs the obs_trace_id that it belongs to", "missing")


def name_problems(name: str) -> Iterator[Problem]:
    """A span's name is indexed, so it has an end."""
    if len(name) > LONGEST_NAME:
        yield Problem(("name",), f"must have at most {LONGEST_NAME} characters", "string_too_long")


def end_problems(started_at: datetime, ended_at: datetime | None) -> Iterator[Problem]:
    """A span cannot end before it starts."""
    if ended_at is not None and ended_at < started_at:
        yield Problem(("end_timestamp",), "must not lie before start_timestamp", "ends_before_start")


def supersedes(newer: Span | NewSpan, older: Span | NewSpan) -> bool:
    """Whether a later telling of a span replaces an earlier one: unless it is running and the other finished."""
    return newer.ended_at is not None or older.ended_at is None


def find_cycle(links: Mapping[str, SpanLink], starts: Iterable[str]) -> tuple[str, ...] | None:
    """The ids of a ring of parents that one of `starts` leads into, or None. Links that are not known end a chain."""
    harmless: set[str] = set()
    for start in starts:
        chain: dict[str, None] = {}
        at: str | None = start
        while at is not None and at in links and at not in harmless:
            if at in chain:
                ids = list(chain)
                return tuple(ids[ids.index(at) :])
            chain[at] = None
            at = links[at].parent_id
        harmless.update(chain)
    return None


def reported_tokens(span: Span, *names: str) -> int | None:
    """The first count under one of `names`, looked for in `metadata.usage`, `output.usage` and `metadata`."""
    metadata: Document = span.metadata or {}
    output: Document = span.output or {}
    places = [each for each in (metadata.get("usage"), output.get("usage"), metadata) if isinstance(each, Mapping)]
    for place in places:
        for name in names:
            count = place.get(name)
            if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _LARGEST_COUNT:
                return count
    return None


def searchable_text(span: Span) -> str:
    """Everything in a span that a text search looks at: one line for the name, and one for each key and value."""
    lines = [span.name]
    waiting: list[Any] = [span.metadata, span.output, span.input]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting.extend(reversed([each for pair in value.items() for each in pair]))
        elif isinstance(value, str):
            lines.append(value)
        elif isinstance(value, Sequence):
            waiting.extend(reversed(value))
        elif value is not None:
            lines.append(json.dumps(value))
    return "\n".join(lines)


def split_terms(terms: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Search terms apart: texts and ids of traces (UUIDs). Double quotes around a term make it a text and go, and a
    backslash before a quote or a backslash in it goes too."""
    texts, trace_ids = [], []
    for term in terms:
        stripped = term.strip()
        if _UUID.fullmatch(stripped):
            trace_ids.append(stripped)
        elif (phrase := _PHRASE.fullmatch(stripped)) is not None:
            texts.append(re.sub(r"\\([\"\\])", r"\1", phrase[1]))
        else:
            texts.append(stripped)
    return tuple(texts), tuple(trace_ids)


class AssessmentType(StrEnum):
    """What an assessment says, and the name of the field that says it."""

    COMMENT = "comment"
    RATING = "rating"
    APPROVAL = "approval"
    RUBRIC = "rubric"
    METADATA = "metadata"
    OVERWRITE = "overwrite"


Approval = Literal["approved", "rejected"]


@dataclass(frozen=True, slots=True)
class SpanAssessment:
    """What somebody says about a span: the field that `type` names, and perhaps a comment. Ratings are 1 to 5."""

    id: str
    account_id: str
    span_id: str
    trace_id: str
    type: AssessmentType
    created_at: datetime
    updated_at: datetime
    created_by: Identity
    comment: str | None = None
    rating: int | None = None
    approval: Approval | None = None
    rubric: Mapping[str, str] | None = None
    metadata: Document | None = None
    overwrite: Document | None = None


def assessment_problems(assessment: SpanAssessment) -> Iterator[Problem]:
    """What is wrong with an assessment's content."""
    for kind in AssessmentType:
        content = getattr(assessment, kind.value)
        if kind is assessment.type and content is None:
            yield Problem((kind.value,), f"an assessment of type {kind.value} needs its {kind.value}", "missing")
        elif kind not in (assessment.type, AssessmentType.COMMENT) and content is not None:
            message = f"an assessment of type {assessment.type.value} has no {kind.value}"
            yield Problem((kind.value,), message, "unexpected")
    if assessment.rating is not None and not 1 <= assessment.rating <= 5:
        yield Problem(("rating",), "must be a whole number from 1 to 5", "out_of_range", assessment.rating)
