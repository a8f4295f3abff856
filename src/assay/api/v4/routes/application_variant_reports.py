"""Reports about application variants: `/v4/application-variant-reports`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody
from assay.api.v4.paging import FromPage, OptionalText, list_of, page_answer
from assay.api.v4.reports import render_report
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.schemas.reports import ApplicationVariantReport, CreateReport
from assay.api.v4.tenancy import FromAccounts

router = version_router("/v4", "Application variant reports (v4)")

FromViews = Annotated[tuple[str, ...], list_of("view", ("AsyncJobs",))]


@router.post("/application-variant-reports", response_model=ApplicationVariantReport)
async def create_application_variant_report(
    services: FromServices, caller: FromCaller, body: Annotated[CreateReport, Depends(CreateBody(CreateReport))]
) -> Response:
    """Make a report over datasets' newest published versions. It has no scores."""
    shown = await services.variant_reports.create(
        caller.within(body.account_id),
        body.application_variant_id,
        body.evaluation_dataset_ids,
        body.application_test_case_output_group_ids or (),
    )
    return json_response(render_report(shown, ()))


@router.get("/application-variant-reports", response_model=Numbered[ApplicationVariantReport])
async def list_application_variant_reports(
    services: FromServices,
    accounts: FromAccounts,
    page: FromPage,
    view: FromViews,
    application_spec_id: OptionalText = None,
    application_variant_id: OptionalText = None,
) -> Response:
    """Reports, newest first."""
    found = await services.variant_reports.list(
        accounts, page, spec_id=application_spec_id, variant_id=application_variant_id
    )
    return page_answer([render_report(each, view) for each in found.items], found, page)


@router.get("/application-variant-reports/{application_variant_report_id}", response_model=ApplicationVariantReport)
async def retrieve_application_variant_report(
    application_variant_report_id: str, services: FromServices, caller: FromCaller, view: FromViews
) -> Response:
    """One report."""
    return json_response(render_report(await services.variant_reports.get(caller, application_variant_report_id), view))
