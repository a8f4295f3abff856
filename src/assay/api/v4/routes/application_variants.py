"""Application variants: `/v4/application-variants`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody, PatchBody
from assay.api.v4.catalogue import render_application_variant
from assay.api.v4.paging import FromPage, OptionalText, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas.applications import ApplicationVariant, CreateApplicationVariant, UpdateApplicationVariant
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.tenancy import FromAccounts
from assay.services.applications import NewVariant

router = version_router("/v4", "Application variants (v4)")


@router.post("/application-variants", response_model=ApplicationVariant)
async def create_application_variant(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[CreateApplicationVariant, Depends(CreateBody(CreateApplicationVariant))],
) -> Response:
    """Make an application variant. Its configuration is stored as it is given; nothing is run."""
    new = NewVariant(
        application_spec_id=body.application_spec_id,
        name=body.name,
        version=body.version,
        configuration=body.configuration,
        description=body.description,
        draft=body.draft,
        published_at=body.published_at,
    )
    variant = await services.application_variants.create(caller.within(body.account_id), new)
    return json_response(render_application_variant(variant))


@router.get("/application-variants", response_model=Numbered[ApplicationVariant])
async def list_application_variants(
    services: FromServices, accounts: FromAccounts, page: FromPage, application_spec_id: OptionalText = None
) -> Response:
    """Application variants, newest first."""
    found = await services.application_variants.list(accounts, page, application_spec_id=application_spec_id)
    return page_answer([render_application_variant(variant) for variant in found.items], found, page)


@router.get("/application-variants/{application_variant_id}", response_model=ApplicationVariant)
async def retrieve_application_variant(
    application_variant_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """One application variant, archived or not."""
    variant = await services.application_variants.get(caller, application_variant_id)
    return json_response(render_application_variant(variant))


@router.patch("/application-variants/{application_variant_id}", response_model=ApplicationVariant)
async def update_application_variant(
    application_variant_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateApplicationVariant, Depends(PatchBody(UpdateApplicationVariant))],
) -> Response:
    """Change what is sent."""
    variant = await services.application_variants.update(caller, application_variant_id, body.changes())
    return json_response(render_application_variant(variant))


@router.delete("/application-variants/{application_variant_id}", response_model=Deleted)
async def delete_application_variant(
    application_variant_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """Archive an application variant; evaluations of it stay."""
    return deleted_answer(await services.application_variants.archive(caller, application_variant_id))
