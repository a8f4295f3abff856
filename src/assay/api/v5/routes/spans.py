"""Spans: `/v5/spans`."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import OptionalWord, page_of
from assay.api.shared.rendering import json_response, page_response, render_identity
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.schemas import spans as wire
from assay.core.errors import InvalidInput, Problem
from assay.core.paging import PageRequest
from assay.core.spans import NewSpan, Span, SpanFilter, SpanStatus, SpanType, split_terms

router = version_router("/v5", "Spans")

AGENT_KEYS = {
    "acp_types": "__acp_type__",
    "agentex_agent_ids": "__agent_id__",
    "agentex_agent_names": "__agent_name__",
}
"""Filters for agents' spans, and the metadata keys under which agents' tracers say it."""
SHORTEST_TERM = 2

_SAME = (
    "id",
    "trace_id",
    "name",
    "parent_id",
    "group_id",
    "input",
    "output",
    "expected",
    "metadata",
    "application_interaction_id",
    "application_variant_id",
    "obs_span_id",
    "obs_trace_id",
)
"""Fields that are called the same in the core and on the wire."""


@router.post("/spans", response_model=wire.Span)
async def create_span(
    services: FromServices, caller: FromCaller, body: Annotated[wire.CreateSpan, Depends(JsonBody(wire.CreateSpan))]
) -> Response:
    """Store one new span. 409 when its id is taken or its parent is in another trace."""
    return json_response(_render(await services.spans.create(caller, _new_span(body))))


@router.post("/spans/batch", response_model=wire.SpanList)
async def create_spans(
    services: FromServices, caller: FromCaller, body: Annotated[wire.SpanBatch, Depends(JsonBody(wire.SpanBatch))]
) -> Response:
    """Store new spans, at most 1,000, all or none. 409 when an id is taken or comes twice."""
    return _listed(await services.spans.create_many(caller, [_new_span(item) for item in body.items]))


@router.put("/spans/batch", response_model=wire.SpanList)
async def upsert_spans(
    services: FromServices, caller: FromCaller, body: Annotated[wire.SpanBatch, Depends(JsonBody(wire.SpanBatch))]
) -> Response:
    """Store spans, at most 1,000, that may be there already or come several times: the last telling stays, but a
    finished span is not replaced by a running one. Answers with each span once."""
    return _listed(await services.spans.upsert(caller, [_new_span(item) for item in body.items]))


@router.post("/spans/search", response_model=wire.SpanPage)
async def search_spans(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.SearchSpans, Depends(JsonBody(wire.SearchSpans))],
    page: Annotated[PageRequest, page_of("start_timestamp", "duration_ms", "input_tokens", "output_tokens")],
    from_ts: Annotated[wire.Time | None, OptionalWord, Query(description="The earliest start.")] = None,
    to_ts: Annotated[wire.Time | None, OptionalWord, Query(description="The latest start.")] = None,
    allow_partial_results: Annotated[
        bool, Query(description="Answer with fewer spans than `limit` where all would be too much.")
    ] = False,
) -> Response:
    """The account's spans that meet every condition, with the exact number of them."""
    where = replace(_filter(body), since=from_ts, until=to_ts)
    ordered = replace(page, sort_by="started_at") if page.sort_by == "start_timestamp" else page
    found = await services.spans.search(caller, ordered, where, allow_partial=allow_partial_results)
    items = [_render(span) for span in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/spans/{span_id:path}", response_model=wire.Span)
async def retrieve_span(span_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One span."""
    return json_response(_render(await services.spans.get(caller, span_id)))


@router.patch("/spans/{span_id:path}", response_model=wire.Span)
async def update_span(
    span_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateSpan, Depends(JsonBody(wire.UpdateSpan))],
) -> Response:
    """Change a span's name, end, output, metadata or status."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if "end_timestamp" in changes:
        changes["ended_at"] = changes.pop("end_timestamp")
    return json_response(_render(await services.spans.update(caller, span_id, changes)))


def _new_span(body: wire.CreateSpan) -> NewSpan:
    return NewSpan(
        **{name: getattr(body, name) for name in _SAME},
        started_at=body.start_timestamp,
        ended_at=body.end_timestamp,
        status=body.status or SpanStatus.SUCCESS,
        type=body.type or SpanType.CUSTOM,
    )


def _filter(body: wire.SearchSpans) -> SpanFilter:
    texts, text_trace_ids = split_terms(body.search_texts or ())
    problems = [
        Problem(("body", "search_texts"), f"a term needs at least {SHORTEST_TERM} characters", "too_short", text)
        for text in texts
        if len(text) < SHORTEST_TERM
    ]
    metadata = _wanted(body)
    if sum(len(values) for _, values in metadata) > wire.MOST_VALUES:
        message = f"at most {wire.MOST_VALUES} values in all"
        problems.append(Problem(("body", "extra_metadata"), message, "too_long"))
    if problems:
        raise InvalidInput(problems)
    lists = (
        "trace_ids",
        "span_ids",
        "parent_ids",
        "excluded_trace_ids",
        "excluded_span_ids",
        "names",
        "statuses",
        "types",
        "application_variant_ids",
        "obs_span_ids",
        "obs_trace_ids",
        "assessment_types",
    )
    plain: dict[str, Any] = {name: tuple(getattr(body, name) or ()) for name in lists}
    return SpanFilter(
        **plain,
        spans=tuple((each.trace_id, each.span_id) for each in body.spans or ()),
        excluded_spans=tuple((each.trace_id, each.span_id) for each in body.excluded_spans or ()),
        group_id=body.group_id,
        parents_only=bool(body.parents_only),
        min_duration_ms=body.min_duration_ms,
        max_duration_ms=body.max_duration_ms,
        metadata=metadata,
        texts=texts,
        text_trace_ids=text_trace_ids,
    )


def _wanted(body: wire.SearchSpans) -> tuple[tuple[str, tuple[Any, ...]], ...]:
    """Each metadata key with the values that it may have: an array's elements, else the value itself."""
    given = [*(body.extra_metadata or {}).items()]
    given += [(key, values) for name, key in AGENT_KEYS.items() if (values := getattr(body, name))]
    return tuple((key, tuple(value) if isinstance(value, list) else (value,)) for key, value in given)


def _listed(spans: Sequence[Span]) -> Response:
    return json_response({"object": "list", "items": [_render(span) for span in spans]})


def _render(span: Span) -> dict[str, Any]:
    return {
        **{name: getattr(span, name) for name in _SAME},
        "object": "span",
        "account_id": span.account_id,
        "start_timestamp": span.started_at,
        "end_timestamp": span.ended_at,
        "status": span.status.value,
        "type": span.type.value,
        "input_tokens": span.input_tokens,
        "output_tokens": span.output_tokens,
        "created_by": render_identity(span.created_by),
    }
