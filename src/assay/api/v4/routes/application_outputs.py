"""Applications' outputs for test cases: `/v4/application-test-case-outputs`."""

from typing import Annotated

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBatch
from assay.api.v4.outputs import new_output, render_output, render_shown_output
from assay.api.v4.paging import FromPage, OptionalText, list_of, page_answer
from assay.api.v4.schemas import outputs as wire
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.tenancy import FromAccounts
from assay.core.application_outputs import OutputFilter
from assay.core.errors import RuleViolation

router = version_router("/v4", "Application test case outputs (v4)")

VIEWS = ("MetricScores", "TestCaseVersion", "Trace")
FromViews = Annotated[tuple[str, ...], list_of("view", VIEWS)]
_OUTPUTS = "/application-test-case-outputs"


@router.post(f"{_OUTPUTS}/batch", response_model=list[wire.ApplicationOutput])
async def create_application_outputs(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[list[wire.CreateApplicationOutput], Depends(CreateBatch(wire.CreateApplicationOutput))],
) -> Response:
    """Store the outputs of one variant for the test cases of one version, all or none, as a new group. Every test
    case of the version must have one, unless an item says `ignore_missing`."""
    if len({each.account_id for each in body}) > 1:
        raise RuleViolation("the outputs of one batch are of one account; send a batch for each")
    acting = caller.within(body[0].account_id if body else None)
    made = await services.application_outputs.create(acting, [new_output(each, n) for n, each in enumerate(body)])
    return json_response([render_output(each) for each in made])


def read_filter(
    accounts: FromAccounts,
    application_test_case_output_group_id: OptionalText = None,
    application_variant_id: OptionalText = None,
    application_variant_report_id: OptionalText = None,
    evaluation_dataset_id: OptionalText = None,
    evaluation_dataset_version_num: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> OutputFilter:
    """Which outputs a list covers. There are no reports yet: none has outputs."""
    group = application_test_case_output_group_id
    if application_variant_report_id is not None:
        group = f"report:{application_variant_report_id}"
    return OutputFilter(accounts, group, application_variant_id, evaluation_dataset_id, evaluation_dataset_version_num)


@router.get(_OUTPUTS, response_model=Numbered[wire.ApplicationOutputWithViews])
async def list_application_outputs(
    services: FromServices,
    caller: FromCaller,
    where: Annotated[OutputFilter, Depends(read_filter)],
    page: FromPage,
    view: FromViews,
) -> Response:
    """Outputs in the order in which they came."""
    found = await services.application_outputs.list(
        caller, page, where, cases="TestCaseVersion" in view, traces="Trace" in view
    )
    return page_answer([render_shown_output(each, view) for each in found.items], found, page)


@router.get(f"{_OUTPUTS}/{{application_test_case_output_id}}", response_model=wire.ApplicationOutputWithViews)
async def retrieve_application_output(
    application_test_case_output_id: str, services: FromServices, caller: FromCaller, view: FromViews
) -> Response:
    """One output."""
    found = await services.application_outputs.get(
        caller, application_test_case_output_id, cases="TestCaseVersion" in view, traces="Trace" in view
    )
    return json_response(render_shown_output(found, view))
