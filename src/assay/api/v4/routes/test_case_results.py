"""Results of test cases: `/v4/evaluations/{evaluation_id}/test-case-results`."""

from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBatch, CreateBody, PatchBody
from assay.api.v4.paging import FromPage, list_of, page_answer
from assay.api.v4.results import render_result, render_shown, wanted_views
from assay.api.v4.schemas import results as wire
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.tenancy import FromAccounts
from assay.core.test_case_results import AuditStatus, LabelStatus
from assay.services.labels import LabelChanges
from assay.services.test_case_results import NewTestCaseResult

router = version_router("/v4", "Test case results (v4)")

VIEWS = ("AnnotationResults", "AuditTasks", "CustomMetrics", "Metrics", "Task", "TestCaseVersion", "Trace")
FromViews = Annotated[tuple[str, ...], list_of("view", VIEWS)]
_RESULTS = "/evaluations/{evaluation_id}/test-case-results"


@router.post(_RESULTS, response_model=wire.TestCaseResult)
async def create_test_case_result(
    evaluation_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateTestCaseResult, Depends(CreateBody(wire.CreateTestCaseResult))],
) -> Response:
    """Add a result; the evaluation's counts and status follow."""
    made = await services.test_case_results.create(caller, evaluation_id, [_new(body)], batch=False)
    return json_response(render_result(made[0]))


@router.post(f"{_RESULTS}/batch", response_model=list[wire.TestCaseResult])
async def create_test_case_results(
    evaluation_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[list[wire.CreateTestCaseResult], Depends(CreateBatch(wire.CreateTestCaseResult))],
) -> Response:
    """Add results, all or none; they are answered in the order sent."""
    made = await services.test_case_results.create(caller, evaluation_id, [_new(each) for each in body], batch=True)
    return json_response([render_result(each) for each in made])


@router.get(_RESULTS, response_model=Numbered[wire.TestCaseResultWithViews])
async def list_test_case_results(
    evaluation_id: str,
    services: FromServices,
    caller: FromCaller,
    _accounts: FromAccounts,
    page: FromPage,
    view: FromViews,
    include_archived: bool = False,
) -> Response:
    """An evaluation's results, oldest first."""
    found = await services.test_case_results.list(
        caller, evaluation_id, page, wanted_views(view), include_archived=include_archived
    )
    return page_answer([render_shown(each, view) for each in found.items], found, page)


@router.get(f"{_RESULTS}/history/{{num}}", response_model=Numbered[wire.TestCaseResult])
async def list_test_case_result_history(
    evaluation_id: str,
    num: str,
    services: FromServices,
    caller: FromCaller,
    _accounts: FromAccounts,
    page: FromPage,
) -> Response:
    """The results of one version of a dataset."""
    found = await services.test_case_results.history(caller, evaluation_id, num, page)
    return page_answer([render_result(each) for each in found.items], found, page)


@router.get(f"{_RESULTS}/{{test_case_result_id}}", response_model=wire.TestCaseResultWithViews)
async def retrieve_test_case_result(
    evaluation_id: str, test_case_result_id: str, services: FromServices, caller: FromCaller, view: FromViews
) -> Response:
    """One result."""
    shown = await services.test_case_results.get(caller, evaluation_id, test_case_result_id, wanted_views(view))
    return json_response(render_shown(shown, view))


@router.patch(f"{_RESULTS}/{{test_case_result_id}}", response_model=wire.TestCaseResult)
async def update_test_case_result(
    evaluation_id: str,
    test_case_result_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateTestCaseResult, Depends(PatchBody(wire.UpdateTestCaseResult))],
) -> Response:
    """Change what is sent, as a new revision. `result` completes it unless `label_status` is PENDING."""
    changed = await services.test_case_results.update(caller, evaluation_id, test_case_result_id, _new(body))
    return json_response(render_result(changed))


@router.get(f"{_RESULTS}/{{test_case_result_id}}/history", response_model=list[wire.TestCaseResult])
async def list_test_case_result_revisions(
    evaluation_id: str, test_case_result_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """Every revision of a result, oldest first."""
    revisions = await services.test_case_results.revisions(caller, evaluation_id, test_case_result_id)
    return json_response([render_result(each) for each in revisions])


@router.get(f"{_RESULTS}/{{test_case_result_id}}/history/{{num}}", response_model=wire.TestCaseResult)
async def retrieve_test_case_result_history(
    evaluation_id: str, test_case_result_id: str, num: str, services: FromServices, caller: FromCaller
) -> Response:
    """A result's newest revision for one version of its dataset."""
    return json_response(
        render_result(await services.test_case_results.history_of(caller, evaluation_id, test_case_result_id, num))
    )


def _new(body: wire.CreateTestCaseResult | wire.UpdateTestCaseResult) -> NewTestCaseResult:
    named = {
        "result": "answers",
        "audit_status": "audit_status",
        "audit_required": "audit_required",
        "audit_comment": "audit_comment",
        "time_spent_labeling_s": "seconds_spent",
    }
    labels = LabelChanges(
        status=None if body.label_status is None else LabelStatus(body.label_status),
        answers=body.result,
        annotated_by_id=body.annotated_by_user_id,
        annotated_by_type=body.annotated_by_identity_type,
        edited_by_type=body.edited_by_identity_type,
        audit_status=None if body.audit_status is None else AuditStatus(body.audit_status),
        audit_required=body.audit_required,
        audit_comment=body.audit_comment,
        seconds_spent=body.time_spent_labeling_s,
        given=frozenset(named[name] for name in body.model_fields_set if name in named),
    )
    return NewTestCaseResult(
        body.application_spec_id,
        body.evaluation_dataset_version_num,
        body.test_case_id,
        body.test_case_evaluation_data,
        labels,
    )
