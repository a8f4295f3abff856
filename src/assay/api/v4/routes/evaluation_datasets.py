"""Evaluation datasets and their versions: `/v4/evaluation-datasets`."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody, PatchBody
from assay.api.v4.datasets import dataset_metadata, render_dataset, render_version
from assay.api.v4.generation import render_approval
from assay.api.v4.paging import FromPage, list_of, page_answer
from assay.api.v4.rendering import Deleted, deleted_answer
from assay.api.v4.schemas import datasets as wire
from assay.api.v4.schemas.entities import Numbered
from assay.api.v4.tenancy import FromAccounts

router = version_router("/v4", "Evaluation datasets (v4)")

FromViews = Annotated[tuple[str, ...], list_of("view", ("DatasetVersion", "TestCaseCount"))]
_VERSIONS = "/evaluation-datasets/{evaluation_dataset_id}/evaluation-dataset-versions"


@router.post("/evaluation-datasets", response_model=wire.EvaluationDataset)
async def create_evaluation_dataset(
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateEvaluationDataset, Depends(CreateBody(wire.CreateEvaluationDataset))],
) -> Response:
    """Make an empty dataset. What a generated one is made from is kept for its generation jobs."""
    acting = caller.within(body.account_id)
    dataset = await services.dataset_versions.create(acting, body.name, body.schema_type, dataset_metadata(body))
    return json_response(render_dataset(dataset))


@router.get("/evaluation-datasets", response_model=Numbered[wire.EvaluationDataset])
async def list_evaluation_datasets(
    services: FromServices,
    accounts: FromAccounts,
    page: FromPage,
    view: FromViews,
    include_archived: bool = False,
) -> Response:
    """Datasets, newest first; those that version 5 made are FLEXIBLE."""
    found = await services.dataset_versions.list(accounts, page, include_archived=include_archived)
    views = await services.dataset_versions.views(
        found.items, versions="DatasetVersion" in view, test_cases="TestCaseCount" in view
    )
    return page_answer([render_dataset(each, views[each.id]) for each in found.items], found, page)


@router.get("/evaluation-datasets/{evaluation_dataset_id}", response_model=wire.EvaluationDataset)
async def retrieve_evaluation_dataset(
    evaluation_dataset_id: str, services: FromServices, caller: FromCaller, view: FromViews
) -> Response:
    """One dataset, archived or not."""
    dataset = await services.dataset_versions.get(caller, evaluation_dataset_id)
    views = await services.dataset_versions.views(
        [dataset], versions="DatasetVersion" in view, test_cases="TestCaseCount" in view
    )
    return json_response(render_dataset(dataset, views[dataset.id]))


@router.patch("/evaluation-datasets/{evaluation_dataset_id}", response_model=wire.EvaluationDataset)
async def update_evaluation_dataset(
    evaluation_dataset_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.UpdateEvaluationDataset, Depends(PatchBody(wire.UpdateEvaluationDataset))],
) -> Response:
    """Give a dataset another name, or bring an archived one back with what was archived with it."""
    if body.restore:
        dataset = await services.dataset_versions.restore(caller, evaluation_dataset_id)
    else:
        dataset = await services.dataset_versions.rename(caller, evaluation_dataset_id, body.name)
    return json_response(render_dataset(dataset))


@router.delete("/evaluation-datasets/{evaluation_dataset_id}", response_model=Deleted)
async def remove_evaluation_dataset(evaluation_dataset_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive a dataset with its test cases, and version 4's evaluations of it with their results."""
    return deleted_answer(await services.dataset_versions.remove(caller, evaluation_dataset_id))


@router.post("/evaluation-datasets/{evaluation_dataset_id}/publish", response_model=wire.Published)
async def publish_evaluation_dataset(
    evaluation_dataset_id: str, services: FromServices, caller: FromCaller, force: bool = False
) -> Response:
    """Publish the test cases as they are: the newest version if nothing changed since, else a new one. While there
    are drafts that nobody approved it publishes nothing and lists them, unless `force`."""
    return _published(await services.dataset_versions.publish(caller, evaluation_dataset_id, force=force))


@router.post(_VERSIONS, response_model=wire.EvaluationDatasetVersion)
async def create_evaluation_dataset_version(
    evaluation_dataset_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[wire.CreateEvaluationDatasetVersion, Depends(CreateBody(wire.CreateEvaluationDatasetVersion))],
) -> Response:
    """Make a version of the test cases as they are."""
    version = await services.dataset_versions.snapshot(
        caller, evaluation_dataset_id, draft=body.draft is not False, published_at=body.published_at
    )
    return json_response(render_version(await services.dataset_versions.get(caller, evaluation_dataset_id), version))


@router.get(_VERSIONS, response_model=Numbered[wire.EvaluationDatasetVersion])
async def list_evaluation_dataset_versions(
    evaluation_dataset_id: str,
    services: FromServices,
    caller: FromCaller,
    _accounts: FromAccounts,
    page: FromPage,
    include_archived: bool = False,
) -> Response:
    """A dataset's versions, by number."""
    dataset = await services.dataset_versions.get(caller, evaluation_dataset_id)
    found = await services.dataset_versions.list_versions(caller, evaluation_dataset_id, page)
    return page_answer([render_version(dataset, version) for version in found.items], found, page)


@router.get(_VERSIONS + "/{evaluation_dataset_version_id}", response_model=wire.EvaluationDatasetVersion)
async def retrieve_evaluation_dataset_version(
    evaluation_dataset_id: str, evaluation_dataset_version_id: str, services: FromServices, caller: FromCaller
) -> Response:
    """One version."""
    dataset = await services.dataset_versions.get(caller, evaluation_dataset_id)
    version = await services.dataset_versions.get_version(caller, evaluation_dataset_id, evaluation_dataset_version_id)
    return json_response(render_version(dataset, version))


@router.post(_VERSIONS + "/{evaluation_dataset_version_id}/publish", response_model=wire.Published)
async def publish_evaluation_dataset_version(
    evaluation_dataset_id: str,
    evaluation_dataset_version_id: str,
    services: FromServices,
    caller: FromCaller,
    force: bool = False,
) -> Response:
    """Publish one version."""
    await services.dataset_versions.publish_version(caller, evaluation_dataset_id, evaluation_dataset_version_id)
    return _published()


def _published(unapproved: Sequence[str] = ()) -> Response:
    drafts = [render_approval(draft_id, success=False) for draft_id in unapproved]
    return json_response({"success": not drafts, "autogenerated_draft_test_cases": drafts})
