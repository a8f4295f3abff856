"""Running application variants: `/v4/applications/{application_variant_id}/process`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.schemas.applications import ProcessInputs
from assay.core.application_calls import ApplicationCall
from assay.core.errors import ApplicationFailed, NotOffered

router = version_router("/v4", "Applications (v4)")


@router.post("/applications/{application_variant_id}/process", response_model=None)
async def process_application(
    application_variant_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[ProcessInputs, Depends(JsonBody(ProcessInputs))],
) -> Response:
    """Run a variant once, at its endpoint. The answer is the mapped output; text comes as `{"output-text": ...}`.
    502 when the application fails."""
    if body.stream:
        raise NotOffered("a run of an application is not streamed; leave stream out")
    call = ApplicationCall(body.inputs, body.history, body.operation_metadata, body.overrides)
    run = await services.application_runs.run(caller, application_variant_id, call)
    if run.answer is None:
        assert run.error is not None
        raise ApplicationFailed(f"{run.error.type}: {run.error.message}")
    output = run.answer.output
    return json_response({"output-text": output} if isinstance(output, str) else output)
