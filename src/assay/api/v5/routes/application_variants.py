"""Application variants: `/v5/application-variants`, an extension of Assay's. The same things as version 4's."""

from typing import Annotated, Any

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import page_of
from assay.api.shared.rendering import json_response, page_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.application_variants import render_application_variant, render_dry_run
from assay.api.v5.schemas.application_variants import (
    ApplicationDryRun,
    ChangeVariant,
    DeletedVariant,
    DryRunApplication,
    RegisteredVariant,
    RegisteredVariantPage,
    RegisterVariant,
)
from assay.core.application_calls import ApplicationCall
from assay.core.applications import VariantVersion
from assay.core.errors import InvalidInput, Problem
from assay.core.paging import PageRequest
from assay.services.applications import NewVariant

router = version_router("/v5", "Application variants")


@router.post("/application-variants", response_model=RegisteredVariant)
async def register_application_variant(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[RegisterVariant, Depends(JsonBody(RegisterVariant))],
) -> Response:
    """Register an application by its endpoint. In version 4 it is a V0 variant without nodes."""
    new = NewVariant(
        application_spec_id=body.application_spec_id or "",
        name=body.name,
        version=VariantVersion.V0,
        configuration={"nodes": [], "edges": [], "endpoint": body.endpoint},
        description=body.description,
    )
    try:
        variant = await services.application_variants.register(caller, new)
    except InvalidInput as invalid:
        raise _in_wire_places(invalid) from None
    return json_response(render_application_variant(variant))


@router.get("/application-variants", response_model=RegisteredVariantPage)
async def list_application_variants_v5(
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, page_of("created_at", "name", "id")],
    application_spec_id: str | None = None,
    include_archived: bool = False,
) -> Response:
    """The account's variants, of whatever version."""
    found = await services.application_variants.page(
        caller, page, include_archived=include_archived, application_spec_id=application_spec_id or None
    )
    items = [render_application_variant(variant) for variant in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/application-variants/{application_variant_id}", response_model=RegisteredVariant)
async def retrieve_application_variant_v5(
    application_variant_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """One variant, archived or not."""
    variant = await services.application_variants.get(caller.narrowed(), application_variant_id)
    return json_response(render_application_variant(variant))


@router.patch("/application-variants/{application_variant_id}", response_model=RegisteredVariant)
async def update_application_variant_v5(
    application_variant_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[ChangeVariant, Depends(JsonBody(ChangeVariant))],
) -> Response:
    """Change what is sent. Evaluations that are there keep calling the endpoint that they were made with."""
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    if "endpoint" in changes:
        changes["configuration"] = {"endpoint": changes.pop("endpoint")}
    try:
        variant = await services.application_variants.update(caller.narrowed(), application_variant_id, changes)
    except InvalidInput as invalid:
        raise _in_wire_places(invalid) from None
    return json_response(render_application_variant(variant))


@router.delete("/application-variants/{application_variant_id}", response_model=DeletedVariant)
async def archive_application_variant(
    application_variant_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """Archive a variant: nothing new can call it. Doing it twice changes nothing."""
    await services.application_variants.archive(caller.narrowed(), application_variant_id)
    return json_response({"id": application_variant_id, "object": "application_variant", "deleted": True})


@router.post("/application-variants/{application_variant_id}/dry-run", response_model=ApplicationDryRun)
async def dry_run_application_variant(
    application_variant_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[DryRunApplication, Depends(JsonBody(DryRunApplication))],
) -> Response:
    """Call a variant once and show what was sent and what was mapped. Nothing is stored."""
    call = ApplicationCall(body.inputs, body.history, body.operation_metadata, body.overrides)
    run = await services.application_runs.run(caller.narrowed(), application_variant_id, call)
    return json_response(render_dry_run(run))


def _in_wire_places(invalid: InvalidInput) -> InvalidInput:
    """The endpoint's faults where this version has the endpoint: beside the name, not in a configuration."""
    inside = ("body", "configuration")
    return InvalidInput(
        [
            Problem(("body", *each.loc[2:]), each.message, each.type, each.input) if each.loc[:2] == inside else each
            for each in invalid.problems
        ]
    )
