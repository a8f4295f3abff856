"""Datasets and their items. Every change of a dataset's rows makes one new version, and an item keeps its id
through all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypedDict

import uuid_utils

from assay.core.datasets import Dataset, DatasetItem, content_hash
from assay.core.errors import InvalidInput, NotFound, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import Page, PageRequest
from assay.ports.clock import Clock
from assay.ports.storage import Storage, TextFilter, UnitOfWork
from assay.services.files import require_files
from assay.services.rows import check_files, check_rows

Row = dict[str, Any]
Rows = list[Row]
Files = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NewDataset:
    """A dataset to make: its rows in order, and for each row the ids of its files by field, if any are given."""

    name: str
    rows: Rows
    files: Sequence[Files] | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()


class DatasetChanges(TypedDict, total=False):
    """The fields of a dataset to change; those not named stay."""

    name: str
    description: str | None
    tags: tuple[str, ...]


async def add_dataset(
    work: UnitOfWork, caller: Caller, new: NewDataset, at: datetime
) -> tuple[Dataset, list[DatasetItem]]:
    """Add a dataset at version 1 with its items, inside the caller's transaction.

    Raises InvalidInput for no rows or for files that do not match them in number, RuleViolation for a file id
    that names nothing.
    """
    files = _files_by_row(new.rows, new.files)
    await require_files(work, caller.account_id, files)
    dataset = await work.datasets.add(
        Dataset(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            name=new.name,
            description=new.description,
            tags=new.tags,
            current_version_num=1,
            created_at=at,
            created_by=caller.identity,
        )
    )
    items = _new_items(dataset, new.rows, files, caller, at)
    await work.dataset_items.add(dataset, items)
    return dataset, items


class Datasets:
    """The use cases of datasets. Each change is one transaction that reads, decides and writes."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, new: NewDataset) -> Dataset:
        """Make a dataset at version 1. Errors: see `add_dataset`."""
        async with self._storage.write() as work:
            dataset, _ = await add_dataset(work, caller, new, self._clock.now())
        return dataset

    async def get(self, caller: Caller, dataset_id: str, *, include_archived: bool = False) -> Dataset:
        """One dataset. NotFound when it is unknown, or archived and those were not asked for."""
        async with self._storage.read() as work:
            return await _existing(work, caller, dataset_id, include_archived=include_archived)

    async def list(self, caller: Caller, page: PageRequest, where: TextFilter) -> Page[Dataset]:
        """A page of the account's datasets."""
        async with self._storage.read() as work:
            return await work.datasets.list(caller.account_id, page, where)

    async def update(self, caller: Caller, dataset_id: str, changes: DatasetChanges) -> Dataset:
        """Change the fields named; makes no new version. RuleViolation when there is none, or it is archived."""
        if not changes:
            raise RuleViolation("nothing to change: give name, description, tags or restore")
        async with self._storage.write() as work:
            dataset = await _writable(work, caller, dataset_id)
            changed = replace(dataset, **changes)
            await work.datasets.save(changed)
        return changed

    async def archive(self, caller: Caller, dataset_id: str) -> Dataset:
        """Archive the dataset and its items under one time. RuleViolation when it is archived already."""
        async with self._storage.write() as work:
            dataset = await _writable(work, caller, dataset_id)
            archived = replace(dataset, archived_at=self._clock.now())
            await work.datasets.save(archived)
            await work.dataset_items.set_archived(dataset.id, archived.archived_at)
        return archived

    async def restore(self, caller: Caller, dataset_id: str) -> Dataset:
        """Undo `archive`, for exactly the items that it archived; changes nothing when not archived."""
        async with self._storage.write() as work:
            dataset = await _existing(work, caller, dataset_id, include_archived=True)
            if dataset.archived_at is None:
                return dataset
            restored = replace(dataset, archived_at=None)
            await work.datasets.save(restored)
            await work.dataset_items.set_archived(dataset.id, None, only_at=dataset.archived_at)
        return restored

    async def add_items(
        self, caller: Caller, dataset_id: str, rows: Rows, files: Sequence[Files] | None = None
    ) -> Sequence[DatasetItem]:
        """Add rows as one new version; returns their items in order. RuleViolation when archived."""
        by_row = _files_by_row(rows, files)
        async with self._storage.write() as work:
            dataset = await _next_version(work, await _writable(work, caller, dataset_id))
            await require_files(work, caller.account_id, by_row)
            items = _new_items(dataset, rows, by_row, caller, self._clock.now())
            await work.dataset_items.add(dataset, items)
        return items

    async def get_item(self, caller: Caller, item_id: str, *, version: int | None = None) -> DatasetItem:
        """An item as it is now, or as it was in a version of its dataset; NotFound when it is not in it."""
        async with self._storage.read() as work:
            item = await work.dataset_items.get(caller.account_id, item_id, version=version)
            if item is None:
                raise NotFound("dataset item", item_id)
            if version is not None:
                _check_version(await _existing(work, caller, item.dataset_id, include_archived=True), version)
        return item

    async def list_items(
        self,
        caller: Caller,
        page: PageRequest,
        *,
        dataset_id: str | None = None,
        version: int | None = None,
        include_archived: bool = False,
    ) -> Page[DatasetItem]:
        """A page of the items of one dataset, as of a version or now, or of every dataset of the account, now.

        InvalidInput for a version without a dataset; NotFound for a dataset or version that there is not.
        """
        if version is not None and dataset_id is None:
            raise InvalidInput.at(("query", "version"), "a version needs the dataset_id that it is of", type="missing")
        async with self._storage.read() as work:
            if dataset_id is not None:
                dataset = await _existing(work, caller, dataset_id, include_archived=include_archived)
                if version is not None:
                    _check_version(dataset, version)
            return await work.dataset_items.list(
                caller.account_id, page, dataset_id=dataset_id, version=version, include_archived=include_archived
            )

    async def update_item(
        self, caller: Caller, item_id: str, data: Row, files: Files | None, *, keep_files: bool = False
    ) -> DatasetItem:
        """Replace an item's data whole, as one new version; its files too, unless they are to be kept.

        RuleViolation when the item was deleted, its dataset is archived or a file id names nothing.
        """
        check_rows([data])
        dataset_id = await self._dataset_of(caller, item_id)
        async with self._storage.write() as work:
            dataset, item = await _open_item(work, caller, dataset_id, item_id)
            dataset = await _next_version(work, dataset)
            kept = item.files if keep_files else files
            await require_files(work, caller.account_id, [files])
            now = self._clock.now()
            changed = replace(
                item,
                data=data,
                files=kept,
                content_hash=content_hash(data, kept),
                start_version=dataset.current_version_num,
                updated_at=now,
            )
            await work.dataset_items.close_versions(dataset.id, [item.id], dataset.current_version_num, at=now)
            await work.dataset_items.add(dataset, [changed])
        return changed

    async def archive_item(self, caller: Caller, item_id: str) -> DatasetItem:
        """Take an item out of the dataset as one new version; older versions keep it.

        RuleViolation when it was taken out already or its dataset is archived.
        """
        dataset_id = await self._dataset_of(caller, item_id)
        async with self._storage.write() as work:
            dataset, item = await _open_item(work, caller, dataset_id, item_id)
            dataset = await _next_version(work, dataset)
            version, now = dataset.current_version_num, self._clock.now()
            await work.dataset_items.close_versions(dataset.id, [item.id], version, removed_at=now)
        return replace(item, end_version=version, archived_at=now)

    async def _dataset_of(self, caller: Caller, item_id: str) -> str:
        """The dataset of an item, which never changes. Read ahead of a change so that the change can lock the
        dataset first, as every other change does: two of them then cannot wait for each other."""
        async with self._storage.read() as work:
            item = await work.dataset_items.get(caller.account_id, item_id, include_archived=True)
        if item is None:
            raise NotFound("dataset item", item_id)
        return item.dataset_id


async def _existing(work: UnitOfWork, caller: Caller, dataset_id: str, *, include_archived: bool) -> Dataset:
    dataset = await work.datasets.get(caller.account_id, dataset_id, include_archived=include_archived)
    if dataset is None:
        raise NotFound("dataset", dataset_id)
    return dataset


async def _writable(work: UnitOfWork, caller: Caller, dataset_id: str) -> Dataset:
    dataset = await _existing(work, caller, dataset_id, include_archived=True)
    if dataset.archived_at is not None:
        raise RuleViolation(f"dataset {dataset_id} is archived; restore it first")
    return dataset


def _check_version(dataset: Dataset, version: int) -> None:
    """Versions are whole numbers from 1; one that is not made yet must not look like the newest."""
    if not 1 <= version <= dataset.current_version_num:
        raise NotFound(f"version of dataset {dataset.id}", str(version))


async def _open_item(work: UnitOfWork, caller: Caller, dataset_id: str, item_id: str) -> tuple[Dataset, DatasetItem]:
    """The dataset and the item's current version, both fit to be changed."""
    dataset = await _writable(work, caller, dataset_id)
    item = await work.dataset_items.get(caller.account_id, item_id, include_archived=True)
    if item is None:
        raise NotFound("dataset item", item_id)
    if item.end_version is not None:
        raise RuleViolation(f"dataset item {item_id} was deleted in version {item.end_version} of its dataset")
    return dataset, item


async def _next_version(work: UnitOfWork, dataset: Dataset) -> Dataset:
    following = replace(dataset, current_version_num=dataset.current_version_num + 1)
    await work.datasets.save(following)
    return following


def _new_items(
    dataset: Dataset, rows: Sequence[Row], files: Sequence[Files | None], caller: Caller, at: datetime
) -> list[DatasetItem]:
    return [new_item(dataset, caller, at, row, files=row_files) for row, row_files in zip(rows, files, strict=True)]


def new_item(
    dataset: Dataset,
    caller: Caller,
    at: datetime,
    data: Mapping[str, Any],
    *,
    files: Files | None = None,
    extra: Mapping[str, Any] | None = None,
) -> DatasetItem:
    """An item that begins with the dataset's current version."""
    return DatasetItem(
        id=str(uuid_utils.uuid7()),
        seq=0,
        dataset_id=dataset.id,
        data=data,
        files=files,
        content_hash=content_hash(data, files),
        start_version=dataset.current_version_num,
        end_version=None,
        created_at=at,
        updated_at=at,
        created_by=caller.identity,
        extra=extra,
    )


def _files_by_row(rows: Rows, files: Sequence[Files] | None) -> list[Files | None]:
    """Each row's files, None for none. Raises what `check_rows` and `check_files` raise."""
    check_rows(rows)
    check_files(files, len(rows))
    return [None] * len(rows) if files is None else [row_files or None for row_files in files]
