"""Interactions that applications tell of: `/v4/interactions/`, with the slash that clients send."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody
from assay.api.v4.interactions import new_interaction, render_created_interaction
from assay.api.v4.schemas.interactions import CreatedInteraction, CreateInteraction

router = version_router("/v4", "Interactions (v4)")


@router.post("/interactions", response_model=CreatedInteraction, include_in_schema=False)
@router.post("/interactions/", response_model=CreatedInteraction)
async def create_interaction(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateInteraction, Depends(CreateBody(CreateInteraction))],
) -> Response:
    """Tell of one exchange with an application, with its steps, which are spans in version 5. There are no threads:
    `thread_id` is kept as it is given."""
    return json_response(render_created_interaction(await services.interactions.create(caller, new_interaction(body))))
