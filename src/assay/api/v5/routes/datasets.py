"""Datasets: `/v5/datasets`."""

from typing import Annotated

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import RawList, page_of, split_list
from assay.api.shared.rendering import json_response, page_response
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.schemas.datasets import CreateDataset, DatasetPage, DeletedDataset, UpdateDataset
from assay.api.v5.schemas.entities import Dataset
from assay.api.v5.translate import render_dataset
from assay.core.paging import PageRequest
from assay.ports.storage import TextFilter
from assay.services.datasets import DatasetChanges, NewDataset

router = version_router("/v5", "Datasets")


@router.post("/datasets", response_model=Dataset)
async def create_dataset(
    services: FromServices, caller: FromCaller, body: Annotated[CreateDataset, Depends(JsonBody(CreateDataset))]
) -> Response:
    """Make a dataset at version 1 from one row or more. All its rows are stored, or nothing is."""
    new = NewDataset(body.name, body.data, body.files, body.description, tuple(body.tags or ()))
    return json_response(render_dataset(await services.datasets.create(caller, new)))


@router.get("/datasets", response_model=DatasetPage)
async def list_datasets(
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, page_of("created_at", "name", "id", "current_version_num")],
    name: Annotated[str | None, Query(description="Part of the name, in any case.")] = None,
    tags: RawList = None,
    include_archived: bool = False,
) -> Response:
    """The account's datasets, those that have all of `tags`."""
    where = TextFilter(name or None, split_list(tags), include_archived)
    found = await services.datasets.list(caller, page, where)
    items = [render_dataset(dataset) for dataset in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/datasets/{dataset_id}", response_model=Dataset)
async def retrieve_dataset(
    dataset_id: str, services: FromServices, caller: FromCaller, include_archived: bool = False
) -> Response:
    """One dataset. An archived one is not found unless `include_archived` asks for it."""
    return json_response(
        render_dataset(await services.datasets.get(caller, dataset_id, include_archived=include_archived))
    )


@router.patch("/datasets/{dataset_id}", response_model=Dataset)
async def update_dataset(
    dataset_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateDataset, Depends(JsonBody(UpdateDataset, wrapper="dataset"))],
) -> Response:
    """Change the fields that are sent, or bring an archived dataset and its items back with `restore`."""
    if body.restore:
        return json_response(render_dataset(await services.datasets.restore(caller, dataset_id)))
    return json_response(render_dataset(await services.datasets.update(caller, dataset_id, _changes(body))))


@router.delete("/datasets/{dataset_id}", response_model=DeletedDataset)
async def archive_dataset(dataset_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Archive a dataset and its items; `restore` undoes it. An archived one cannot be archived again."""
    archived = await services.datasets.archive(caller, dataset_id)
    return json_response({"id": archived.id, "object": "dataset", "deleted": True})


def _changes(body: UpdateDataset) -> DatasetChanges:
    changes: DatasetChanges = {}
    if body.name is not None:
        changes["name"] = body.name
    if "description" in body.model_fields_set:
        changes["description"] = body.description
    if "tags" in body.model_fields_set:
        changes["tags"] = tuple(body.tags or ())
    return changes
