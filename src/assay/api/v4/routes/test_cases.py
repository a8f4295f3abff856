"""Test cases: `/v4/evaluation-datasets/{evaluation_dataset_id}/test-cases`."""

from typing import Annotated

from fastapi import Depends, Path, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBatch, CreateBody, PatchBody
from assay.api.v4.datasets import render_test_case
from assay.api.v4.paging import FromPage, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas import datasets as wire
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.tenancy import FromAccounts
from assay.services.test_cases import NewTestCase

router = version_router("/v4", "Test cases (v4)")

_CASES = "/evaluation-datasets/{evaluation_dataset_id}/test-cases"
VersionNumber = Annotated[int, Path(ge=1, lt=2**31)]


@router.post(_CASES, response_model=wire.TestCase)
async def create_test_case(
    evaluation_dataset_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateTestCase, Depends(CreateBody(wire.CreateTestCase))],
) -> Response:
    """Add a test case."""
    made = await services.test_cases.create(caller, evaluation_dataset_id, [_new(body)], loc=False)
    return json_response(render_test_case(made.dataset, made.cases.items[0]))


@router.post(f"{_CASES}/batch", response_model=list[wire.TestCase])
async def create_test_cases(
    evaluation_dataset_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[list[wire.CreateTestCase], Depends(CreateBatch(wire.CreateTestCase))],
) -> Response:
    """Add test cases, all or none; they are answered in the order sent."""
    made = await services.test_cases.create(caller, evaluation_dataset_id, [_new(each) for each in body], loc=True)
    return json_response([render_test_case(made.dataset, item) for item in made.cases.items])


@router.get(_CASES, response_model=Numbered[wire.TestCase])
async def list_test_cases(
    evaluation_dataset_id: str,
    services: FromServices,
    caller: FromCaller,
    _accounts: FromAccounts,
    page: FromPage,
    include_archived: bool = False,
) -> Response:
    """The test cases as they are, oldest first; with `include_archived` the deleted ones too."""
    found = await services.test_cases.list(caller, evaluation_dataset_id, page, include_archived=include_archived)
    return page_answer([render_test_case(found.dataset, item) for item in found.cases.items], found.cases, page)


@router.get(f"{_CASES}/history/{{num}}", response_model=Numbered[wire.TestCase])
async def list_test_case_history(
    evaluation_dataset_id: str,
    num: VersionNumber,
    services: FromServices,
    caller: FromCaller,
    _accounts: FromAccounts,
    page: FromPage,
) -> Response:
    """The test cases of one version."""
    found = await services.test_cases.list(caller, evaluation_dataset_id, page, version=num)
    items = [render_test_case(found.dataset, item, now=False) for item in found.cases.items]
    return page_answer(items, found.cases, page)


@router.get(f"{_CASES}/{{test_case_id}}", response_model=wire.TestCase)
async def retrieve_test_case(
    evaluation_dataset_id: str, test_case_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """One test case, deleted or not."""
    return json_response(render_test_case(*await services.test_cases.get(caller, evaluation_dataset_id, test_case_id)))


@router.patch(f"{_CASES}/{{test_case_id}}", response_model=wire.TestCase)
async def update_test_case(
    evaluation_dataset_id: str,
    test_case_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateTestCase, Depends(PatchBody(wire.UpdateTestCase))],
) -> Response:
    """Change what is sent, or bring a deleted test case back with `restore`. Versions stay as they are."""
    if body.restore:
        changed = await services.test_cases.restore(caller, evaluation_dataset_id, test_case_id)
    else:
        changed = await services.test_cases.update(caller, evaluation_dataset_id, test_case_id, body.changes())
    return json_response(render_test_case(*changed))


@router.delete(f"{_CASES}/{{test_case_id}}", response_model=Deleted)
async def delete_test_case(
    evaluation_dataset_id: str, test_case_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """Take a test case out; versions that have it keep it."""
    return deleted_answer(await services.test_cases.delete(caller, evaluation_dataset_id, test_case_id))


@router.get(f"{_CASES}/{{test_case_id}}/history/{{num}}", response_model=wire.TestCase)
async def retrieve_test_case_history(
    evaluation_dataset_id: str, test_case_id: str, num: VersionNumber, services: FromServices, caller: FromCaller
) -> Response:
    """A test case as it was in a version."""
    found = await services.test_cases.get(caller, evaluation_dataset_id, test_case_id, version=num)
    return json_response(render_test_case(*found, now=False))


@router.delete(f"{_CASES}/{{test_case_id}}/history", response_model=Deleted)
async def delete_test_case_history(
    evaluation_dataset_id: str, test_case_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """Remove a test case from every version, for good."""
    return deleted_answer(await services.test_cases.purge(caller, evaluation_dataset_id, test_case_id))


def _new(body: wire.CreateTestCase) -> NewTestCase:
    return NewTestCase(body.test_case_data, body.chat_history, body.test_case_metadata)
