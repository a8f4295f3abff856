"""Items of datasets and their versions: one row an item, which keeps its place, and one a version."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, insert, or_, select, type_coerce, update

from assay.adapters.storage.paging import Listing, page_rows
from assay.adapters.storage.session import Session, slices
from assay.adapters.storage.tables import Moment, dataset_item_versions, dataset_items, datasets
from assay.core.datasets import Dataset, DatasetItem
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest

_item = dataset_items.c
_version = dataset_item_versions.c
_ORDERS = {
    "created_at": (_version.created_at, _item.seq),
    "updated_at": (_version.updated_at, _item.seq),
    "id": (_item.id,),
}
_INSERT_SLICE = 1000


def selected_items(*, as_of_version: bool = False) -> Select[Any]:
    """Items with a version each. As of a version an item is not removed yet, whatever came later."""
    archived_at = _item.archived_at if as_of_version else func.coalesce(_version.removed_at, _item.archived_at)
    joined = dataset_items.join(dataset_item_versions, _version.item_seq == _item.seq).join(
        datasets, datasets.c.seq == _item.dataset_seq
    )
    return select(
        _item.id,
        _item.seq,
        datasets.c.id.label("dataset_id"),
        _version.data,
        _version.files,
        _version.content_hash,
        _version.start_version,
        _version.end_version,
        _version.created_at,
        _version.updated_at,
        _version.created_by_id,
        _version.created_by_type,
        type_coerce(archived_at, Moment).label("archived_at"),
        _version.extra,
        _version.ended_at,
    ).select_from(joined)


def newest_version() -> Any:
    later = dataset_item_versions.alias("later")
    newer = select(later.c.seq).where(later.c.item_seq == _item.seq, later.c.seq > _version.seq)
    return ~newer.exists()


class SqlDatasetItems:
    """Implements `ports.storage.DatasetItemRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, dataset: Dataset, items: Sequence[DatasetItem]) -> None:
        """Add item versions in order; an id that is new takes the next place in the dataset."""
        for some in slices(items, _INSERT_SLICE):
            ids = [item.id for item in some]
            known = await self._seqs(dataset.seq, ids)
            fresh = [item for item in some if item.id not in known]
            if fresh:
                rows = [{"id": item.id, "dataset_seq": dataset.seq, "archived_at": item.archived_at} for item in fresh]
                await self._session.run(insert(dataset_items), rows)
                known = await self._seqs(dataset.seq, ids)
            await self._session.run(
                insert(dataset_item_versions), [_version_row(known[item.id], item) for item in some]
            )

    async def _seqs(self, dataset_seq: int, item_ids: Sequence[str]) -> dict[str, int]:
        statement = select(_item.id, _item.seq).where(_item.id.in_(item_ids), _item.dataset_seq == dataset_seq)
        return dict(map(tuple, await self._session.rows(statement)))

    async def close_versions(
        self,
        dataset_id: str,
        item_ids: Sequence[str],
        end_version: int,
        *,
        at: datetime | None = None,
        removed_at: datetime | None = None,
    ) -> None:
        """Set end_version on the open versions of the items, when that was, and when they were removed if so."""
        for some in slices(item_ids):
            of_items = (
                select(_item.seq)
                .join(datasets, datasets.c.seq == _item.dataset_seq)
                .where(datasets.c.id == dataset_id, _item.id.in_(some))
            )
            await self._session.run(
                update(dataset_item_versions)
                .where(_version.item_seq.in_(of_items), _version.end_version.is_(None))
                .values(end_version=end_version, removed_at=removed_at, ended_at=at or removed_at)
            )

    async def get(
        self, account_id: str, item_id: str, *, version: int | None = None, include_archived: bool = False
    ) -> DatasetItem | None:
        """The item as of `version`; None: its newest version, unless it was removed."""
        statement = selected_items(as_of_version=version is not None)
        statement = statement.where(datasets.c.account_id == account_id, _item.id == item_id)
        if version is not None:
            statement = statement.where(valid_at(version))
        elif not include_archived:
            statement = statement.where(_version.end_version.is_(None))
        if not include_archived:
            statement = statement.where(_item.archived_at.is_(None))
        rows = await self._session.rows(statement.order_by(_version.seq.desc()).limit(1))
        return to_dataset_item(rows[0]) if rows else None

    async def list(
        self,
        account_id: str,
        page: PageRequest,
        *,
        dataset_id: str | None = None,
        version: int | None = None,
        include_archived: bool = False,
    ) -> Page[DatasetItem]:
        """A page of items as of a version, or now; with include_archived now includes removed ones."""
        members = selected_items(as_of_version=version is not None).where(datasets.c.account_id == account_id)
        if dataset_id is not None:
            members = members.where(datasets.c.id == dataset_id)
        if version is not None:
            matches = members.where(valid_at(version))
        else:
            matches = members.where(newest_version() if include_archived else _version.end_version.is_(None))
        if not include_archived:
            matches = matches.where(_item.archived_at.is_(None))
        # A cursor's keys are those of its newest version that began by the version asked for.
        at = members.where(newest_version()) if version is None else members.where(_newest_by(version))
        listing = Listing(matches, at, _item.id, _ORDERS)
        rows, total, has_more = await page_rows(self._session, listing, page)
        return Page([to_dataset_item(row) for row in rows], total, has_more)

    async def get_many(self, dataset_id: str, item_ids: Sequence[str]) -> Mapping[str, DatasetItem]:
        """Current versions by id; unknown and removed ones are absent."""
        found: dict[str, DatasetItem] = {}
        for some in slices(list(dict.fromkeys(item_ids))):
            statement = selected_items().where(
                datasets.c.id == dataset_id,
                _item.id.in_(some),
                _item.archived_at.is_(None),
                _version.end_version.is_(None),
            )
            found.update((row.id, to_dataset_item(row)) for row in await self._session.rows(statement))
        return found

    async def stream_current(self, dataset_id: str) -> AsyncIterator[DatasetItem]:
        """All current items in order."""
        statement = (
            selected_items()
            .where(datasets.c.id == dataset_id, _item.archived_at.is_(None), _version.end_version.is_(None))
            .order_by(_item.seq)
            .limit(_INSERT_SLICE)
        )
        last = -1
        while rows := await self._session.rows(statement.where(_item.seq > last)):
            last = rows[-1].seq
            for row in rows:
                yield to_dataset_item(row)

    async def set_archived(self, dataset_id: str, at: datetime | None, *, only_at: datetime | None = None) -> None:
        """Archive the items that are not archived (at given), or restore those archived at `only_at`."""
        of_dataset = select(datasets.c.seq).where(datasets.c.id == dataset_id).scalar_subquery()
        statement = update(dataset_items).where(_item.dataset_seq == of_dataset)
        if at is not None:
            statement = statement.where(_item.archived_at.is_(None))
        elif only_at is not None:
            statement = statement.where(_item.archived_at == only_at)
        await self._session.run(statement.values(archived_at=at))


def valid_at(version: int) -> Any:
    ended = or_(_version.end_version.is_(None), _version.end_version > version)
    return (_version.start_version <= version) & ended


def _newest_by(version: int) -> Any:
    later = dataset_item_versions.alias("later")
    newer = select(later.c.seq).where(
        later.c.item_seq == _item.seq, later.c.seq > _version.seq, later.c.start_version <= version
    )
    return (_version.start_version <= version) & ~newer.exists()


def _version_row(item_seq: int, item: DatasetItem) -> dict[str, Any]:
    return {
        "item_seq": item_seq,
        "start_version": item.start_version,
        "end_version": item.end_version,
        "data": item.data,
        "files": item.files,
        "content_hash": item.content_hash,
        "updated_at": item.updated_at,
        "created_at": item.created_at,
        "created_by_id": item.created_by.id,
        "created_by_type": item.created_by.type,
        "extra": item.extra,
    }


def to_dataset_item(row: Row[Any]) -> DatasetItem:
    return DatasetItem(
        id=row.id,
        seq=row.seq,
        dataset_id=row.dataset_id,
        data=row.data,
        files=row.files,
        content_hash=row.content_hash,
        start_version=row.start_version,
        end_version=row.end_version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        archived_at=row.archived_at,
        extra=row.extra,
        ended_at=row.ended_at,
    )
