"""Groups on the real SQLite storage: who may be a member, what comes back, and what is refused whole."""

from dataclasses import replace

import pytest

from assay.core.errors import InvalidCursor, InvalidInput, NotFound, RuleViolation
from assay.core.paging import PageRequest
from assay.ports.storage import TextFilter
from assay.services.groups import GroupReplacement, Groups, NewGroup
from tests.builders.stored import MovableClock, a_stored_evaluation, caller_of, sqlite_storage

ANNA = caller_of("default")
STRANGER = caller_of("other")


@pytest.fixture
async def storage(tmp_path):
    async with sqlite_storage(tmp_path) as opened:
        yield opened


@pytest.fixture
def groups(storage):
    return Groups(storage, MovableClock())


async def _group(groups, *evaluations, name="a group", **more):
    return await groups.create(ANNA, NewGroup(name, tuple(one.id for one in evaluations), **more))


async def test_a_group_keeps_its_members_in_order_with_their_columns(groups, storage):
    first, second = [await a_stored_evaluation(storage, ANNA, name=name) for name in ("one", "two")]
    columns = {first.id: "question_id", "not a member": "x"}
    made = await _group(groups, second, first, metadata={"k": 1}, tags=("T",), row_identifiers=columns)
    read = await groups.get(ANNA, made.id)
    for group in (made, read):
        assert [member.evaluation_id for member in group.members] == [second.id, first.id]
        assert [member.evaluation.name for member in group.members] == ["two", "one"]
        assert [member.row_identifier for member in group.members] == [None, "question_id"]
        assert (group.metadata, group.tags, group.account_id) == ({"k": 1}, ("T",), "default")


async def test_unknown_foreign_and_archived_evaluations_cannot_be_members(groups, storage):
    mine = await a_stored_evaluation(storage, ANNA)
    foreign = await a_stored_evaluation(storage, STRANGER)
    archived = await a_stored_evaluation(storage, ANNA)
    async with storage.write() as work:
        await work.evaluations.save(replace(archived, archived_at=archived.created_at))
    for bad in (foreign.id, archived.id, "nothing", "x" * 5000):
        with pytest.raises(RuleViolation, match=bad[:100]) as refused:
            await groups.create(ANNA, NewGroup("no", (mine.id, bad)))
        assert len(str(refused.value)) < 300
    assert (await groups.list(ANNA, PageRequest(), TextFilter(include_archived=True))).total == 0


async def test_a_group_names_each_evaluation_once_and_at_least_one(groups, storage):
    mine = await a_stored_evaluation(storage, ANNA)
    with pytest.raises(InvalidInput, match=r"evaluation_ids\.1: named twice"):
        await _group(groups, mine, mine)
    with pytest.raises(InvalidInput, match="at least one"):
        await _group(groups)


async def test_groups_are_found_by_name_tags_and_member(groups, storage):
    first, second = [await a_stored_evaluation(storage, ANNA) for _ in range(2)]
    alpha = await _group(groups, first, name="Alpha", tags=("x", "y"))
    beta = await _group(groups, first, second, name="beta", tags=("X",))

    async def found(where=None, **more):
        page = await groups.list(ANNA, PageRequest(), where or TextFilter(), **more)
        return [group.id for group in page.items]

    assert await found() == [alpha.id, beta.id]
    assert await found(TextFilter(name="ALPH")) == [alpha.id]
    assert await found(TextFilter(tags=("x",))) == [alpha.id, beta.id]
    assert await found(TextFilter(tags=("x", "Y"))) == [alpha.id]
    assert await found(evaluation_id=second.id) == [beta.id]
    assert await found(evaluation_id="nothing") == []


async def test_another_accounts_group_does_not_exist(groups, storage):
    group = await _group(groups, await a_stored_evaluation(storage, ANNA))
    with pytest.raises(NotFound):
        await groups.get(STRANGER, group.id, include_deleted=True)
    assert (await groups.list(STRANGER, PageRequest(), TextFilter())).total == 0
    with pytest.raises(InvalidCursor):
        await groups.list(STRANGER, PageRequest(starting_after=group.id), TextFilter())


async def test_a_membership_that_ended_is_not_shown(groups, storage):
    stays, leaves = [await a_stored_evaluation(storage, ANNA) for _ in range(2)]
    made = await _group(groups, leaves, stays)
    async with storage.write() as work:
        await work.groups.remove_evaluations([leaves.id], MovableClock().now())
    read = await groups.get(ANNA, made.id)
    (listed,) = (await groups.list(ANNA, PageRequest(), TextFilter())).items
    assert [member.evaluation_id for member in read.members] == [stays.id]
    assert listed.members == read.members
    assert (await groups.list(ANNA, PageRequest(), TextFilter(), evaluation_id=leaves.id)).total == 0


async def test_a_change_with_nothing_in_it_and_a_foreign_group_are_refused(groups, storage):
    group = await _group(groups, await a_stored_evaluation(storage, ANNA))
    with pytest.raises(RuleViolation, match="nothing to change"):
        await groups.update(ANNA, group.id, {})
    for work in (
        groups.update(STRANGER, group.id, {"name": "mine"}),
        groups.replace(STRANGER, group.id, GroupReplacement(name="mine")),
        groups.archive(STRANGER, group.id),
    ):
        with pytest.raises(NotFound):
            await work
    assert await groups.get(ANNA, group.id) == group


async def test_a_refused_replacement_changes_nothing_at_all(groups, storage):
    one = await a_stored_evaluation(storage, ANNA)
    group = await _group(groups, one, metadata={"k": 1})
    for members in ((), (one.id, one.id), (one.id, "nothing")):
        with pytest.raises(RuleViolation, match="evaluation_ids"):
            await groups.replace(ANNA, group.id, GroupReplacement(name="no", evaluation_ids=members))
    assert await groups.get(ANNA, group.id) == group


async def test_a_member_that_comes_back_joins_anew_and_one_that_stays_does_not(storage):
    clock = MovableClock()
    groups = Groups(storage, clock)
    stays, leaves = [await a_stored_evaluation(storage, ANNA) for _ in range(2)]
    made = await _group(groups, stays, leaves, row_identifiers={stays.id: "a", leaves.id: "b"})
    clock.tick()
    await groups.replace(ANNA, made.id, GroupReplacement(evaluation_ids=(stays.id,)))
    clock.tick()
    back = await groups.replace(ANNA, made.id, GroupReplacement(evaluation_ids=(leaves.id, stays.id)))
    assert [(one.evaluation_id, one.created_at, one.row_identifier) for one in back.members] == [
        (leaves.id, clock.now(), None),
        (stays.id, made.created_at, "a"),
    ]


async def test_a_deleted_group_keeps_the_members_that_it_had_at_its_end_only(storage):
    clock = MovableClock()
    groups = Groups(storage, clock)
    stays, leaves = [await a_stored_evaluation(storage, ANNA) for _ in range(2)]
    made = await _group(groups, stays, leaves)
    clock.tick()
    await groups.replace(ANNA, made.id, GroupReplacement(evaluation_ids=(stays.id,)))
    clock.tick()
    deleted = await groups.archive(ANNA, made.id)
    assert [(one.evaluation_id, one.deleted_at) for one in deleted.members] == [(stays.id, clock.now())]
    assert deleted.deleted_at == clock.now()
    assert await groups.get(ANNA, made.id, include_deleted=True) == deleted
    clock.tick()
    with pytest.raises(NotFound):
        await groups.archive(ANNA, made.id)
    assert (await groups.get(ANNA, made.id, include_deleted=True)).deleted_at == deleted.deleted_at


async def test_totals_follow_what_is_made_and_deleted(groups, storage):
    one = await a_stored_evaluation(storage, ANNA)
    made = [await _group(groups, one) for _ in range(3)]
    await groups.archive(ANNA, made[1].id)

    async def totals(caller):
        wheres = (TextFilter(), TextFilter(include_archived=True))
        return [(await groups.list(caller, PageRequest(limit=1), where)).total for where in wheres]

    assert await totals(ANNA) == [2, 3]
    assert await totals(STRANGER) == [0, 0]
    with pytest.raises(RuleViolation):
        await groups.create(ANNA, NewGroup("no", ("nothing",)))
    assert await totals(ANNA) == [2, 3]
