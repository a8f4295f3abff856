"""Models and their deployments: `/v4/models`, `/v4/models/{id}/deployments` and `/v4/model-deployments`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody, PatchBody
from assay.api.v4.models import changed_details, new_details, render_deployment, render_model
from assay.api.v4.paging import FromPage, OptionalText, list_of, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas import models as wire
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.tenancy import FromAccounts

router = version_router("/v4", "Models (v4)")

FromViews = Annotated[tuple[str, ...], list_of("view", ("Deployments", "ModelGroup"))]
_DEPLOYMENTS = "/models/{model_instance_id}/deployments"


@router.post("/models", response_model=wire.ModelInstance)
async def create_model_instance(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateModelInstance, Depends(CreateBody(wire.CreateModelInstance))],
) -> Response:
    """Write down a model. Judges and tasks do not look here: they name models of the configured vendors."""
    shown = await services.model_instances.create(caller.within(body.account_id), body.name, new_details(body))
    return json_response(render_model(shown))


@router.get("/models", response_model=Numbered[wire.ModelInstance])
async def list_model_instances(
    services: FromServices,
    accounts: FromAccounts,
    page: FromPage,
    view: FromViews,
    model_type: OptionalText = None,
    model_group_id: OptionalText = None,
) -> Response:
    """Models, newest first."""
    found = await services.model_instances.list(
        accounts, page, model_type=model_type, group_id=model_group_id, deployments="Deployments" in view
    )
    return page_answer([render_model(each, view) for each in found.items], found, page)


@router.get("/models/{model_id}", response_model=wire.ModelInstance)
async def retrieve_model_instance(
    model_id: str, services: FromServices, caller: FromCaller, view: FromViews
) -> Response:
    """One model, archived or not."""
    shown = await services.model_instances.get(caller, model_id, deployments="Deployments" in view)
    return json_response(render_model(shown, view))


@router.patch("/models/{model_id}", response_model=wire.ModelInstance)
async def update_model_instance(
    model_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateModelInstance, Depends(PatchBody(wire.UpdateModelInstance))],
) -> Response:
    """Change what is sent."""
    shown = await services.model_instances.update(caller, model_id, name=body.name, details=changed_details(body))
    return json_response(render_model(shown))


@router.delete("/models/{model_id}", response_model=Deleted)
async def delete_model_instance(model_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive a model."""
    return deleted_answer(await services.model_instances.archive(caller, model_id))


@router.post(_DEPLOYMENTS, response_model=wire.ModelDeployment)
async def create_model_deployment(
    model_instance_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateDeployment, Depends(CreateBody(wire.CreateDeployment))],
) -> Response:
    """Write down a deployment; nothing is deployed, and its status says so."""
    acting = caller.within(body.account_id)
    deployment = await services.model_deployments.create(acting, model_instance_id, body.name, new_details(body))
    return json_response(render_deployment(deployment))


@router.get(_DEPLOYMENTS, response_model=Numbered[wire.ModelDeployment])
async def list_model_deployments(
    model_instance_id: str, services: FromServices, caller: FromCaller, _accounts: FromAccounts, page: FromPage
) -> Response:
    """A model's deployments, newest first."""
    found = await services.model_deployments.list(caller, model_instance_id, page)
    return page_answer([render_deployment(each) for each in found.items], found, page)


@router.get("/model-deployments", response_model=Numbered[wire.ModelDeployment])
async def list_all_model_deployments(services: FromServices, accounts: FromAccounts, page: FromPage) -> Response:
    """All models' deployments, newest first."""
    found = await services.model_deployments.list_all(accounts, page)
    return page_answer([render_deployment(each) for each in found.items], found, page)


@router.get(_DEPLOYMENTS + "/{deployment_id}", response_model=wire.ModelDeployment)
async def retrieve_model_deployment(
    model_instance_id: str, deployment_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """One deployment, archived or not."""
    return json_response(
        render_deployment(await services.model_deployments.get(caller, model_instance_id, deployment_id))
    )


@router.patch(_DEPLOYMENTS + "/{deployment_id}", response_model=wire.ModelDeployment)
async def update_model_deployment(
    model_instance_id: str,
    deployment_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateDeployment, Depends(PatchBody(wire.UpdateDeployment))],
) -> Response:
    """Change what is sent."""
    deployment = await services.model_deployments.update(
        caller, model_instance_id, deployment_id, name=body.name, details=changed_details(body)
    )
    return json_response(render_deployment(deployment))


@router.delete(_DEPLOYMENTS + "/{deployment_id}", response_model=Deleted)
async def delete_model_deployment(
    model_instance_id: str, deployment_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """Archive a deployment."""
    return deleted_answer(await services.model_deployments.archive(caller, model_instance_id, deployment_id))
