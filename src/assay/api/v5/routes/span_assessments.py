"""What people say about spans: `/v5/span-assessments`."""

from typing import Annotated, Any

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import OptionalWord
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.schemas import spans as wire
from assay.core.spans import AssessmentType, SpanAssessment

router = version_router("/v5", "Span assessments")

CONTENTS = tuple(kind.value for kind in AssessmentType)


@router.post("/span-assessments", response_model=wire.SpanAssessment)
async def create_span_assessment(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateSpanAssessment, Depends(JsonBody(wire.CreateSpanAssessment))],
) -> Response:
    """Say something about a span, or about a trace's root span. 409 for a second overwrite of a span."""
    content = {name: getattr(body, name) for name in CONTENTS}
    made = await services.span_assessments.create(caller, body.trace_id, body.span_id, body.assessment_type, content)
    return json_response(_render(made))


@router.get("/span-assessments", response_model=wire.SpanAssessmentList)
async def list_span_assessments(
    services: FromServices,
    caller: FromCaller,
    span_id: Annotated[str | None, OptionalWord, Query()] = None,
    trace_id: Annotated[str | None, OptionalWord, Query()] = None,
    assessment_type: Annotated[AssessmentType | None, OptionalWord, Query()] = None,
) -> Response:
    """The assessments of a span or of all spans of a trace, oldest first. One of the two must be named."""
    found = await services.span_assessments.list(caller, span_id=span_id, trace_id=trace_id, kind=assessment_type)
    return json_response({"object": "list", "items": [_render(each) for each in found]})


@router.get("/span-assessments/{assessment_id}", response_model=wire.SpanAssessment)
async def retrieve_span_assessment(assessment_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One assessment."""
    return json_response(_render(await services.span_assessments.get(caller, assessment_id)))


@router.patch("/span-assessments/{assessment_id}", response_model=wire.SpanAssessment)
async def update_span_assessment(
    assessment_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateSpanAssessment, Depends(JsonBody(wire.UpdateSpanAssessment))],
) -> Response:
    """Change an assessment of one's own; the content must go with the type afterwards."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if "assessment_type" in changes:
        changes["type"] = changes.pop("assessment_type")
    return json_response(_render(await services.span_assessments.update(caller, assessment_id, changes)))


@router.delete("/span-assessments/{assessment_id}", response_model=wire.DeletedSpanAssessment)
async def delete_span_assessment(assessment_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Remove an assessment of one's own for good."""
    await services.span_assessments.delete(caller, assessment_id)
    return json_response({"id": assessment_id, "object": "span.assessment", "deleted": True})


def _render(assessment: SpanAssessment) -> dict[str, Any]:
    return {
        "assessment_id": assessment.id,
        "object": "span.assessment",
        "assessment_type": assessment.type.value,
        "account_id": assessment.account_id,
        "span_id": assessment.span_id,
        "trace_id": assessment.trace_id,
        "created_by": assessment.created_by.id,
        **{name: getattr(assessment, name) for name in CONTENTS},
        "created_at": assessment.created_at,
        "updated_at": assessment.updated_at,
    }
