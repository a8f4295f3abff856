"""Evaluations of applications: `/v4/evaluations`."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import ApiServices, FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody, PatchBody
from assay.api.v4.catalogue import new_evaluation_config
from assay.api.v4.evaluations import LEGACY_VIEWS, render_evaluation, render_with_views
from assay.api.v4.paging import OptionalText, list_of, page_answer, sorted_page_of
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.results import wanted_views
from assay.api.v4.schemas import evaluations as wire
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.tenancy import FromAccounts
from assay.core.application_evaluations import SORT_KEYS, ApplicationEvaluation, EvaluationQuery
from assay.core.identity import Caller
from assay.core.paging import NumberedPage
from assay.services.application_evaluations import NewApplicationEvaluation

router = version_router("/v4", "Evaluations (v4)")

VIEWS = ("ApplicationSpec", "AsyncJobs", "EvaluationConfig", "EvaluationDatasets", "TestCaseResults", "CreatedByUser")
"""The last two are older clients': results are shown (at most 10,000, in lists 100), the other adds nothing."""
FromViews = Annotated[tuple[str, ...], list_of("view", VIEWS)]
_RESULTS_OF_ONE, _RESULTS_IN_LISTS = NumberedPage(limit=10_000), NumberedPage(limit=100)


@router.post("/evaluations", response_model=wire.ApplicationEvaluation, name="create_application_evaluation")
async def create_evaluation(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateApplicationEvaluation, Depends(CreateBody(wire.CreateApplicationEvaluation))],
) -> Response:
    """Make an evaluation; it is PENDING and without results. A builder's results are made by its job."""
    acting = caller.within(body.account_id)
    return json_response(render_evaluation(await services.application_evaluations.create(acting, _new(body))))


@router.get(
    "/evaluations", response_model=Numbered[wire.ApplicationEvaluationWithViews], name="list_application_evaluations"
)
async def list_evaluations(
    services: FromServices,
    caller: FromCaller,
    accounts: FromAccounts,
    page: Annotated[NumberedPage, sorted_page_of(*SORT_KEYS)],
    view: FromViews,
    application_spec_id: OptionalText = None,
    include_archived: bool = False,
) -> Response:
    """Evaluations of every account that the key opens, or of `account_id`; newest first unless `sort_by` says
    otherwise. Names sort by code point, objects by their JSON text, lists by their length, missing values last
    when ascending; the newest comes first among equals."""
    query = EvaluationQuery(accounts, page, application_spec_id, include_archived)
    found = await services.application_evaluations.list(query)
    items = await _with_views(services, caller, found.items, view, _RESULTS_IN_LISTS)
    return page_answer(items, found, page)


@router.get(
    "/evaluations/{evaluation_id}",
    response_model=wire.ApplicationEvaluationWithViews,
    name="retrieve_application_evaluation",
)
async def retrieve_evaluation(
    evaluation_id: str, services: FromServices, caller: FromCaller, view: FromViews
) -> Response:
    """One evaluation, archived or not."""
    found = await services.application_evaluations.get(caller, evaluation_id)
    return json_response((await _with_views(services, caller, [found], view, _RESULTS_OF_ONE))[0])


@router.patch(
    "/evaluations/{evaluation_id}", response_model=wire.ApplicationEvaluation, name="update_application_evaluation"
)
async def update_evaluation(
    evaluation_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateApplicationEvaluation, Depends(PatchBody(wire.UpdateApplicationEvaluation))],
) -> Response:
    """Change what is sent, or bring an archived evaluation back with `restore`. Of an evaluation that version 5
    made, only name, description and tags can change here."""
    if body.restore:
        changed = await services.application_evaluations.restore(caller, evaluation_id)
    else:
        changed = await services.application_evaluations.update(caller, evaluation_id, body.changes())
    return json_response(render_evaluation(changed))


@router.delete("/evaluations/{evaluation_id}", response_model=Deleted, name="delete_application_evaluation")
async def delete_evaluation(evaluation_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive an evaluation with its results."""
    return deleted_answer(await services.application_evaluations.delete(caller, evaluation_id))


async def _with_views(
    services: ApiServices,
    caller: Caller,
    found: Sequence[ApplicationEvaluation],
    view: Sequence[str],
    most: NumberedPage,
) -> list[dict[str, Any]]:
    around = await services.application_evaluations.surroundings(
        found, specs="ApplicationSpec" in view, configs="EvaluationConfig" in view, jobs="AsyncJobs" in view
    )
    results = {}
    if "TestCaseResults" in view:
        results = await services.test_case_results.of_evaluations(caller, found, most, wanted_views(LEGACY_VIEWS))
    return [render_with_views(each, view, around, results) for each in found]


def _new(body: wire.CreateApplicationEvaluation) -> NewApplicationEvaluation:
    inline, metrics = body.inline_evaluation_config, body.metric_config
    return NewApplicationEvaluation(
        name=body.name,
        description=body.description,
        spec_id=body.application_spec_id,
        kind=body.type,
        variant_id=body.application_variant_id,
        tags=body.tags,
        configuration=body.evaluation_config,
        configuration_id=body.evaluation_config_id,
        inline_configuration=None if inline is None else new_evaluation_config(inline),
        annotation_config=body.annotation_config,
        question_annotation_configs=body.question_id_to_annotation_config,
        metric_config=None if metrics is None else metrics.model_dump(exclude_unset=True),
        dataset_id=body.evaluation_dataset_id,
        dataset_version=body.evaluation_dataset_version,
        output_group_id=body.application_test_case_output_group_id,
    )
