"""Items of datasets: `/v5/dataset-items`."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.bodies import JsonBody
from assay.api.shared.queries import page_of
from assay.api.shared.rendering import json_response, page_response, render_identity
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v5.schemas.datasets import (
    AddDatasetItems,
    DatasetItem,
    DatasetItemList,
    DatasetItemPage,
    DeletedDatasetItem,
    UpdateDatasetItem,
)
from assay.core import datasets as core
from assay.core.paging import PageRequest

LARGEST_VERSION = 2**31 - 1

Version = Annotated[
    int | None, Query(ge=1, le=LARGEST_VERSION, description="A version of the dataset; the newest by default.")
]

router = version_router("/v5", "Dataset items")


@router.post("/dataset-items/batch", response_model=DatasetItemList)
async def add_dataset_items(
    services: FromServices, caller: FromCaller, body: Annotated[AddDatasetItems, Depends(JsonBody(AddDatasetItems))]
) -> Response:
    """Add rows to a dataset as one new version; returns their items in the order sent."""
    items = await services.datasets.add_items(caller, body.dataset_id, body.data, body.files)
    return json_response({"object": "list", "items": [render_dataset_item(item) for item in items]})


@router.get("/dataset-items", response_model=DatasetItemPage)
async def list_dataset_items(
    services: FromServices,
    caller: FromCaller,
    page: Annotated[PageRequest, page_of("created_at", "updated_at", "id")],
    dataset_id: Annotated[str | None, Query(description="Only this dataset's items.")] = None,
    version: Version = None,
    include_archived: bool = False,
) -> Response:
    """Items of one dataset, as of a version or now; without `dataset_id` those of every dataset, now."""
    found = await services.datasets.list_items(
        caller, page, dataset_id=dataset_id or None, version=version, include_archived=include_archived
    )
    items = [render_dataset_item(item) for item in found.items]
    return page_response(items, total=found.total, has_more=found.has_more, limit=page.limit)


@router.get("/dataset-items/{dataset_item_id}", response_model=DatasetItem)
async def retrieve_dataset_item(
    dataset_item_id: str, services: FromServices, caller: FromCaller, version: Version = None
) -> Response:
    """One item as it is now, or as it was in a version, also when it was changed or deleted since."""
    return json_response(
        render_dataset_item(await services.datasets.get_item(caller, dataset_item_id, version=version))
    )


@router.patch("/dataset-items/{dataset_item_id}", response_model=DatasetItem)
async def update_dataset_item(
    dataset_item_id: str,
    services: FromServices,
    caller: FromCaller,
    body: Annotated[UpdateDatasetItem, Depends(JsonBody(UpdateDatasetItem))],
) -> Response:
    """Replace an item's data as a whole, as one new version of its dataset."""
    keep_files = "files" not in body.model_fields_set
    item = await services.datasets.update_item(
        caller, dataset_item_id, body.data, body.files or None, keep_files=keep_files
    )
    return json_response(render_dataset_item(item))


@router.delete("/dataset-items/{dataset_item_id}", response_model=DeletedDatasetItem)
async def archive_dataset_item(dataset_item_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Take an item out of its dataset, as one new version; older versions keep it."""
    item = await services.datasets.archive_item(caller, dataset_item_id)
    return json_response({"id": item.id, "object": "dataset.item", "deleted": True})


def render_dataset_item(item: core.DatasetItem) -> Mapping[str, Any]:
    """A dataset item's wire object."""
    return {
        "id": item.id,
        "object": "dataset.item",
        "dataset_id": item.dataset_id,
        "data": item.data,
        "files": item.files,
        "content_hash": item.content_hash,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "created_by": render_identity(item.created_by),
        "archived_at": item.archived_at,
    }
