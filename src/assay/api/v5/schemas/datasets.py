"""Datasets and their items on the v5 wire."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, field_validator, model_validator

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Dataset, Identity, Name, Restore, Tags
from assay.api.v5.schemas.evaluations import Rows

DatasetFiles = list[dict[str, str]]


class CreateDataset(BodyModel):
    """A new dataset. `files`, if given, goes with `data` row by row: the ids of uploaded files by field."""

    name: Name
    data: Rows
    files: DatasetFiles | None = None
    description: str | None = None
    tags: Tags | None = None


class UpdateDataset(BodyModel):
    """Changes to a dataset: only what is sent changes. Or `restore`, alone, to bring an archived one back."""

    restore: Restore | None = None
    name: Name | None = None
    description: str | None = None
    tags: Tags | None = None

    @field_validator("name")
    @classmethod
    def _named(cls, name: str | None) -> str:
        if name is None:
            raise ValueError("a dataset needs a name")
        return name

    @model_validator(mode="after")
    def _restore_stands_alone(self) -> Self:
        if self.restore and self.model_fields_set - {"restore"}:
            raise ValueError("restore goes alone; send the other changes after it")
        return self


class AddDatasetItems(BodyModel):
    """Rows to add to a dataset, as one new version."""

    dataset_id: str
    data: Rows
    files: DatasetFiles | None = None


class UpdateDatasetItem(BodyModel):
    """An item's new data, which replaces the old as a whole; `files` stay unless they are sent."""

    data: dict[str, Any]
    files: dict[str, str] | None = None


class DatasetItem(BaseModel):
    """A row of a dataset. Its id stays through all versions; `content_hash` is the SHA-256 of its content."""

    id: str
    object: Literal["dataset.item"]
    dataset_id: str
    data: dict[str, Any]
    files: dict[str, str] | None
    content_hash: str
    created_at: datetime
    updated_at: datetime
    created_by: Identity
    archived_at: datetime | None


class DeletedDataset(BaseModel):
    """Says that a dataset was archived."""

    id: str
    object: Literal["dataset"]
    deleted: Literal[True]


class DeletedDatasetItem(BaseModel):
    """Says that an item was taken out of its dataset."""

    id: str
    object: Literal["dataset.item"]
    deleted: Literal[True]


class DatasetPage(BaseModel):
    """A page of datasets."""

    object: Literal["list"]
    items: list[Dataset]
    total: int
    has_more: bool
    limit: int


class DatasetItemPage(BaseModel):
    """A page of dataset items."""

    object: Literal["list"]
    items: list[DatasetItem]
    total: int
    has_more: bool
    limit: int


class DatasetItemList(BaseModel):
    """Items, all of them."""

    object: Literal["list"]
    items: list[DatasetItem]
