"""Test cases, which are items of datasets read by page number, and the snapshots of their datasets."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update

from assay.adapters.storage.dataset_items import newest_version, selected_items, to_dataset_item, valid_at
from assay.adapters.storage.datasets import to_dataset
from assay.adapters.storage.session import Session, slices
from assay.adapters.storage.tables import dataset_item_versions, dataset_items, dataset_versions, datasets
from assay.core.datasets import Dataset, DatasetItem, DatasetVersion
from assay.core.identity import Identity
from assay.core.paging import NumberedPage, Slice

_item, _revision, _version = dataset_items.c, dataset_item_versions.c, dataset_versions.c


class SqlTestCases:
    """Implements `ports.application_storage.TestCaseRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(
        self, dataset_id: str, page: NumberedPage, *, version: int | None = None, include_archived: bool = False
    ) -> Slice[DatasetItem]:
        """A page of a dataset's items as of a version, or now; with include_archived removed ones too."""
        members = selected_items().where(datasets.c.id == dataset_id)
        if version is not None:
            members = members.where(valid_at(version))
        elif include_archived:
            members = members.where(newest_version())
        else:
            members = members.where(_revision.end_version.is_(None), _item.archived_at.is_(None))
        total = await _count(self._session, members)
        rows = await self._session.rows(members.order_by(_item.seq).limit(page.limit).offset(page.offset))
        return Slice([to_dataset_item(row) for row in rows], total)

    async def get_many(self, item_ids: Sequence[str], version: int) -> Mapping[str, DatasetItem]:
        """The items with those ids as of a version, of whatever dataset."""
        found: dict[str, DatasetItem] = {}
        for some in slices(list(dict.fromkeys(item_ids))):
            rows = await self._session.rows(selected_items().where(_item.id.in_(some), valid_at(version)))
            found.update((row.id, to_dataset_item(row)) for row in rows)
        return found

    async def counts(self, dataset_ids: Sequence[str]) -> Mapping[str, int]:
        """How many items each dataset has now."""
        statement = (
            select(datasets.c.id, func.count())
            .join(dataset_items, _item.dataset_seq == datasets.c.seq)
            .join(dataset_item_versions, _revision.item_seq == _item.seq)
            .where(datasets.c.id.in_(dataset_ids), _revision.end_version.is_(None), _item.archived_at.is_(None))
            .group_by(datasets.c.id)
        )
        return dict(map(tuple, await self._session.rows(statement)))

    async def purge(self, item: DatasetItem) -> None:
        """Remove an item from every version."""
        await self._session.run(delete(dataset_item_versions).where(_revision.item_seq == item.seq))
        await self._session.run(delete(dataset_items).where(_item.seq == item.seq))


class SqlDatasetVersions:
    """Implements `ports.application_storage.DatasetVersionRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list_datasets(
        self, account_ids: Sequence[str], page: NumberedPage, *, include_archived: bool = False
    ) -> Slice[Dataset]:
        """A page of the accounts' datasets, newest first."""
        members = select(datasets).where(datasets.c.account_id.in_(account_ids))
        if not include_archived:
            members = members.where(datasets.c.archived_at.is_(None))
        total = await _count(self._session, members)
        order = (datasets.c.created_at.desc(), datasets.c.seq.desc())
        rows = await self._session.rows(members.order_by(*order).limit(page.limit).offset(page.offset))
        return Slice([to_dataset(row) for row in rows], total)

    async def get_dataset(self, account_id: str, dataset_id: str) -> Dataset | None:
        """The account's dataset, archived or not, which others may change meanwhile."""
        statement = select(datasets).where(datasets.c.id == dataset_id, datasets.c.account_id == account_id)
        rows = await self._session.rows(statement)
        return to_dataset(rows[0]) if rows else None

    async def add(self, dataset: Dataset, version: DatasetVersion) -> None:
        """Add a snapshot."""
        await self._session.run(
            insert(dataset_versions).values(
                id=version.id,
                dataset_seq=dataset.seq,
                num=version.num,
                draft=version.draft,
                published_at=version.published_at,
                created_at=version.created_at,
                created_by_id=version.created_by.id,
                created_by_type=version.created_by.type,
            )
        )

    async def get(self, dataset: Dataset, version_id: str) -> DatasetVersion | None:
        """The dataset's snapshot with that id."""
        return await self._one(dataset, _version.id == version_id)

    async def get_num(self, dataset: Dataset, num: int) -> DatasetVersion | None:
        """The dataset's snapshot with that number."""
        return await self._one(dataset, _version.num == num)

    async def newest(self, dataset: Dataset, *, published: bool = False) -> DatasetVersion | None:
        """The dataset's newest snapshot, or newest published one."""
        return await self._one(dataset, _version.draft.is_(False) if published else _version.num > 0)

    async def _one(self, dataset: Dataset, which: Any) -> DatasetVersion | None:
        statement = select(dataset_versions).where(_version.dataset_seq == dataset.seq, which)
        rows = await self._session.rows(statement.order_by(_version.num.desc()).limit(1))
        return _to_version(rows[0], dataset.id) if rows else None

    async def publish(self, version: DatasetVersion) -> None:
        """Write that a snapshot is published."""
        await self._session.run(
            update(dataset_versions)
            .where(_version.id == version.id)
            .values(draft=version.draft, published_at=version.published_at)
        )

    async def list(self, dataset: Dataset, page: NumberedPage) -> Slice[DatasetVersion]:
        """A page of the dataset's snapshots, by number."""
        members = select(dataset_versions).where(_version.dataset_seq == dataset.seq)
        total = await _count(self._session, members)
        rows = await self._session.rows(members.order_by(_version.num).limit(page.limit).offset(page.offset))
        return Slice([_to_version(row, dataset.id) for row in rows], total)


async def _count(session: Session, members: Select[Any]) -> int:
    counted = members.with_only_columns(func.count(), maintain_column_froms=True)
    return int((await session.rows(counted))[0][0])


def _to_version(row: Row[Any], dataset_id: str) -> DatasetVersion:
    return DatasetVersion(
        id=row.id,
        dataset_id=dataset_id,
        num=row.num,
        draft=row.draft,
        published_at=row.published_at,
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        archived_at=row.archived_at,
    )
