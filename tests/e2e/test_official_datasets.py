"""Datasets, their items and versions through the vendor's own client against a real server."""

import uuid
from typing import Any

import pytest
from scale_gp_beta import APIStatusError, BadRequestError, NotFoundError, SGPClient, UnprocessableEntityError


def make(client: SGPClient, count: int = 3, **more: Any) -> Any:
    return client.datasets.create(
        name=f"dataset {uuid.uuid4().hex[:8]}", data=[{"n": n, "id": f"own-{n}"} for n in range(count)], **more
    )


def numbers(client: SGPClient, dataset_id: str, **where: Any) -> list[object]:
    return [item.data["n"] for item in client.dataset_items.list(dataset_id=dataset_id, **where)]


def test_a_dataset_keeps_its_rows_in_order(strict: SGPClient) -> None:
    created = make(strict, 5, description="five", tags=["A", "b"])

    assert created.object == "dataset"
    assert (created.description, created.tags, created.current_version_num) == ("five", ["A", "b"], 1)
    items = list(strict.dataset_items.list(dataset_id=created.id, limit=2))
    assert [item.data for item in items] == [{"n": n, "id": f"own-{n}"} for n in range(5)]
    assert {item.object for item in items} == {"dataset.item"}
    assert {item.dataset_id for item in items} == {created.id}
    assert all(len(item.content_hash) == 64 for item in items)
    assert len({item.content_hash for item in items}) == 5
    assert strict.datasets.retrieve(created.id).name == created.name


def test_datasets_are_listed_by_name_and_tags(strict: SGPClient) -> None:
    tag = uuid.uuid4().hex
    first, second = make(strict, tags=[tag, "x"]), make(strict, tags=[tag])

    assert [one.id for one in strict.datasets.list(tags=[tag.upper()], limit=1)] == [first.id, second.id]
    assert [one.id for one in strict.datasets.list(tags=[tag, "X"])] == [first.id]
    assert [one.id for one in strict.datasets.list(name=second.name.upper())] == [second.id]
    backward = strict.datasets.list(tags=[tag], ending_before=second.id, limit=1)
    assert [one.id for one in backward] == [first.id]


def test_every_change_of_rows_is_a_version_that_stays_readable(strict: SGPClient) -> None:
    dataset = make(strict)
    items = list(strict.dataset_items.list(dataset_id=dataset.id))

    batch = strict.dataset_items.batch_create(dataset_id=dataset.id, data=[{"n": 3}, {"n": 4}])
    assert batch.object == "list"
    assert [item.data["n"] for item in batch.items] == [3, 4]
    updated = strict.dataset_items.update(items[1].id, data={"n": 100})
    assert (updated.id, updated.data) == (items[1].id, {"n": 100})
    assert updated.content_hash != items[1].content_hash
    removed = strict.dataset_items.archive(items[0].id)
    assert (removed.id, removed.deleted, removed.object) == (items[0].id, True, "dataset.item")

    assert strict.datasets.retrieve(dataset.id).current_version_num == 4
    assert numbers(strict, dataset.id) == [100, 2, 3, 4]
    assert numbers(strict, dataset.id, version=1) == [0, 1, 2]
    assert numbers(strict, dataset.id, version=2) == [0, 1, 2, 3, 4]
    assert numbers(strict, dataset.id, version=3, limit=2) == [0, 100, 2, 3, 4]
    assert numbers(strict, dataset.id, version=4, sort_order="desc") == [4, 3, 2, 100]
    assert strict.dataset_items.retrieve(items[1].id).data == {"n": 100}
    assert strict.dataset_items.retrieve(items[1].id, version=2).data["n"] == 1
    assert strict.dataset_items.retrieve(items[0].id, version=3).data["n"] == 0


def test_a_removed_item_cannot_be_changed_or_removed_again(strict: SGPClient) -> None:
    dataset = make(strict)
    item = next(iter(strict.dataset_items.list(dataset_id=dataset.id)))
    strict.dataset_items.archive(item.id)

    for attempt in (
        lambda: strict.dataset_items.archive(item.id),
        lambda: strict.dataset_items.update(item.id, data={"n": 1}),
    ):
        with pytest.raises(APIStatusError) as refused:
            attempt()
        assert refused.value.status_code in {400, 404}
    assert strict.datasets.retrieve(dataset.id).current_version_num == 2


def test_a_version_without_a_dataset_is_refused(strict: SGPClient) -> None:
    with pytest.raises(UnprocessableEntityError):
        strict.dataset_items.list(version=1)


def test_an_archived_dataset_is_hidden_until_it_is_restored(strict: SGPClient) -> None:
    dataset = make(strict)

    archived = strict.datasets.archive(dataset.id)

    assert (archived.id, archived.deleted, archived.object) == (dataset.id, True, "dataset")
    with pytest.raises(NotFoundError):
        strict.datasets.retrieve(dataset.id)
    for attempt in (
        lambda: strict.datasets.archive(dataset.id),
        lambda: strict.datasets.update(dataset.id, dataset={"name": "no"}),
        lambda: strict.dataset_items.batch_create(dataset_id=dataset.id, data=[{"n": 1}]),
        lambda: strict.evaluations.create(evaluation={"name": "no", "dataset_id": dataset.id}),
    ):
        with pytest.raises(BadRequestError):
            attempt()
    assert strict.datasets.retrieve(dataset.id, include_archived=True).archived_at is not None
    assert list(strict.datasets.list(name=dataset.name)) == []
    assert [one.id for one in strict.datasets.list(name=dataset.name, include_archived=True)] == [dataset.id]

    restored = strict.datasets.update(dataset.id, dataset={"restore": True})

    assert restored.archived_at is None
    assert numbers(strict, dataset.id) == [0, 1, 2]


def test_a_dataset_is_renamed_and_its_rows_stay(strict: SGPClient) -> None:
    dataset = make(strict, description="old", tags=["old"])

    updated = strict.datasets.update(dataset.id, dataset={"name": "renamed", "tags": ["new"]})

    assert (updated.name, updated.description, updated.tags) == ("renamed", "old", ["new"])
    assert updated.current_version_num == 1
    assert numbers(strict, dataset.id) == [0, 1, 2]


def test_an_evaluation_keeps_the_rows_it_was_made_of(strict: SGPClient) -> None:
    dataset = make(strict)
    first = next(iter(strict.dataset_items.list(dataset_id=dataset.id)))
    evaluation = strict.evaluations.create(evaluation={"name": "frozen", "dataset_id": dataset.id})

    strict.dataset_items.update(first.id, data={"n": -1})
    later = strict.evaluations.create(evaluation={"name": "later", "dataset_id": dataset.id})

    before = list(strict.evaluation_items.list(evaluation_id=evaluation.id))
    after = list(strict.evaluation_items.list(evaluation_id=later.id))
    assert [item.data["n"] for item in before] == [0, 1, 2]
    assert [item.data["n"] for item in after] == [-1, 1, 2]
    assert before[0].dataset_item_version_num == 1
    assert after[0].dataset_item_version_num == 2


def test_unknown_datasets_and_rows_are_told_apart_from_bad_ones(strict: SGPClient) -> None:
    dataset = make(strict)

    with pytest.raises(NotFoundError):
        strict.evaluations.create(evaluation={"name": "no", "dataset_id": str(uuid.uuid4())})
    with pytest.raises(BadRequestError):
        strict.evaluations.create(
            evaluation={"name": "no", "dataset_id": dataset.id, "data": [{"dataset_item_id": str(uuid.uuid4())}]}
        )
    with pytest.raises(UnprocessableEntityError):
        strict.datasets.create(name="empty", data=[])
    with pytest.raises(NotFoundError):
        strict.dataset_items.retrieve(str(uuid.uuid4()))
