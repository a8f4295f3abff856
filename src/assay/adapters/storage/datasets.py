"""Datasets, and how their rows are read where other repositories need them too."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Row, insert, select, update

from assay.adapters.storage.codec import fold, fold_tags
from assay.adapters.storage.paging import Listing, page_rows, text_conditions
from assay.adapters.storage.session import Session
from assay.adapters.storage.tables import datasets
from assay.core.datasets import Dataset
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest
from assay.ports.storage import TextFilter

_ORDERS = {
    "created_at": (datasets.c.created_at, datasets.c.seq),
    "name": (datasets.c.name, datasets.c.seq),
    "current_version_num": (datasets.c.current_version_num, datasets.c.seq),
    "id": (datasets.c.id,),
}


def naming(name: str, description: str | None, tags: tuple[str, ...]) -> dict[str, Any]:
    """The columns that things with a name, a description and tags share."""
    return {
        "name": name,
        "name_folded": fold(name),
        "description": description,
        "tags": list(tags),
        "tags_folded": fold_tags(tags),
    }


def to_dataset(row: Row[Any]) -> Dataset:
    """The dataset of a row of the table."""
    return Dataset(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        name=row.name,
        description=row.description,
        tags=tuple(row.tags),
        current_version_num=row.current_version_num,
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        archived_at=row.archived_at,
        schema_type=row.schema_type,
        metadata=row.metadata,
        updated_at=row.updated_at,
    )


class SqlDatasets:
    """Implements `ports.storage.DatasetRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, dataset: Dataset) -> Dataset:
        """Add it; returns it with its seq."""
        seq = await self._session.added(
            insert(datasets).values(
                id=dataset.id,
                account_id=dataset.account_id,
                **naming(dataset.name, dataset.description, dataset.tags),
                current_version_num=dataset.current_version_num,
                created_at=dataset.created_at,
                created_by_id=dataset.created_by.id,
                created_by_type=dataset.created_by.type,
                archived_at=dataset.archived_at,
                schema_type=dataset.schema_type,
                metadata=dataset.metadata,
                updated_at=dataset.updated_at,
            )
        )
        return replace(dataset, seq=seq)

    async def get(self, account_id: str, dataset_id: str, *, include_archived: bool = False) -> Dataset | None:
        """The account's dataset with that id."""
        row = await self._session.row(
            select(datasets).where(datasets.c.id == dataset_id, datasets.c.account_id == account_id)
        )
        if row is None or (row.archived_at is not None and not include_archived):
            return None
        return to_dataset(row)

    async def list(self, account_id: str, page: PageRequest, where: TextFilter) -> Page[Dataset]:
        """A page of the account's datasets."""
        members = select(datasets).where(datasets.c.account_id == account_id)
        matches = members.where(*text_conditions(datasets, where))
        if not where.include_archived:
            matches = matches.where(datasets.c.archived_at.is_(None))
        listing = Listing(matches, members, datasets.c.id, _ORDERS)
        rows, total, has_more = await page_rows(self._session, listing, page)
        return Page([to_dataset(row) for row in rows], total, has_more)

    async def save(self, dataset: Dataset) -> None:
        """Write what can change of an existing dataset."""
        await self._session.run(
            update(datasets)
            .where(datasets.c.id == dataset.id)
            .values(
                **naming(dataset.name, dataset.description, dataset.tags),
                current_version_num=dataset.current_version_num,
                archived_at=dataset.archived_at,
                metadata=dataset.metadata,
                updated_at=dataset.updated_at,
            )
        )
