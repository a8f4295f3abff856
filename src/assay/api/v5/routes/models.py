"""Registered models: `/v5/models`."""

from typing import Annotated, Any

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.errors import CONFLICT_RESPONSES
from assay.api.shared.queries import page_of
from assay.api.shared.rendering import json_response, page_response
from assay.api.shared.services import ApiServices, FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.schemas.models import CreateModel, DeletedModel, Model, ModelPage, UpdateModel
from assay.core.errors import InvalidInput, RuleViolation
from assay.core.paging import PageRequest
from assay.core.registered_models import ModelType, RegisteredModel
from assay.services.registered_models import DEPLOYING_VENDORS, ModelChanges, NewModel

router = version_router("/v5", "Models")


@router.post("/models", response_model=Model, responses=CONFLICT_RESPONSES)
async def create_model(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateModel, Depends(JsonBody(CreateModel, wrapper="model"))],
) -> Response:
    """Register a model that a configured vendor serves; it is ready at once. Vendors that deploy models (launch,
    llmengine) are left out."""
    if body.model_vendor not in DEPLOYING_VENDORS:
        if body.model_type is None:
            raise InvalidInput.at(("body", "model_type"), "Field required", type="missing")
        if body.vendor_configuration is not None:
            message = "only vendors that deploy models have one; this vendor's address is in the server's settings"
            raise InvalidInput.at(("body", "vendor_configuration"), message, type="extra_forbidden")
    new = NewModel(body.model_vendor, body.name, ModelType(body.model_type or "generic"), body.model_metadata)
    made = await services.registered_models.create(caller, new, update=body.on_conflict == "update")
    return json_response(_rendered(services, made))


@router.get("/models", response_model=ModelPage)
async def list_models(
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, page_of("created_at", "name", "id")],
    name: Annotated[str | None, Query(description="Part of the name, in any case.")] = None,
    model_vendor: Annotated[str | None, Query(description="Only this vendor's.")] = None,
) -> Response:
    """The account's registered models."""
    found = await services.registered_models.list(caller, page, name=name or None, vendor=model_vendor or None)
    items = [_rendered(services, model) for model in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/models/{model_id}", response_model=Model)
async def retrieve_model(model_id: str, services: FromServices, caller: FromCaller) -> Response:
    """One registered model."""
    return json_response(_rendered(services, await services.registered_models.get(caller, model_id)))


@router.patch("/models/{model_id}", response_model=Model, responses=CONFLICT_RESPONSES)
async def update_model(
    model_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateModel, Depends(JsonBody(UpdateModel, wrapper="model"))],
) -> Response:
    """Rename a model or change its metadata; with `on_conflict: swap` the model that has the new name gets the old."""
    if body.vendor_configuration is not None:
        raise RuleViolation("vendor_configuration: this model is not deployed here; there is nothing to configure")
    changes: ModelChanges = {}
    if body.name is not None:
        changes["name"] = body.name
    if "model_metadata" in body.model_fields_set:
        changes["metadata"] = body.model_metadata
    changed = await services.registered_models.update(caller, model_id, changes, swap=body.on_conflict == "swap")
    return json_response(_rendered(services, changed))


@router.delete("/models/{model_id}", response_model=DeletedModel)
async def delete_model(model_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Remove a model's record for good. The model itself stays where it is and can still be called."""
    await services.registered_models.delete(caller, model_id)
    return json_response({"id": model_id, "object": "model", "deleted": True})


def _rendered(services: ApiServices, model: RegisteredModel) -> dict[str, Any]:
    standing = services.registered_models.standing(model)
    return {
        "id": model.id,
        "object": "model",
        "name": model.name,
        "model_type": model.type.value,
        "model_vendor": model.vendor,
        "model_availability": standing.availability,
        "model_metadata": model.metadata,
        "status": "ready",
        "status_reason": standing.reason,
        "vendor_configuration": None,
        "created_at": model.created_at,
        "created_by_identity_type": model.created_by.type,
        "created_by_user_id": model.created_by.id,
    }
