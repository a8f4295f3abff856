"""Datasets of test cases: making, changing, removing them, and the snapshots of their working set.

A dataset with a schema type changes freely, and its versions are snapshots that somebody asked for. A dataset
without one, which version 5 of the API made, makes a version of every change; all of those count as published.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import uuid_utils

from assay.core.datasets import Dataset, DatasetVersion, SchemaType
from assay.core.errors import NotFound, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Slice
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork

_IMPLIED = "-v"


@dataclass(frozen=True, slots=True)
class DatasetViews:
    """What may be shown beside a dataset; None where it was not asked for."""

    versions: Sequence[DatasetVersion] | None = None
    test_cases: int | None = None


class DatasetVersions:
    """The use cases of datasets of test cases and of their versions."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(
        self, caller: Caller, name: str, schema_type: SchemaType, metadata: dict[str, Any] | None = None
    ) -> Dataset:
        """Make an empty dataset in the caller's account."""
        now = self._clock.now()
        dataset = Dataset(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            name=name,
            description=None,
            tags=(),
            current_version_num=1,
            created_at=now,
            created_by=caller.identity,
            schema_type=schema_type,
            metadata=metadata,
            updated_at=now,
        )
        async with self._storage.write() as work:
            return await work.datasets.add(dataset)

    async def get(self, caller: Caller, dataset_id: str) -> Dataset:
        """One dataset of the caller's accounts, archived ones too. Raises NotFound."""
        async with self._storage.read() as work:
            return await found_dataset(work, caller, dataset_id)

    async def list(
        self, accounts: Sequence[str], page: NumberedPage, *, include_archived: bool = False
    ) -> Slice[Dataset]:
        """A page of the accounts' datasets, newest first."""
        async with self._storage.read() as work:
            return await work.dataset_versions.list_datasets(accounts, page, include_archived=include_archived)

    async def views(self, datasets: Sequence[Dataset], *, versions: bool, test_cases: bool) -> dict[str, DatasetViews]:
        """What is to be shown beside the datasets, by their ids."""
        if not versions and not test_cases:
            return {dataset.id: DatasetViews() for dataset in datasets}
        every = NumberedPage(limit=10_000)
        async with self._storage.read() as work:
            counts = await work.test_cases.counts([dataset.id for dataset in datasets]) if test_cases else {}
            return {
                dataset.id: DatasetViews(
                    (await _versions(work, dataset, every)).items if versions else None,
                    counts.get(dataset.id, 0) if test_cases else None,
                )
                for dataset in datasets
            }

    async def rename(self, caller: Caller, dataset_id: str, name: str | None) -> Dataset:
        """Give a dataset another name; None changes nothing. RuleViolation when it is archived."""
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            if name is not None:
                dataset = replace(dataset, name=name, updated_at=self._clock.now())
                await work.datasets.save(dataset)
        return dataset

    async def remove(self, caller: Caller, dataset_id: str) -> int:
        """Archive a dataset, its test cases, the evaluations with a setup that use it and their results, all under
        one time, and take those out of their groups. Returns 1, or 0 when it was archived already."""
        now = self._clock.now()
        async with self._storage.write() as work:
            dataset = await found_dataset(work, caller, dataset_id)
            if dataset.archived_at is not None:
                return 0
            await work.datasets.save(replace(dataset, archived_at=now, updated_at=now))
            await work.dataset_items.set_archived(dataset.id, now)
            archived = await work.application_evaluations.archive_of_dataset(dataset.id, now)
            await work.groups.remove_evaluations(archived, now)
        return 1

    async def restore(self, caller: Caller, dataset_id: str) -> Dataset:
        """Undo `remove`, for exactly what it archived; changes nothing when not archived."""
        now = self._clock.now()
        async with self._storage.write() as work:
            dataset = await found_dataset(work, caller, dataset_id)
            if dataset.archived_at is None:
                return dataset
            await work.dataset_items.set_archived(dataset.id, None, only_at=dataset.archived_at)
            await work.application_evaluations.restore_of_dataset(dataset.id, dataset.archived_at, now)
            dataset = replace(dataset, archived_at=None, updated_at=now)
            await work.datasets.save(dataset)
        return dataset

    async def snapshot(
        self, caller: Caller, dataset_id: str, *, draft: bool = True, published_at: datetime | None = None
    ) -> DatasetVersion:
        """Make a version of the working set as it is: a draft unless said otherwise or given a time."""
        published = published_at is not None or not draft
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            at = self._clock.now()
            if dataset.schema_type is None:
                return implied_version(await _bumped(work, dataset), dataset.current_version_num + 1)
            return await _snapshot(work, dataset, caller, at, (published_at or at) if published else None)

    async def publish(self, caller: Caller, dataset_id: str, *, force: bool = False) -> Sequence[str]:
        """Publish the working set: the newest snapshot if nothing changed since, else a new one. Changes nothing
        when that is published already, nor, without `force`, while there are drafts that nobody has approved: returns
        their ids then."""
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            if dataset.schema_type is None:
                return ()
            unapproved = () if force else await work.draft_test_cases.unapproved(dataset.id)
            if unapproved:
                return unapproved
            now = self._clock.now()
            newest = await work.dataset_versions.newest(dataset)
            if newest is None or newest.num != dataset.current_version_num:
                await _snapshot(work, dataset, caller, now, now)
            elif newest.draft:
                await work.dataset_versions.publish(replace(newest, draft=False, published_at=now))
        return ()

    async def publish_version(self, caller: Caller, dataset_id: str, version_id: str) -> None:
        """Publish one version, whatever drafts there are. NotFound when the dataset has no such version."""
        async with self._storage.write() as work:
            dataset = await writable_dataset(work, caller, dataset_id)
            version = await _version(work, dataset, version_id)
            if version.draft:
                await work.dataset_versions.publish(replace(version, draft=False, published_at=self._clock.now()))

    async def get_version(self, caller: Caller, dataset_id: str, version_id: str) -> DatasetVersion:
        """One version of a dataset. Raises NotFound."""
        async with self._storage.read() as work:
            return await _version(work, await found_dataset(work, caller, dataset_id), version_id)

    async def list_versions(self, caller: Caller, dataset_id: str, page: NumberedPage) -> Slice[DatasetVersion]:
        """A page of a dataset's versions, by number."""
        async with self._storage.read() as work:
            return await _versions(work, await found_dataset(work, caller, dataset_id), page)


async def found_dataset(work: UnitOfWork, caller: Caller, dataset_id: str) -> Dataset:
    """A dataset in one of the caller's accounts, archived or not. Raises NotFound."""
    for account_id in caller.accounts:
        dataset = await work.datasets.get(account_id, dataset_id, include_archived=True)
        if dataset is not None:
            return dataset
    raise NotFound("evaluation dataset", dataset_id)


async def writable_dataset(work: UnitOfWork, caller: Caller, dataset_id: str) -> Dataset:
    """A dataset that may be changed: RuleViolation when it is archived."""
    dataset = await found_dataset(work, caller, dataset_id)
    if dataset.archived_at is not None:
        raise RuleViolation(f"evaluation dataset {dataset_id} is archived; restore it first")
    return dataset


async def opened(work: UnitOfWork, dataset: Dataset, at: datetime) -> Dataset:
    """The dataset with a `current_version_num` under which rows may change: one that no snapshot has yet."""
    if dataset.schema_type is None:
        return await _bumped(work, dataset)
    taken = await work.dataset_versions.get_num(dataset, dataset.current_version_num)
    num = dataset.current_version_num + (0 if taken is None else 1)
    changed = replace(dataset, current_version_num=num, updated_at=at)
    await work.datasets.save(changed)
    return changed


async def version_at(work: UnitOfWork, dataset: Dataset, num: int) -> DatasetVersion | None:
    """The dataset's version with a number, if it has one."""
    if dataset.schema_type is None:
        return implied_version(dataset, num) if 1 <= num <= dataset.current_version_num else None
    return await work.dataset_versions.get_num(dataset, num) if 1 <= num < 2**31 else None


async def newest_published(work: UnitOfWork, dataset: Dataset) -> DatasetVersion | None:
    """The dataset's newest published version, if any is."""
    if dataset.schema_type is None:
        return implied_version(dataset, dataset.current_version_num)
    return await work.dataset_versions.newest(dataset, published=True)


def implied_version(dataset: Dataset, num: int) -> DatasetVersion:
    """A version that version 5's API made by changing the dataset; when is not known."""
    made = dataset.created_at
    return DatasetVersion(
        f"{dataset.id}{_IMPLIED}{num}", dataset.id, num, False, made, made, dataset.created_by, dataset.archived_at
    )


async def _bumped(work: UnitOfWork, dataset: Dataset) -> Dataset:
    changed = replace(dataset, current_version_num=dataset.current_version_num + 1)
    await work.datasets.save(changed)
    return changed


async def _snapshot(
    work: UnitOfWork, dataset: Dataset, caller: Caller, at: datetime, published_at: datetime | None
) -> DatasetVersion:
    taken = await work.dataset_versions.get_num(dataset, dataset.current_version_num)
    if taken is not None:
        dataset = await _bumped(work, dataset)
    version = DatasetVersion(
        id=str(uuid_utils.uuid7()),
        dataset_id=dataset.id,
        num=dataset.current_version_num,
        draft=published_at is None,
        published_at=published_at,
        created_at=at,
        created_by=caller.identity,
    )
    await work.dataset_versions.add(dataset, version)
    return version


async def _version(work: UnitOfWork, dataset: Dataset, version_id: str) -> DatasetVersion:
    version = None
    if dataset.schema_type is not None:
        version = await work.dataset_versions.get(dataset, version_id)
    else:
        head, _, num = version_id.rpartition(_IMPLIED)
        if head == dataset.id and num.isascii() and num.isdigit() and len(num) < 10:
            version = await version_at(work, dataset, int(num))
    if version is None:
        raise NotFound("evaluation dataset version", version_id)
    return version


async def _versions(work: UnitOfWork, dataset: Dataset, page: NumberedPage) -> Slice[DatasetVersion]:
    if dataset.schema_type is not None:
        return await work.dataset_versions.list(dataset, page)
    last = dataset.current_version_num
    nums = range(page.offset + 1, min(page.offset + page.limit, last) + 1)
    return Slice([implied_version(dataset, num) for num in nums], last)
