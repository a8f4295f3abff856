"""Application specs: `/v4/application-specs`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody, PatchBody
from assay.api.v4.catalogue import render_application_spec
from assay.api.v4.paging import FromPage, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas.applications import ApplicationSpec, CreateApplicationSpec, UpdateApplicationSpec
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.tenancy import FromAccounts
from assay.services.applications import NewSpec

router = version_router("/v4", "Application specs (v4)")


@router.post("/application-specs", response_model=ApplicationSpec)
async def create_application_spec(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateApplicationSpec, Depends(CreateBody(CreateApplicationSpec))],
) -> Response:
    """Make an application spec."""
    new = NewSpec(body.name, body.description, body.run_online_evaluation, body.theme_id)
    spec = await services.application_specs.create(caller.within(body.account_id), new)
    return json_response(render_application_spec(spec))


@router.get("/application-specs", response_model=Numbered[ApplicationSpec])
async def list_application_specs(
    services: FromServices, accounts: FromAccounts, page: FromPage, include_archived: bool = False
) -> Response:
    """Application specs, newest first."""
    found = await services.application_specs.list(accounts, page, include_archived=include_archived)
    return page_answer([render_application_spec(spec) for spec in found.items], found, page)


@router.get("/application-specs/{application_spec_id}", response_model=ApplicationSpec)
async def retrieve_application_spec(application_spec_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One application spec, archived or not."""
    return json_response(render_application_spec(await services.application_specs.get(caller, application_spec_id)))


@router.patch("/application-specs/{application_spec_id}", response_model=ApplicationSpec)
async def update_application_spec(
    application_spec_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateApplicationSpec, Depends(PatchBody(UpdateApplicationSpec))],
) -> Response:
    """Change what is sent, or bring an archived spec back with `restore`."""
    if body.restore:
        spec = await services.application_specs.restore(caller, application_spec_id)
    else:
        spec = await services.application_specs.update(caller, application_spec_id, body.changes())
    return json_response(render_application_spec(spec))


@router.delete("/application-specs/{application_spec_id}", response_model=Deleted)
async def delete_application_spec(application_spec_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive an application spec."""
    return deleted_answer(await services.application_specs.archive(caller, application_spec_id))
