"""Interactions that applications tell of, as version 4 reads and shows them."""

from datetime import datetime, timedelta
from typing import Any

from assay.api.v4.schemas import interactions as wire
from assay.core.errors import InvalidInput
from assay.core.spans import NewSpan, Span, SpanStatus, SpanType
from assay.services.application_outputs import Trace
from assay.services.interactions import NewInteraction

_STORED = {"RETRIEVAL": SpanType.KB_RETRIEVAL}
_SHOWN = {kind: name for name, kind in _STORED.items()}


def new_interaction(body: wire.CreateInteraction) -> NewInteraction:
    """The exchange that a body tells of. Raises InvalidInput for a step that ends after all time."""
    return NewInteraction(
        variant_id=body.application_variant_id,
        input=body.input.model_dump(exclude_none=True),
        output=body.output.model_dump(exclude_none=True),
        started_at=body.start_timestamp,
        duration_ms=body.duration_ms,
        status=body.operation_status or "SUCCESS",
        metadata=body.operation_metadata,
        thread_id=body.thread_id,
        spans=[_new_span(each, number) for number, each in enumerate(body.trace_spans or ())],
    )


def _new_span(body: wire.CreateInteractionSpan, number: int) -> NewSpan:
    return NewSpan(
        trace_id="to be set",
        name=body.node_id,
        started_at=body.start_timestamp,
        ended_at=_end(body, number),
        input=body.operation_input,
        output=body.operation_output,
        metadata=body.operation_metadata,
        status=SpanStatus(body.operation_status or "SUCCESS"),
        type=_STORED.get(body.operation_type) or SpanType(body.operation_type),
    )


def _end(body: wire.CreateInteractionSpan, number: int) -> datetime:
    if body.end_timestamp is not None:
        return body.end_timestamp
    try:
        return body.start_timestamp + timedelta(milliseconds=body.duration_ms or 0)
    except OverflowError:
        place = ("body", "trace_spans", number, "duration_ms")
        raise InvalidInput.at(place, "ends after the year 9999", type="out_of_range") from None


def render_created_interaction(trace: Trace) -> dict[str, Any]:
    """An exchange, in the words of the request."""
    interaction = trace.interaction
    return {
        "id": interaction.id,
        "application_variant_id": interaction.variant_id,
        "input": interaction.input,
        "output": interaction.output,
        "start_timestamp": interaction.started_at,
        "duration_ms": interaction.duration_ms,
        "operation_metadata": interaction.metadata,
        "operation_status": interaction.status,
        "thread_id": interaction.thread_id,
        "trace_spans": [_span(span) for span in trace.spans],
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "id": span.id,
        "account_id": span.account_id,
        "application_interaction_id": span.application_interaction_id,
        "node_id": span.name,
        "operation_type": _SHOWN.get(span.type) or span.type.value,
        "operation_status": span.status.value,
        "operation_input": span.input,
        "operation_output": span.output,
        "operation_metadata": span.metadata,
        "start_timestamp": span.started_at,
        "end_timestamp": span.ended_at,
        "duration_ms": span.duration_ms or 0,
    }
