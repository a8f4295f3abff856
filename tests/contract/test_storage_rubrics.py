"""The contract of the rubrics' storage, on SQLite and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.adapters.storage import SqlStorage
from assay.core.paging import PageRequest
from assay.core.questions import Question
from assay.core.rubrics import Criterion, Rubric
from tests.builders.catalogue import make_question
from tests.builders.identity import ALICE, NOW, new_id

HOUR = timedelta(hours=1)


def make_rubric(**changes: Any) -> Rubric:
    defaults = {"title": "Helpful", "tags": ("A", "b"), "version": 1, "created_at": NOW, "created_by": ALICE}
    return Rubric(**{"id": new_id(), "seq": 0, "account_id": "default", **defaults, **changes})


def make_criterion(rubric: Rubric, position: int = 0, **changes: Any) -> Criterion:
    defaults = {"version": 1, "title": "kind", "weight": 1.0, "annotations": None, "created_at": NOW}
    return Criterion(**{"id": new_id(), "rubric_id": rubric.id, "position": position, **defaults, **changes})


async def added(storage: SqlStorage, **changes: Any) -> Rubric:
    async with storage.write() as work:
        return await work.rubrics.add(make_rubric(**changes))


async def test_a_rubric_comes_back_whole(storage: SqlStorage) -> None:
    rubric = await added(storage, updated_at=NOW + HOUR, archived_at=NOW + 2 * HOUR, title="Ünï\N{GRINNING FACE}")
    async with storage.read() as work:
        assert await work.rubrics.get("default", rubric.id) == rubric
        assert await work.rubrics.get("other", rubric.id) is None


async def test_a_new_version_is_kept_beside_the_old_ones(storage: SqlStorage) -> None:
    rubric = await added(storage)
    second = replace(rubric, title="Better", tags=(), version=2, updated_at=NOW + HOUR)
    async with storage.write() as work:
        await work.rubrics.save(second)
        await work.rubrics.save(replace(second, archived_at=NOW + 2 * HOUR))
    async with storage.read() as work:
        versions = [await work.rubrics.version(second, number) for number in (0, 1, 2, 3)]
    told = [each and (each.version, each.title, each.tags, each.created_at) for each in versions]
    assert told == [None, (1, "Helpful", ("A", "b"), NOW), (2, "Better", (), NOW + HOUR), None]


async def test_criteria_are_found_as_they_are_and_as_they_were(storage: SqlStorage) -> None:
    rubric, other = await added(storage), await added(storage)
    kind, right = make_criterion(rubric, 0, annotations={"a": [None]}), make_criterion(rubric, 1, weight=0.25)
    kinder = replace(kind, version=2, title="kinder", created_at=NOW + HOUR)
    late = make_criterion(rubric, 2, created_at=NOW + HOUR)
    async with storage.write() as work:
        await work.rubrics.add_criteria([])
        await work.rubrics.add_criteria([right, kind, late, kinder])
    async with storage.read() as work:
        assert await work.rubrics.criteria([rubric.id, other.id]) == {rubric.id: [kinder, right, late]}
        assert await work.rubrics.criteria([rubric.id], as_of=NOW) == {rubric.id: [kind, right]}
        assert await work.rubrics.criteria([rubric.id], as_of=NOW - HOUR) == {}
        assert await work.rubrics.criterion_versions(rubric.id, kind.id) == [kind, kinder]
        assert await work.rubrics.criterion_versions(other.id, kind.id) == []


async def test_rubrics_are_listed_by_title_tags_and_cursor(storage: SqlStorage) -> None:
    rubrics = [await added(storage, title=title) for title in ("Über", "better", "Ärger")]
    await added(storage, archived_at=NOW)
    await added(storage, account_id="other")
    async with storage.read() as work:
        page = await work.rubrics.list("default", PageRequest(limit=2))
        assert ([each.id for each in page.items], page.total, page.has_more) == (
            [each.id for each in rubrics[:2]],
            3,
            True,
        )
        rest = await work.rubrics.list("default", PageRequest(limit=2, starting_after=rubrics[1].id))
        assert [each.id for each in rest.items] == [rubrics[2].id]
        named = await work.rubrics.list("default", PageRequest(), title="ÜBER", tags=["a", "B"])
        assert [each.id for each in named.items] == [rubrics[0].id]
        assert (await work.rubrics.list("default", PageRequest(), tags=["c"])).total == 0
        for order in ("created_at", "updated_at", "title", "version", "id"):
            assert (await work.rubrics.list("default", PageRequest(sort_by=order, sort_order="desc"))).total == 3


async def test_two_changes_of_a_rubric_wait_for_each_other(storage: SqlStorage) -> None:
    rubric = await added(storage)

    async def rename(title: str) -> None:
        async with storage.write() as work:
            found = await work.rubrics.get("default", rubric.id)
            assert found is not None
            await asyncio.sleep(0.01)
            await work.rubrics.save(replace(found, title=title, version=found.version + 1))

    await asyncio.gather(*(rename(f"title {n}") for n in range(4)))
    async with storage.read() as work:
        found = await work.rubrics.get("default", rubric.id)
        assert found is not None
        assert found.version == 5
        assert len({(await work.rubrics.version(found, number)).title for number in range(1, 6)}) == 5  # type: ignore[union-attr]


@pytest.mark.parametrize("order", ["created_at", "title", "type", "id"])
async def test_questions_are_paged_by_cursor_in_both_directions(storage: SqlStorage, order: str) -> None:
    made: list[Question] = []
    async with storage.write() as work:
        for n in range(5):
            made.append(await work.questions.add(make_question(title=f"t{n}")))
        gone = await work.questions.add(make_question(archived_at=NOW))
        await work.questions.add(make_question(account_id="other"))
    ids = [each.id for each in made] if order != "id" else sorted(each.id for each in made)
    async with storage.read() as work:
        page = await work.questions.page("default", PageRequest(limit=2, sort_by=order))
        assert ([each.id for each in page.items], page.total, page.has_more) == (ids[:2], 5, True)
        before = await work.questions.page("default", PageRequest(limit=2, sort_by=order, ending_before=ids[4]))
        assert ([each.id for each in before.items], before.has_more) == (ids[2:4], True)
        chosen = await work.questions.page("default", PageRequest(sort_by=order), ids=[ids[1], gone.id, "none"])
        assert [each.id for each in chosen.items] == [ids[1]]
        everything = await work.questions.page("default", PageRequest(), include_archived=True)
        assert everything.total == 6
        assert (await work.questions.page("default", PageRequest(), ids=["x"] * 10_000)).total == 0
