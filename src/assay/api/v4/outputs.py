"""Applications' outputs, interactions and spans as version 4 shows them."""

from collections.abc import Collection
from typing import Any

from assay.api.v4.datasets import render_test_case
from assay.api.v4.rendering import render_creator
from assay.api.v4.schemas import outputs as wire
from assay.core.application_outputs import ApplicationOutput
from assay.core.errors import InvalidInput
from assay.core.spans import Span, SpanStatus, SpanType
from assay.services.application_outputs import NewOutput, NewTraceSpan, ShownOutput, Trace

RETRIEVAL = "RETRIEVAL"
"""A type that requests have and answers do not: there it is KB_RETRIEVAL."""


def new_output(body: wire.CreateApplicationOutput, index: int) -> NewOutput:
    """The output that an item of a batch describes. Raises InvalidInput for a span's unknown type."""
    return NewOutput(
        variant_id=body.application_variant_id,
        dataset_version=body.evaluation_dataset_version_num,
        test_case_id=body.test_case_id,
        output=body.output,
        metrics=body.metrics,
        spans=tuple(
            _new_span(each, ("body", index, "trace_spans", number))
            for number, each in enumerate(body.trace_spans or ())
        ),
        ignore_missing=bool(body.ignore_missing),
    )


def _new_span(body: wire.CreateTraceSpan, loc: tuple[str | int, ...]) -> NewTraceSpan:
    kind = body.operation_type or SpanType.CUSTOM.value
    kind = SpanType.KB_RETRIEVAL.value if kind == RETRIEVAL else kind
    if kind not in SpanType.__members__:
        known = ", ".join((*SpanType.__members__, RETRIEVAL))
        raise InvalidInput.at((*loc, "operation_type"), f"unknown; there are: {known}", type="enum")
    if body.end_timestamp is not None and body.end_timestamp < body.start_timestamp:
        raise InvalidInput.at((*loc, "end_timestamp"), "must not lie before start_timestamp", type="ends_before_start")
    return NewTraceSpan(
        node_id=body.node_id,
        started_at=body.start_timestamp,
        input=body.operation_input,
        output=body.operation_output,
        expected=body.operation_expected,
        metadata=body.operation_metadata,
        status=SpanStatus(body.operation_status or "SUCCESS"),
        type=SpanType(kind),
        ended_at=body.end_timestamp,
        duration_ms=body.duration_ms,
    )


def render_output(output: ApplicationOutput) -> dict[str, Any]:
    """An output without views."""
    return {
        "id": output.id,
        "account_id": output.account_id,
        "created_at": output.created_at,
        "application_variant_id": output.variant_id,
        "evaluation_dataset_id": output.dataset_id,
        "test_case_id": output.test_case_id,
        "output": output.output,
        "schema_type": output.schema_type,
        "application_interaction_id": output.interaction_id,
        "application_test_case_output_group_id": output.group_id,
        "metrics": output.metrics,
    }


def render_shown_output(shown: ShownOutput, views: Collection[str]) -> dict[str, Any]:
    """An output with the views asked for."""
    rendered = render_output(shown.output)
    if "MetricScores" in views:
        rendered["metric_scores"] = []
    if "TestCaseVersion" in views:
        case = shown.test_case
        rendered["test_case_version"] = None if case is None else render_test_case(*case, now=False)
    if "Trace" in views:
        rendered["interaction"] = None if shown.trace is None else render_interaction(shown.trace)
    return rendered


def render_traced_output(output: ApplicationOutput, trace: Trace | None) -> dict[str, Any]:
    """The output that a result was made from, as the view `Trace` of results shows it."""
    rendered = render_output(output)
    del rendered["metrics"]
    # Test cases have one id for all their revisions: with the number of the version it names the revision.
    rendered["test_case_version_id"] = f"{output.test_case_id}-{output.dataset_version}"
    rendered["interaction"] = None if trace is None else render_interaction(trace)
    return rendered


def render_interaction(trace: Trace) -> dict[str, Any]:
    """An interaction with its spans."""
    interaction = trace.interaction
    return {
        "id": interaction.id,
        "account_id": interaction.account_id,
        "aggregated": False,
        "application_spec_id": interaction.spec_id,
        "application_variant_id": interaction.variant_id,
        "chat_thread_id": interaction.thread_id,
        "created_at": interaction.created_at,
        "duration_ms": interaction.duration_ms,
        "input": interaction.input,
        "output": interaction.output,
        "interaction_source": interaction.source,
        "models": None,
        "operation_metadata": interaction.metadata,
        "operation_status": interaction.status,
        "start_timestamp": interaction.started_at,
        "trace_spans": [_span(each) for each in trace.spans],
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "id": span.id,
        "account_id": span.account_id,
        "application_interaction_id": span.application_interaction_id,
        "application_variant_id": span.application_variant_id,
        **render_creator(span.created_by),
        "node_id": span.name,
        "operation_type": span.type.value,
        "operation_status": span.status.value,
        "operation_input": span.input or {},
        "operation_output": span.output or {},
        "operation_expected": span.expected,
        "operation_metadata": span.metadata,
        "start_timestamp": span.started_at,
        "end_timestamp": span.ended_at,
        "duration_ms": span.duration_ms or 0,
        "parent_id": span.parent_id,
        "group_id": span.group_id,
        "trace_id": span.trace_id,
    }
