"""Spans and their assessments on the v5 wire."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Identity
from assay.core.spans import MOST_TERMS, AssessmentType, SpanStatus, SpanType

MOST_ITEMS = 1000
MOST_VALUES = 200


def _read_time(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("must be an ISO-8601 time as text, such as 2026-01-31T12:00:00Z") from None


Time = Annotated[datetime, BeforeValidator(_read_time)]
"""An ISO-8601 time; one without an offset is UTC."""
Status = Annotated[SpanStatus, Field(strict=False)]
Type = Annotated[SpanType, Field(strict=False)]
Kind = Annotated[AssessmentType, Field(strict=False)]
Approval = Literal["approved", "rejected"]
Words = Annotated[list[str], Field(max_length=MOST_ITEMS)]
FewWords = Annotated[list[str], Field(max_length=MOST_VALUES)]
Ids = list[str]
JsonObject = dict[str, Any]


class CreateSpan(BodyModel):
    """A span as its producer tells it. Without an end it is still running; without an id it gets one."""

    name: str
    trace_id: str
    start_timestamp: Time
    id: str | None = None
    parent_id: str | None = None
    group_id: str | None = None
    end_timestamp: Time | None = None
    input: JsonObject | None = None
    output: JsonObject | None = None
    expected: JsonObject | None = None
    metadata: JsonObject | None = None
    status: Status | None = None
    type: Type | None = None
    application_interaction_id: str | None = None
    application_variant_id: str | None = None
    obs_span_id: str | None = None
    obs_trace_id: str | None = None


class SpanBatch(BodyModel):
    """Spans to store, all or none."""

    items: Annotated[list[CreateSpan], Field(max_length=MOST_ITEMS)]


class UpdateSpan(BodyModel):
    """Changes to a span: only what is sent changes; null takes an end, output or metadata away."""

    name: str = ""
    end_timestamp: Time | None = None
    output: JsonObject | None = None
    metadata: JsonObject | None = None
    status: Status = SpanStatus.SUCCESS


class SpanIdentity(BodyModel):
    """A span named by its trace and its id."""

    trace_id: str
    span_id: str


class SearchSpans(BodyModel):
    """Conditions, all of which a span must meet; what is left out or empty is no condition."""

    trace_ids: Ids | None = None
    span_ids: Ids | None = None
    parent_ids: Ids | None = None
    excluded_trace_ids: Ids | None = None
    excluded_span_ids: Ids | None = None
    spans: list[SpanIdentity] | None = None
    excluded_spans: list[SpanIdentity] | None = None
    group_id: str | None = None
    names: Words | None = None
    statuses: list[Status] | None = Field(default=None, max_length=MOST_ITEMS)
    types: list[Type] | None = Field(default=None, max_length=MOST_ITEMS)
    parents_only: bool | None = None
    application_variant_ids: Words | None = None
    obs_span_ids: Words | None = None
    obs_trace_ids: Words | None = None
    assessment_types: list[Kind] | None = Field(default=None, max_length=MOST_ITEMS)
    min_duration_ms: int | None = Field(default=None, ge=0, le=2**53)
    max_duration_ms: int | None = Field(default=None, ge=0, le=2**53)
    search_texts: Annotated[list[str], Field(max_length=MOST_TERMS)] | None = None
    extra_metadata: JsonObject | None = Field(default=None, max_length=50)
    acp_types: FewWords | None = None
    agentex_agent_ids: FewWords | None = None
    agentex_agent_names: FewWords | None = None


class Span(BaseModel):
    """A stored span. Token counts are those that its producer reported."""

    id: str
    object: Literal["span"]
    account_id: str
    trace_id: str
    name: str
    start_timestamp: datetime
    end_timestamp: datetime | None
    parent_id: str | None
    group_id: str | None
    input: JsonObject | None
    output: JsonObject | None
    expected: JsonObject | None
    metadata: JsonObject | None
    status: SpanStatus
    type: SpanType
    application_interaction_id: str | None
    application_variant_id: str | None
    obs_span_id: str | None
    obs_trace_id: str | None
    input_tokens: int | None
    output_tokens: int | None
    created_by: Identity


class SpanList(BaseModel):
    """Spans, all of them."""

    object: Literal["list"]
    items: list[Span]


class SpanPage(BaseModel):
    """A page of spans."""

    object: Literal["list"]
    items: list[Span]
    total: int
    has_more: bool
    limit: int


class CreateSpanAssessment(BodyModel):
    """Something to say about a span: the field that `assessment_type` names, and perhaps a comment. Without a
    `span_id` it is about the trace's root span."""

    assessment_type: Kind
    trace_id: str
    span_id: str | None = None
    comment: str | None = None
    rating: int | None = Field(default=None, ge=1, le=5)
    approval: Approval | None = None
    rubric: dict[str, str] | None = None
    metadata: JsonObject | None = None
    overwrite: JsonObject | None = None


class UpdateSpanAssessment(BodyModel):
    """Changes to an assessment: only what is sent changes, and null takes a content away."""

    assessment_type: Kind = AssessmentType.COMMENT
    comment: str | None = None
    rating: int | None = Field(default=None, ge=1, le=5)
    approval: Approval | None = None
    rubric: dict[str, str] | None = None
    metadata: JsonObject | None = None
    overwrite: JsonObject | None = None


class SpanAssessment(BaseModel):
    """What somebody said about a span. `created_by` is the id of who said it."""

    assessment_id: str
    object: Literal["span.assessment"]
    assessment_type: AssessmentType
    account_id: str
    span_id: str
    trace_id: str
    created_by: str
    comment: str | None
    rating: int | None
    approval: Approval | None
    rubric: dict[str, str] | None
    metadata: JsonObject | None
    overwrite: JsonObject | None
    created_at: datetime
    updated_at: datetime


class SpanAssessmentList(BaseModel):
    """Assessments, all of them."""

    object: Literal["list"]
    items: list[SpanAssessment]


class DeletedSpanAssessment(BaseModel):
    """Says that an assessment was removed for good."""

    id: str
    object: Literal["span.assessment"]
    deleted: Literal[True]
