"""Model templates, models and deployments as version 4 shows them."""

from collections.abc import Collection
from typing import Any

from assay.api.shared.bodies import BodyModel
from assay.api.v4.bodies import PartialChanges
from assay.api.v4.catalogue import render_entity
from assay.api.v4.schemas import models as wire
from assay.core.model_records import ModelDeployment, ModelTemplate
from assay.services.model_records import ShownInstance

NOT_DEPLOYED = "NOT_DEPLOYED"
_ENTITY = frozenset({"id", "account_id", "created_at", "name"})
_TURNS = ("CHAT_COMPLETION", "AGENT")


def new_details(body: BodyModel) -> dict[str, Any]:
    """What is kept of a new record beside its name."""
    return body.model_dump(exclude={"account_id", "name", "wait_for_ready"}, exclude_none=True)


def changed_details(body: PartialChanges) -> dict[str, Any]:
    """What a change says of a record beside its name; None clears."""
    return body.model_dump(exclude={"name", "wait_for_ready"}, exclude_unset=True)


def render_template(template: ModelTemplate) -> dict[str, Any]:
    """A template."""
    fields = wire.CreateModelTemplate.model_fields.keys() - _ENTITY
    return {
        **render_entity(template),
        "name": template.name,
        **{field: template.details.get(field) for field in fields},
    }


def render_model(shown: ShownInstance, views: Collection[str] = ()) -> dict[str, Any]:
    """A model, with the views asked for. What its requests look like nobody knows: the schemas are empty."""
    instance = shown.instance
    fields = wire.CreateModelInstance.model_fields.keys() - _ENTITY
    rendered = {
        **render_entity(instance),
        "name": instance.name,
        **{field: instance.details.get(field) for field in fields},
        "deployment_count": shown.deployment_count,
        "request_schema": {},
        "response_schema": {},
        "supports_multi_turn": instance.details.get("model_type") in _TURNS,
    }
    if "Deployments" in views:
        rendered["deployments"] = [render_deployment(each) for each in shown.deployments or ()]
    if "ModelGroup" in views:
        rendered["model_group"] = None
    return rendered


def render_deployment(deployment: ModelDeployment) -> dict[str, Any]:
    """A deployment."""
    fields = wire.CreateDeployment.model_fields.keys() - _ENTITY - {"wait_for_ready"}
    return {
        **render_entity(deployment),
        "name": deployment.name,
        "status": NOT_DEPLOYED,
        "model_instance_id": deployment.instance_id,
        "model_endpoint_id": None,
        **{field: deployment.details.get(field) for field in fields},
    }
