"""Datasets on the real SQLite storage: versions, ids that stay, archiving, and changes at the same moment."""

import asyncio
from dataclasses import replace

import pytest

from assay.core.datasets import content_hash
from assay.core.errors import InvalidCursor, InvalidInput, NotFound, RuleViolation
from assay.core.paging import PageRequest
from assay.ports.storage import TextFilter
from assay.services.datasets import Datasets, NewDataset
from tests.builders.stored import MovableClock, caller_of, sqlite_storage


@pytest.fixture
async def storage(tmp_path):
    async with sqlite_storage(tmp_path) as opened:
        yield opened


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def datasets(storage, clock):
    return Datasets(storage, clock)


ANNA = caller_of("default")
STRANGER = caller_of("other")


async def _made(datasets, rows=3, **more):
    return await datasets.create(ANNA, NewDataset("rows", [{"n": n} for n in range(rows)], **more))


async def _items(datasets, dataset, **where):
    page = await datasets.list_items(ANNA, PageRequest(limit=1000), dataset_id=dataset.id, **where)
    return list(page.items)


async def _numbers(datasets, dataset, **where):
    return [item.data["n"] for item in await _items(datasets, dataset, **where)]


async def test_a_dataset_starts_at_version_one_with_its_rows_in_order(datasets):
    dataset = await _made(datasets, 5, description="five", tags=("A",))
    items = await _items(datasets, dataset)
    assert (await datasets.get(ANNA, dataset.id)).current_version_num == 1
    assert [item.data for item in items] == [{"n": n} for n in range(5)]
    assert [item.content_hash for item in items] == [content_hash({"n": n}, None) for n in range(5)]
    assert len({item.id for item in items}) == 5
    assert (dataset.description, dataset.tags, dataset.created_by) == ("five", ("A",), ANNA.identity)


async def test_row_keys_are_the_users_own(datasets):
    row = {"id": 7, "data": {"files": []}, "created_at": "x", "a.b": [1.5], "ü": "é"}
    dataset = await datasets.create(ANNA, NewDataset("own", [row]))
    assert (await _items(datasets, dataset))[0].data == row


async def test_each_change_of_rows_is_one_version_and_old_ones_stay_readable(datasets, clock):
    dataset = await _made(datasets)
    first, second, _ = await _items(datasets, dataset)
    clock.tick()
    await datasets.add_items(ANNA, dataset.id, [{"n": 3}, {"n": 4}])
    changed = await datasets.update_item(ANNA, second.id, {"n": 100}, None)
    await datasets.archive_item(ANNA, first.id)

    assert (await datasets.get(ANNA, dataset.id)).current_version_num == 4
    assert await _numbers(datasets, dataset) == [100, 2, 3, 4]
    assert await _numbers(datasets, dataset, version=1) == [0, 1, 2]
    assert await _numbers(datasets, dataset, version=2) == [0, 1, 2, 3, 4]
    assert await _numbers(datasets, dataset, version=3) == [0, 100, 2, 3, 4]
    assert await _numbers(datasets, dataset, version=4) == [100, 2, 3, 4]
    assert changed.id == second.id
    assert changed.content_hash == content_hash({"n": 100}, None)
    stored = await datasets.get_item(ANNA, second.id)
    assert (stored.data, stored.content_hash) == ({"n": 100}, changed.content_hash)
    assert stored.created_at == second.created_at
    assert stored.updated_at == changed.updated_at > second.updated_at
    assert (await datasets.get_item(ANNA, second.id, version=2)).data == {"n": 1}
    assert (await datasets.get_item(ANNA, first.id, version=3)).data == {"n": 0}


async def test_an_update_replaces_the_data_whole(datasets):
    dataset = await datasets.create(ANNA, NewDataset("whole", [{"a": 1, "b": 2}]))
    (item,) = await _items(datasets, dataset)
    await datasets.update_item(ANNA, item.id, {"b": 3}, None)
    assert (await datasets.get_item(ANNA, item.id)).data == {"b": 3}


async def test_a_deleted_item_is_gone_now_and_cannot_be_changed(datasets):
    dataset = await _made(datasets)
    item, *_ = await _items(datasets, dataset)
    removed = await datasets.archive_item(ANNA, item.id)
    assert removed.archived_at is not None
    listed = await datasets.list_items(ANNA, PageRequest(), dataset_id=dataset.id, include_archived=True)
    assert [each.archived_at for each in listed.items if each.id == item.id] == [removed.archived_at]
    assert sum(each.archived_at is None for each in listed.items) == listed.total - 1
    assert (await datasets.get_item(ANNA, item.id, version=1)).archived_at is None
    with pytest.raises(NotFound):
        await datasets.get_item(ANNA, item.id)
    with pytest.raises(NotFound):
        await datasets.get_item(ANNA, item.id, version=2)
    with pytest.raises(RuleViolation, match="version 2"):
        await datasets.archive_item(ANNA, item.id)
    with pytest.raises(RuleViolation):
        await datasets.update_item(ANNA, item.id, {"n": 5}, None)
    assert (await datasets.get(ANNA, dataset.id)).current_version_num == 2


async def test_changing_fields_makes_no_version_and_leaves_the_others(datasets):
    dataset = await _made(datasets, description="old", tags=("old",))
    await datasets.update(ANNA, dataset.id, {"name": "new", "description": None})
    after = await datasets.get(ANNA, dataset.id)
    assert (after.name, after.description, after.tags, after.current_version_num) == ("new", None, ("old",), 1)
    with pytest.raises(RuleViolation, match="nothing to change"):
        await datasets.update(ANNA, dataset.id, {})


async def test_an_archived_dataset_is_hidden_closed_and_comes_back_whole(datasets, clock):
    dataset = await _made(datasets)
    gone, kept, _ = await _items(datasets, dataset)
    await datasets.archive_item(ANNA, gone.id)
    clock.tick()
    archived = await datasets.archive(ANNA, dataset.id)

    assert archived.archived_at == clock.now()
    with pytest.raises(NotFound):
        await datasets.get(ANNA, dataset.id)
    with pytest.raises(NotFound):
        await datasets.list_items(ANNA, PageRequest(), dataset_id=dataset.id)
    with pytest.raises(NotFound):
        await datasets.get_item(ANNA, kept.id)
    assert (await datasets.list_items(ANNA, PageRequest())).total == 0
    assert (await datasets.list(ANNA, PageRequest(), TextFilter())).total == 0
    assert (await datasets.list(ANNA, PageRequest(), TextFilter(include_archived=True))).total == 1
    for refused in (
        datasets.archive(ANNA, dataset.id),
        datasets.update(ANNA, dataset.id, {"name": "x"}),
        datasets.add_items(ANNA, dataset.id, [{"n": 9}]),
        datasets.update_item(ANNA, kept.id, {"n": 9}, None),
        datasets.archive_item(ANNA, kept.id),
    ):
        with pytest.raises(RuleViolation):
            await refused

    await datasets.restore(ANNA, dataset.id)
    assert (await datasets.get(ANNA, dataset.id)).archived_at is None
    items = await _items(datasets, dataset)
    assert [item.data["n"] for item in items] == [1, 2]
    assert all(item.archived_at is None for item in items)
    assert await _numbers(datasets, dataset, version=1) == [0, 1, 2]
    assert (await datasets.restore(ANNA, dataset.id)).current_version_num == 2


async def test_another_accounts_dataset_does_not_exist(datasets):
    dataset = await _made(datasets)
    item, *_ = await _items(datasets, dataset)
    for refused in (
        datasets.get(STRANGER, dataset.id, include_archived=True),
        datasets.update(STRANGER, dataset.id, {"name": "mine"}),
        datasets.archive(STRANGER, dataset.id),
        datasets.restore(STRANGER, dataset.id),
        datasets.add_items(STRANGER, dataset.id, [{"n": 1}]),
        datasets.list_items(STRANGER, PageRequest(), dataset_id=dataset.id),
        datasets.get_item(STRANGER, item.id),
        datasets.get_item(STRANGER, item.id, version=1),
        datasets.update_item(STRANGER, item.id, {"n": 1}, None),
        datasets.archive_item(STRANGER, item.id),
    ):
        with pytest.raises(NotFound):
            await refused
    assert (await datasets.list_items(STRANGER, PageRequest())).total == 0
    with pytest.raises(InvalidCursor):
        await datasets.list(STRANGER, PageRequest(starting_after=dataset.id), TextFilter())
    assert await _numbers(datasets, dataset) == [0, 1, 2]


async def test_a_version_needs_its_dataset_and_must_be_there(datasets):
    dataset = await _made(datasets)
    with pytest.raises(InvalidInput, match="dataset_id"):
        await datasets.list_items(ANNA, PageRequest(), version=1)
    for version in (0, 2, 10**30):
        with pytest.raises(NotFound, match="version"):
            await datasets.list_items(ANNA, PageRequest(), dataset_id=dataset.id, version=version)


async def test_files_that_are_not_there_are_refused_and_nothing_is_written(datasets):
    with pytest.raises(RuleViolation, match=r"files\.1\.picture.*'f1'"):
        await datasets.create(ANNA, NewDataset("f", [{"n": 1}, {"n": 2}], [{}, {"picture": "f1"}]))
    with pytest.raises(InvalidInput, match="1 entries for 2 rows"):
        await datasets.create(ANNA, NewDataset("f", [{"n": 1}, {"n": 2}], [{}]))
    with pytest.raises(InvalidInput, match=r"data\.0: .* must not be empty"):
        await datasets.create(ANNA, NewDataset("f", [{"": 1}]))
    with pytest.raises(InvalidInput, match="at least one row"):
        await datasets.create(ANNA, NewDataset("f", []))
    assert (await datasets.list(ANNA, PageRequest(), TextFilter(include_archived=True))).total == 0

    dataset = await _made(datasets)
    item, *_ = await _items(datasets, dataset)
    with pytest.raises(RuleViolation):
        await datasets.add_items(ANNA, dataset.id, [{"n": 1}], [{"picture": "f1"}])
    with pytest.raises(RuleViolation):
        await datasets.update_item(ANNA, item.id, {"n": 1}, {"picture": "f1"})
    with pytest.raises(InvalidInput):
        await datasets.update_item(ANNA, item.id, {"": 1}, None)
    assert (await datasets.get(ANNA, dataset.id)).current_version_num == 1


async def test_empty_file_lists_refer_to_nothing_and_are_fine(datasets):
    dataset = await datasets.create(ANNA, NewDataset("f", [{"n": 1}], [{}]))
    assert (await _items(datasets, dataset))[0].files is None


async def test_changes_at_the_same_moment_lose_nothing(datasets):
    dataset = await _made(datasets)
    items = await _items(datasets, dataset)
    await asyncio.gather(
        *(datasets.add_items(ANNA, dataset.id, [{"n": 10 + n}]) for n in range(8)),
        *(datasets.update_item(ANNA, item.id, {"n": -item.data["n"]}, None) for item in items),
        datasets.update(ANNA, dataset.id, {"name": "renamed"}),
        datasets.update(ANNA, dataset.id, {"tags": ("tagged",)}),
    )
    after = await datasets.get(ANNA, dataset.id)
    assert (after.current_version_num, after.name, after.tags) == (12, "renamed", ("tagged",))
    assert sorted(await _numbers(datasets, dataset)) == [-2, -1, 0, *range(10, 18)]
    sizes = [len(await _numbers(datasets, dataset, version=version)) for version in range(1, 13)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (3, 11)


async def test_of_two_deletions_at_the_same_moment_one_is_refused(datasets):
    dataset = await _made(datasets)
    item, *_ = await _items(datasets, dataset)
    outcomes = await asyncio.gather(*(datasets.archive_item(ANNA, item.id) for _ in range(2)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DatasetItem", "RuleViolation"]
    assert (await datasets.get(ANNA, dataset.id)).current_version_num == 2


async def test_an_update_without_files_keeps_those_the_item_has(datasets, storage):
    dataset = await _made(datasets, 1)
    (item,) = await _items(datasets, dataset)
    async with storage.write() as work:
        stored = await work.datasets.get("default", dataset.id)
        await work.dataset_items.close_versions(dataset.id, [item.id], 2)
        changed = replace(item, files={"picture": "f1"}, start_version=2)
        await work.dataset_items.add(stored, [changed])
        await work.datasets.save(replace(stored, current_version_num=2))
    kept = await datasets.update_item(ANNA, item.id, {"n": 1}, None, keep_files=True)
    assert (kept.files, kept.content_hash) == ({"picture": "f1"}, content_hash({"n": 1}, {"picture": "f1"}))
    assert (await datasets.update_item(ANNA, item.id, {"n": 1}, None)).files is None
