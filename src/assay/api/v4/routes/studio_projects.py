"""Studio projects: `/v4/studio-projects`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody, PatchBody
from assay.api.v4.catalogue import render_studio_project
from assay.api.v4.paging import FromPage, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.schemas.studio_projects import CreateStudioProject, StudioProject, UpdateStudioProject
from assay.api.v4.tenancy import FromAccounts

router = version_router("/v4", "Studio projects (v4)")


@router.post("/studio-projects", response_model=StudioProject)
async def create_studio_project(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateStudioProject, Depends(CreateBody(CreateStudioProject))],
) -> Response:
    """Make a studio project. Its key is neither used nor kept."""
    project = await services.studio_projects.create(caller.within(body.account_id), body.name, body.description)
    return json_response(render_studio_project(project))


@router.get("/studio-projects", response_model=Numbered[StudioProject])
async def list_studio_projects(services: FromServices, accounts: FromAccounts, page: FromPage) -> Response:
    """Studio projects, newest first."""
    found = await services.studio_projects.list(accounts, page)
    return page_answer([render_studio_project(each) for each in found.items], found, page)


@router.get("/studio-projects/{studio_project_id}", response_model=StudioProject)
async def retrieve_studio_project(studio_project_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One studio project, archived or not."""
    return json_response(render_studio_project(await services.studio_projects.get(caller, studio_project_id)))


@router.patch("/studio-projects/{studio_project_id}", response_model=StudioProject)
async def update_studio_project(
    studio_project_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateStudioProject, Depends(PatchBody(UpdateStudioProject))],
) -> Response:
    """Change what is sent; a new key is neither used nor kept."""
    changes = {name: value for name, value in body.changes().items() if name != "studio_api_key"}
    return json_response(
        render_studio_project(await services.studio_projects.update(caller, studio_project_id, changes))
    )


@router.delete("/studio-projects/{studio_project_id}", response_model=Deleted)
async def delete_studio_project(studio_project_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive a studio project."""
    return deleted_answer(await services.studio_projects.archive(caller, studio_project_id))
