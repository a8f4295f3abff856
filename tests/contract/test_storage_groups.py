"""The contract of the storage port, on SQLite and PostgreSQL: changing groups, and counting them."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from assay.adapters.storage import SqlStorage
from assay.adapters.storage.migrations.versions import v0002_groups_counted
from assay.core.errors import RuleViolation
from assay.core.evaluations import Evaluation, EvaluationStatus, Progress
from assay.core.groups import Group
from assay.core.identity import Identity
from assay.core.paging import PageRequest
from assay.ports.storage import TextFilter
from tests.builders.datasets import make_dataset
from tests.builders.evaluations import make_evaluation
from tests.builders.groups import as_member, make_group
from tests.builders.identity import NOW

LATER, LATEST = NOW + timedelta(hours=1), NOW + timedelta(hours=2)


async def a_group(storage: SqlStorage, members: int = 3) -> tuple[Group, list[str]]:
    """A stored group and the ids of its members."""
    async with storage.write() as work:
        ids = [(await work.evaluations.add(make_evaluation())).id for _ in range(members)]
        return await work.groups.add(make_group(ids, metadata={"a": 1}, tags=("t",))), ids


async def stored(storage: SqlStorage, group: Group) -> Group:
    async with storage.read() as work:
        found = await work.groups.get(group.account_id, group.id, include_deleted=True)
    assert found is not None
    return found


def memberships(group: Group) -> list[tuple[str, object, object, object]]:
    return [(each.evaluation_id, each.created_at, each.deleted_at, each.row_identifier) for each in group.members]


async def test_saving_a_group_writes_its_own_fields_and_no_member(storage: SqlStorage) -> None:
    group, _ = await a_group(storage)
    saved = replace(group, name="Renamed", description="d", tags=("u", "v"), metadata=None)
    async with storage.write() as work:
        await work.groups.save(replace(saved, members=(), created_at=LATER, deleted_at=LATER))
    assert await stored(storage, group) == saved
    async with storage.read() as work:
        for where in (TextFilter(name="rENAMED"), TextFilter(tags=("V", "u"))):
            assert (await work.groups.list("default", PageRequest(), where)).items == [saved]


async def test_members_are_replaced_in_order_and_those_that_left_stay_on_record(storage: SqlStorage) -> None:
    group, (a, b, c) = await a_group(storage)
    async with storage.write() as work:
        d = (await work.evaluations.add(make_evaluation())).id
        await work.groups.replace_members(group, [d, b], LATER)
    first = await stored(storage, group)
    assert memberships(first) == [
        (a, NOW, LATER, "question"),
        (c, NOW, LATER, "question"),
        (d, LATER, None, None),
        (b, NOW, None, "question"),
    ]
    async with storage.write() as work:
        await work.groups.replace_members(group, [b, a, d], LATEST)
    assert memberships(await stored(storage, group)) == [
        (c, NOW, LATER, "question"),
        (b, NOW, None, "question"),
        (a, LATEST, None, None),
        (d, LATER, None, None),
    ]


async def test_an_evaluation_that_cannot_join_leaves_the_members_as_they_are(storage: SqlStorage) -> None:
    group, (a, *_) = await a_group(storage)
    async with storage.write() as work:
        archived = await work.evaluations.add(make_evaluation(archived_at=NOW))
        foreign = await work.evaluations.add(make_evaluation(account_id="other"))

    async def replace_with(evaluation_id: str) -> None:
        async with storage.write() as work:
            await work.groups.replace_members(group, [a, evaluation_id], LATER)

    async def add_with(evaluation_id: str) -> None:
        async with storage.write() as work:
            await work.groups.add(make_group([a, evaluation_id]))

    for evaluation_id in (archived.id, foreign.id, "unknown"):
        for attempt in (replace_with, add_with):
            with pytest.raises(RuleViolation, match=evaluation_id):
                await attempt(evaluation_id)
    assert await stored(storage, group) == group
    async with storage.read() as work:
        assert (await work.groups.list("default", PageRequest(), TextFilter())).total == 1


async def test_row_identifiers_are_a_set_of_the_present_members(storage: SqlStorage) -> None:
    group, (a, _, c) = await a_group(storage)
    async with storage.write() as work:
        await work.groups.remove_evaluations([c], LATER)
        await work.groups.save_row_identifiers(group, {a: "x", c: "y", "unknown": "z"})
    found = await stored(storage, group)
    assert [each[3] for each in memberships(found)] == ["x", None, "question"]
    async with storage.write() as work:
        await work.groups.save_row_identifiers(found, {})
    assert [each[3] for each in memberships(await stored(storage, group))] == [None, None, "question"]


async def test_a_group_and_its_present_members_end_at_one_time(storage: SqlStorage) -> None:
    group, (a, b, _) = await a_group(storage)
    async with storage.write() as work:
        await work.groups.remove_evaluations([a], LATER)
        await work.groups.delete(group, LATEST)
        await work.groups.remove_evaluations([b], LATEST + timedelta(1))
    deleted = await stored(storage, group)
    assert deleted.deleted_at == LATEST
    assert [member.deleted_at for member in deleted.members] == [LATER, LATEST, LATEST]
    async with storage.read() as work:
        assert await work.groups.get("default", group.id) is None


async def test_a_list_knows_its_total_with_filters_and_without(storage: SqlStorage) -> None:
    _, (member, *_) = await a_group(storage)
    two, _ = await a_group(storage)
    async with storage.write() as work:
        await work.groups.add(make_group(account_id="other"))
        await work.groups.delete(two, LATER)

    async def total(where: TextFilter, account: str = "default", evaluation_id: str | None = None) -> int:
        async with storage.read() as work:
            return (await work.groups.list(account, PageRequest(limit=1), where, evaluation_id=evaluation_id)).total

    everything = TextFilter(include_archived=True)
    assert [await total(TextFilter()), await total(everything), await total(everything, "other")] == [1, 2, 1]
    assert await total(TextFilter(name="models", include_archived=True)) == 2
    assert await total(TextFilter(tags=("none",))) == 0
    assert [await total(everything, evaluation_id=member), await total(everything, "other", member)] == [1, 0]
    assert await total(TextFilter(), "nobody") == 0


async def test_a_rolled_back_group_is_not_counted(storage: SqlStorage) -> None:
    async def fail() -> None:
        async with storage.write() as work:
            await work.groups.add(make_group())
            raise RuntimeError

    await a_group(storage)
    with pytest.raises(RuntimeError):
        await fail()
    async with storage.read() as work:
        assert (await work.groups.list("default", PageRequest(), TextFilter())).total == 1


async def test_the_migration_counts_the_groups_that_are_there(storage: SqlStorage) -> None:
    for _ in range(2):
        await a_group(storage, 1)
    gone, _ = await a_group(storage, 1)
    async with storage.write() as work:
        await work.groups.add(make_group(account_id="other", deleted_at=NOW))
        await work.groups.delete(gone, LATER)
    async with storage._writing() as session:
        counted = "SELECT account_id, present, deleted FROM group_counts ORDER BY account_id"
        before = [tuple(row) for row in await session.rows(text(counted))]
        await session.run(text("DELETE FROM group_counts"))
        await session.run(text(v0002_groups_counted.COUNT))
        assert (
            [tuple(row) for row in await session.rows(text(counted))] == before == [("default", 2, 1), ("other", 0, 1)]
        )


async def test_a_members_evaluation_has_what_the_evaluation_has(storage: SqlStorage) -> None:
    async with storage.write() as work:
        made = [await work.datasets.add(make_dataset()) for _ in range(2)]
        evaluation = await work.evaluations.add(
            make_evaluation(
                description="d",
                tags=("a", "b"),
                metadata={"a": [1, None, {"b": 2**70}]},
                status_reason="r",
                progress=Progress(9, 3, 2, 4),
                archived_at=NOW,
                updated_at=LATER,
                started_at=LATER,
                finished_at=LATEST,
                created_by=Identity("robot", "service_account"),
                column_names=("x", "y"),
                taxonomy={"t": 1},
                skip_prefilled_rows=True,
            ),
            [made[1].id, made[0].id],
        )
        plain = await work.evaluations.add(make_evaluation(has_job=False, status=EvaluationStatus.COMPLETED))
        read = await work.evaluations.get("default", evaluation.id, include_archived=True)
        await work.evaluations.save(replace(evaluation, archived_at=None))
        group = await work.groups.add(make_group([plain.id, evaluation.id]))
        await work.evaluations.save(evaluation)
    stored_fields = [each for each in fields(Evaluation) if each.name != "annotation"]  # which is counted, not stored
    like_default = [each.name for each in stored_fields if getattr(evaluation, each.name) == each.default]
    assert like_default == [], "a new field belongs here too"
    assert read == evaluation
    shown = [as_member(plain), as_member(evaluation)]
    assert [member.evaluation for member in (await stored(storage, group)).members] == shown


async def test_a_page_costs_the_same_statements_whatever_its_number_of_groups(storage: SqlStorage) -> None:
    for _ in range(7):
        await a_group(storage)
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    async def cost(limit: int, cursor: str | None = None) -> tuple[int, Sequence[Group]]:
        statements.clear()
        async with storage.read() as work:
            page = await work.groups.list("default", PageRequest(limit=limit, starting_after=cursor), TextFilter())
        return len(statements), page.items

    engine = storage._readers.sync_engine
    event.listen(engine, "before_cursor_execute", count)
    try:
        first, (group,) = await cost(1)
        assert (await cost(6))[0] == first
        assert (await cost(1, group.id))[0] == (await cost(6, group.id))[0] == first + 1
    finally:
        event.remove(engine, "before_cursor_execute", count)
    assert not any("count(" in statement.lower() for statement in statements), "the total is kept, not counted"
