"""The contract of the storage port, on SQLite and PostgreSQL: datasets with versions, and groups."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.adapters.storage import SqlStorage
from assay.core.datasets import Dataset, DatasetItem
from assay.core.errors import InvalidCursor
from assay.core.groups import Group, GroupMember
from assay.core.paging import PageRequest
from assay.ports.storage import TextFilter, UnitOfWork
from tests.builders.datasets import make_dataset, make_dataset_item
from tests.builders.evaluations import make_evaluation
from tests.builders.groups import as_member, make_group
from tests.builders.identity import NOW, make_account, new_id


async def add_dataset(storage: SqlStorage, count: int, **changes: object) -> Dataset:
    async with storage.write() as work:
        dataset = await work.datasets.add(make_dataset(**changes))
        await work.dataset_items.add(dataset, [make_dataset_item(dataset, number) for number in range(count)])
    return dataset


async def current(work: UnitOfWork, dataset: Dataset) -> list[DatasetItem]:
    return [item async for item in work.dataset_items.stream_current(dataset.id)]


async def test_a_dataset_comes_back_as_it_was_stored_and_saved(storage: SqlStorage) -> None:
    dataset = await add_dataset(storage, 0, tags=("x",), description="d")
    saved = replace(dataset, name="new", description=None, tags=(), current_version_num=7, archived_at=NOW)
    async with storage.write() as work:
        assert await work.datasets.get("default", dataset.id) == dataset
        assert await work.datasets.get("other", dataset.id) is None
        await work.datasets.save(saved)
    async with storage.read() as work:
        assert await work.datasets.get("default", dataset.id) is None
        assert await work.datasets.get("default", dataset.id, include_archived=True) == saved
        assert (await work.datasets.list("default", PageRequest(), TextFilter())).total == 0


async def test_an_item_keeps_its_place_and_its_old_versions_when_it_changes(storage: SqlStorage) -> None:
    dataset = await add_dataset(storage, 3)
    async with storage.write() as work:
        old = (await current(work, dataset))[1]
        await work.dataset_items.close_versions(dataset.id, [old.id], 2)
        new = replace(
            old, seq=0, data={"question": "new"}, content_hash="h", start_version=2, updated_at=NOW + timedelta(1)
        )
        await work.dataset_items.add(dataset, [new])
        await work.dataset_items.add(dataset, [make_dataset_item(dataset, 3, start_version=3)])
    async with storage.read() as work:
        items = await current(work, dataset)
        assert [item.data["question"] for item in items] == ["question 0", "new", "question 2", "question 3"]
        assert items[1] == replace(new, seq=old.seq)
        get = work.dataset_items.get
        assert await get("default", old.id) == items[1]
        assert await get("default", old.id, version=1) == replace(old, end_version=2)
        assert await get("default", old.id, version=2) == items[1]
        assert await get("default", items[3].id, version=2) is None
        assert await get("other", old.id) is None
        page = await work.dataset_items.list("default", PageRequest(), dataset_id=dataset.id, version=1)
        assert [item.data["question"] for item in page.items] == ["question 0", "question 1", "question 2"]
        latest = PageRequest(sort_by="updated_at", sort_order="desc", limit=1)
        assert (await work.dataset_items.list("default", latest, dataset_id=dataset.id)).items == [items[1]]


LATER = NOW + timedelta(hours=1)


async def test_a_removed_item_is_read_at_its_version_or_when_asked_for(storage: SqlStorage) -> None:
    dataset = await add_dataset(storage, 2)
    async with storage.write() as work:
        gone, left = await current(work, dataset)
        await work.dataset_items.close_versions(dataset.id, [gone.id], 2, removed_at=LATER)
    before = replace(gone, end_version=2, ended_at=LATER)
    removed = replace(before, archived_at=LATER)
    async with storage.read() as work:
        get, page = work.dataset_items.get, PageRequest()
        assert await get("default", gone.id) is None
        assert await get("default", gone.id, version=2) is None
        assert await get("default", gone.id, version=1) == before
        at_first = await work.dataset_items.list("default", page, dataset_id=dataset.id, version=1)
        assert at_first.items == [before, left]
        assert await get("default", gone.id, include_archived=True) == removed
        assert (await work.dataset_items.list("default", page)).items == [left]
        everything = await work.dataset_items.list("default", page, include_archived=True)
        assert (everything.items, everything.total) == ([removed, left], 2)
        assert await work.dataset_items.get_many(dataset.id, [gone.id, left.id, "unknown"]) == {left.id: left}


async def test_archiving_a_dataset_hides_its_items_until_they_are_restored(storage: SqlStorage) -> None:
    dataset, other = await add_dataset(storage, 2), await add_dataset(storage, 1)
    async with storage.write() as work:
        items = await current(work, dataset)
        await work.dataset_items.set_archived(dataset.id, NOW)
        await work.dataset_items.set_archived(dataset.id, NOW + timedelta(1))
        assert await current(work, dataset) == []
        assert await work.dataset_items.get("default", items[0].id) is None
        assert await work.dataset_items.get("default", items[0].id, version=1) is None
        archived = await work.dataset_items.get("default", items[0].id, include_archived=True)
        assert archived == replace(items[0], archived_at=NOW)
        assert await work.dataset_items.get_many(dataset.id, [items[0].id]) == {}
        await work.dataset_items.set_archived(dataset.id, None, only_at=NOW + timedelta(1))
        assert await current(work, dataset) == []
        await work.dataset_items.set_archived(dataset.id, None, only_at=NOW)
        assert await current(work, dataset) == items
        assert len(await current(work, other)) == 1


async def test_dataset_items_stay_within_their_account_and_dataset(storage: SqlStorage) -> None:
    mine, sibling = await add_dataset(storage, 2), await add_dataset(storage, 1)
    theirs = await add_dataset(storage, 1, account_id="other")
    async with storage.read() as work:
        foreign = (await current(work, theirs))[0].id
        assert (await work.dataset_items.list("default", PageRequest())).total == 3
        assert (await work.dataset_items.list("default", PageRequest(), dataset_id=theirs.id)).total == 0
        assert await work.dataset_items.get_many(mine.id, [foreign]) == {}
        for cursor in (foreign, (await current(work, sibling))[0].id):
            page = PageRequest(starting_after=cursor)
            with pytest.raises(InvalidCursor):
                await work.dataset_items.list("default", page, dataset_id=mine.id)


async def test_thousands_of_dataset_items_keep_their_order(storage: SqlStorage) -> None:
    dataset = await add_dataset(storage, 2500)
    async with storage.read() as work:
        items = await current(work, dataset)
    assert [item.data["question"] for item in items] == [f"question {number}" for number in range(2500)]


operations = st.lists(
    st.tuples(st.sampled_from(["add", "change", "remove"]), st.lists(st.integers(0, 5), min_size=1, max_size=3)),
    max_size=8,
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations)
async def test_every_version_of_a_dataset_stays_as_it_was(
    storage: SqlStorage, operations: list[tuple[str, list[int]]]
) -> None:
    account = make_account(new_id())
    history: list[dict[str, object]] = [{}]
    async with storage.write() as work:
        await work.accounts.ensure(account)
        dataset = await work.datasets.add(make_dataset(account_id=account.id))
        ids = {number: new_id() for number in range(6)}
        used: set[int] = set()
        for version, (kind, numbers) in enumerate(operations, 1):
            now = dict(history[-1])
            chosen = [n for n in dict.fromkeys(numbers) if (ids[n] in now) == (kind != "add")]
            if kind == "add":
                chosen = [n for n in chosen if n not in used]
                used.update(chosen)
            await work.dataset_items.close_versions(dataset.id, [ids[n] for n in chosen], version)
            for n in chosen:
                now.pop(ids[n], None) if kind == "remove" else now.update({ids[n]: version})
            if kind != "remove":
                rows = [
                    make_dataset_item(dataset, id=ids[n], data={"version": version}, start_version=version)
                    for n in chosen
                ]
                await work.dataset_items.add(dataset, rows)
            history.append(now)
    async with storage.read() as work:
        for version, expected in enumerate(history):
            page = await work.dataset_items.list(
                account.id, PageRequest(sort_by="id"), dataset_id=dataset.id, version=version
            )
            assert {item.id: item.data["version"] for item in page.items} == expected
            assert page.total == len(expected)
        assert {item.id: item.data["version"] for item in await current(work, dataset)} == history[-1]


# Groups


async def test_a_group_comes_back_with_its_members_evaluations_and_their_datasets(storage: SqlStorage) -> None:
    async with storage.write() as work:
        dataset = await work.datasets.add(make_dataset())
        one = await work.evaluations.add(make_evaluation(), [dataset.id])
        two = await work.evaluations.add(make_evaluation())
        group = make_group([two.id, one.id], tags=("t",), metadata={"a": 1}, description="d")
        stored = await work.groups.add(group)
    members = (
        GroupMember(two.id, NOW, None, "question", as_member(two)),
        GroupMember(one.id, NOW, None, "question", as_member(one)),
    )
    assert one.datasets == (dataset,)
    assert stored == replace(group, seq=stored.seq, members=members)
    async with storage.read() as work:
        assert await work.groups.get("default", group.id) == stored
        assert await work.groups.get("other", group.id) is None
        page = await work.groups.list("default", PageRequest(), TextFilter(name="MODELS", tags=("T",)))
        assert page.items == [stored]


async def test_a_deleted_group_is_read_only_when_asked_for(storage: SqlStorage) -> None:
    async with storage.write() as work:
        group = await work.groups.add(make_group(deleted_at=NOW))
    async with storage.read() as work:
        assert await work.groups.get("default", group.id) is None
        assert await work.groups.get("default", group.id, include_deleted=True) == group


async def test_an_evaluation_leaves_every_group_at_once(storage: SqlStorage) -> None:
    async with storage.write() as work:
        one, two = [await work.evaluations.add(make_evaluation()) for _ in range(2)]
        for members in ([one.id, two.id], [one.id], [two.id]):
            await work.groups.add(make_group(members))
        await work.groups.remove_evaluations([one.id], NOW + timedelta(1))
        await work.groups.remove_evaluations([one.id], NOW + timedelta(2))

    async def of(evaluation_id: str) -> list[Group]:
        async with storage.read() as work:
            return list(
                (await work.groups.list("default", PageRequest(), TextFilter(), evaluation_id=evaluation_id)).items
            )

    assert await of(one.id) == []
    both, alone = await of(two.id)
    assert [member.deleted_at for member in both.members] == [NOW + timedelta(1), None]
    assert [member.deleted_at for member in alone.members] == [None]
