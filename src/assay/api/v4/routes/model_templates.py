"""Model templates: `/v4/model-templates`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody
from assay.api.v4.models import new_details, render_template
from assay.api.v4.paging import FromPage, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.schemas.models import CreateModelTemplate, ModelTemplate
from assay.api.v4.tenancy import FromAccounts

router = version_router("/v4", "Models (v4)")


@router.post("/model-templates", response_model=ModelTemplate)
async def create_model_template(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateModelTemplate, Depends(CreateBody(CreateModelTemplate))],
) -> Response:
    """Write down a template; nothing is launched from it."""
    template = await services.model_templates.create(caller.within(body.account_id), body.name, new_details(body))
    return json_response(render_template(template))


@router.get("/model-templates", response_model=Numbered[ModelTemplate])
async def list_model_templates(services: FromServices, accounts: FromAccounts, page: FromPage) -> Response:
    """Templates, newest first."""
    found = await services.model_templates.list(accounts, page)
    return page_answer([render_template(each) for each in found.items], found, page)


@router.get("/model-templates/{model_template_id}", response_model=ModelTemplate)
async def retrieve_model_template(model_template_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One template, archived or not."""
    return json_response(render_template(await services.model_templates.get(caller, model_template_id)))


@router.delete("/model-templates/{model_template_id}", response_model=Deleted)
async def delete_model_template(model_template_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive a template."""
    return deleted_answer(await services.model_templates.archive(caller, model_template_id))
