"""The contract of annotation tasks, on SQLite and PostgreSQL: queueing, claiming and what is remembered."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from assay.adapters.storage import SqlStorage, open_storage
from assay.core.annotation import (
    AnnotationKind,
    AnnotationStatus,
    AnnotationTask,
    Queueing,
    Work,
    answered,
    assigned,
    may_work,
    released,
    sent_back,
)
from assay.core.errors import InvalidCursor
from assay.core.paging import PageRequest
from assay.ports.annotation import AnnotationEvent, AnnotationFilter
from tests.builders.annotation import CONTRIBUTORS, LEASE, claim, queued
from tests.builders.identity import ALICE, NOW, new_id

LATER = NOW + LEASE + timedelta(seconds=1)


async def everything(storage: SqlStorage, **where: object) -> list[AnnotationTask]:
    async with storage.read() as work:
        page = await work.annotation_tasks.list("default", PageRequest(limit=1000), AnnotationFilter(**where))  # type: ignore[arg-type]
    return list(page.items)


async def answer(storage: SqlStorage, task: AnnotationTask, by: str) -> None:
    async with storage.write() as work:
        tasks = await work.annotation_tasks.of_item(task.item_seq, task.queue_id)
        current = next(each for each in tasks if each.id == task.id)
        await work.annotation_tasks.save(answered(current, tasks, Work(by, NOW, {"x": 1})))


async def test_items_are_queued_all_first_answers_before_all_second_ones(storage: SqlStorage) -> None:
    evaluation, items = await queued(storage, 3, overlap=2, audit_levels=1)
    tasks = await everything(storage)
    places = [(task.item_id, task.slot, task.level) for task in tasks]
    expected = [(item.id, slot, level) for level in (0, 1) for slot in (0, 1) for item in items]
    assert places == expected
    assert {task.evaluation_id for task in tasks} == {evaluation.id}
    assert Counter((task.kind, task.status) for task in tasks) == {
        (AnnotationKind.CONTRIBUTOR_ANNOTATION, AnnotationStatus.PENDING): 6,
        (AnnotationKind.CONTRIBUTOR_AUDIT, AnnotationStatus.NOT_READY): 6,
    }
    assert all(task.assigned_to is None and task.answers is None and not task.archived for task in tasks)


async def test_queueing_again_adds_only_what_is_missing(storage: SqlStorage) -> None:
    evaluation, items = await queued(storage, 3)
    async with storage.write() as work:
        plan = Queueing(CONTRIBUTORS, "q", overlap=2)
        added = await work.annotation_tasks.add("default", evaluation.seq, [each.seq for each in items], plan, NOW)
    assert added == 3
    assert len(await everything(storage)) == 6


async def test_a_claim_takes_the_oldest_of_the_highest_priority(storage: SqlStorage) -> None:
    await queued(storage, 2)
    _, urgent = await queued(storage, 2, priority=5)
    first = await claim(storage, "ann")
    second = await claim(storage, "bob")
    assert first is not None
    assert second is not None
    assert (first.item_id, first.assigned_to, first.lease_until) == (urgent[0].id, "ann", NOW + LEASE)
    assert second.item_id == urgent[1].id


async def test_somebody_who_holds_a_task_gets_it_again_with_a_new_lease(storage: SqlStorage) -> None:
    await queued(storage, 2)
    first = await claim(storage)
    await queued(storage, 1, priority=9)
    again = await claim(storage, at=NOW + timedelta(minutes=10))
    assert first is not None
    assert again is not None
    assert again.id == first.id
    assert again.lease_until == NOW + timedelta(minutes=40)


async def test_what_somebody_holds_comes_before_what_is_reserved_for_them(storage: SqlStorage) -> None:
    await queued(storage, 1)
    held = await claim(storage)
    urgent, _ = await queued(storage, 1, priority=9)
    (task,) = await everything(storage, evaluation_id=urgent.id)
    async with storage.write() as work:
        await work.annotation_tasks.save([assigned(task, [task], "ann", NOW)])
    assert held is not None
    assert (await claim(storage) or task).id == held.id


async def test_a_lease_that_ended_goes_to_one_of_many_who_claim_at_once(storage: SqlStorage) -> None:
    await queued(storage, 1)
    await claim(storage, "ann")
    names = [f"p{number}" for number in range(12)]
    await asyncio.gather(*(claim(storage, name, queue_id="nothing there") for name in names))  # they have connections
    claimed = await asyncio.gather(*(claim(storage, name, at=LATER) for name in names))
    (taken,) = [task for task in claimed if task is not None]
    (stored,) = await everything(storage)
    assert stored.assigned_to == taken.assigned_to


async def test_a_lease_that_ended_is_free_for_others_and_still_its_holders_until_then(storage: SqlStorage) -> None:
    await queued(storage, 1)
    first = await claim(storage, "ann")
    assert await claim(storage, "bob") is None
    assert first is not None
    assert (await claim(storage, "ann", at=LATER)) == replace(first, lease_until=LATER + LEASE, updated_at=LATER)
    taken = await claim(storage, "bob", at=LATER + LEASE)
    assert taken is not None
    assert (taken.id, taken.assigned_to) == (first.id, "bob")
    assert await claim(storage, "ann", at=LATER + LEASE) is None


async def test_a_released_task_goes_to_the_next(storage: SqlStorage) -> None:
    await queued(storage, 1)
    first = await claim(storage, "ann")
    assert first is not None
    async with storage.write() as work:
        await work.annotation_tasks.save([released(first, NOW)])
    taken = await claim(storage, "bob")
    assert taken is not None
    assert taken.id == first.id


async def test_a_task_passed_over_or_skipped_is_not_given(storage: SqlStorage) -> None:
    await queued(storage, 2)
    first = await claim(storage, "ann")
    assert first is not None
    other = await claim(storage, "ann", passing=first.id)
    assert other is not None
    assert other.id != first.id
    async with storage.write() as work:
        await work.annotation_tasks.skip(first, "ann")
        await work.annotation_tasks.skip(first, "ann")
        await work.annotation_tasks.save([released(first, NOW), released(other, NOW)])
    assert await claim(storage, "ann") == replace(other, updated_at=NOW)
    assert (await claim(storage, "bob") or first).id == first.id


async def test_nobody_answers_an_item_twice(storage: SqlStorage) -> None:
    await queued(storage, 1, overlap=2)
    first = await claim(storage, "ann")
    assert first is not None
    await answer(storage, first, "ann")
    assert await claim(storage, "ann") is None
    second = await claim(storage, "bob")
    assert second is not None
    assert (second.item_id, second.slot) == (first.item_id, 1)


async def test_an_audit_is_for_somebody_who_did_not_answer(storage: SqlStorage) -> None:
    await queued(storage, 1, audit_levels=1)
    audits = AnnotationKind.CONTRIBUTOR_AUDIT
    assert await claim(storage, "bob", kind=audits) is None
    first = await claim(storage, "ann")
    assert first is not None
    await answer(storage, first, "ann")
    assert await claim(storage, "ann", kind=audits) is None
    found = await claim(storage, "bob", kind=audits)
    assert found is not None
    assert (found.level, found.status) == (1, AnnotationStatus.PENDING)


async def test_claims_agree_with_the_rule_of_who_may_work(storage: SqlStorage) -> None:
    await queued(storage, 1, overlap=2, audit_levels=2)
    first = await claim(storage, "ann")
    assert first is not None
    await answer(storage, first, "ann")
    async with storage.write() as work:
        tasks = await work.annotation_tasks.of_item(first.item_seq, "q")
        audit = next(each for each in tasks if each.level == 1 and each.slot == 0)
        await work.annotation_tasks.save([assigned(audit, tasks, "cid", NOW)])
    for kind in (CONTRIBUTORS, AnnotationKind.CONTRIBUTOR_AUDIT):
        for name in ("ann", "bob", "cid"):
            async with storage.read() as work:
                tasks = await work.annotation_tasks.of_item(first.item_seq, "q")
            allowed = {
                each.id
                for each in tasks
                if each.kind is kind
                and each.is_open
                and each.assigned_to in (None, name)
                and may_work(each, tasks, name) is None
            }
            found = await claim(storage, name, kind=kind)
            assert (found is None) == (not allowed), (kind, name)
            assert found is None or found.id in allowed
            if found is not None:
                async with storage.write() as work:
                    await work.annotation_tasks.save([released(found, NOW)])


async def test_a_reserved_task_is_only_for_whom_it_is_reserved(storage: SqlStorage) -> None:
    await queued(storage, 1)
    (task,) = await everything(storage)
    async with storage.write() as work:
        await work.annotation_tasks.save([assigned(task, [task], "bob", NOW)])
    assert await claim(storage, "ann") is None
    taken = await claim(storage, "bob")
    assert taken is not None
    assert await claim(storage, "ann", at=LATER) is None, "a reservation outlives a lease"
    other, _ = await queued(storage, 1)
    free = await claim(storage, "ann", at=LATER)
    assert free is not None
    assert free.evaluation_id == other.id
    assert (await claim(storage, "bob", at=LATER) or taken).id == task.id


async def test_an_answer_sent_back_waits_for_its_author(storage: SqlStorage) -> None:
    await queued(storage, 1)
    first = await claim(storage, "ann")
    assert first is not None
    await answer(storage, first, "ann")
    async with storage.write() as work:
        tasks = await work.annotation_tasks.of_item(first.item_seq, "q")
        await work.annotation_tasks.save(sent_back(tasks[0], tasks, NOW, comment="why?"))
    assert await claim(storage, "bob") is None
    again = await claim(storage, "ann")
    assert again is not None
    assert (again.status, again.answers, again.comment) == (AnnotationStatus.PENDING_REDO, {"x": 1}, "why?")


async def test_a_claim_names_an_evaluation_a_queue_or_both(storage: SqlStorage) -> None:
    one, _ = await queued(storage, 1)
    two, _ = await queued(storage, 1, queue_id="other queue")
    by_evaluation = await claim(storage, "ann", queue_id=None, evaluation_seq=two.seq)
    assert by_evaluation is not None
    assert by_evaluation.evaluation_id == two.id
    assert await claim(storage, "bob", queue_id="q", evaluation_seq=two.seq) is None
    both = await claim(storage, "bob", queue_id="q", evaluation_seq=one.seq)
    assert both is not None
    assert both.evaluation_id == one.id
    assert await claim(storage, "cid", queue_id="no such queue") is None


async def test_another_account_or_kind_is_never_claimed(storage: SqlStorage) -> None:
    await queued(storage, 1, account_id="other")
    await queued(storage, 1, kind=AnnotationKind.EVALUATION_ANNOTATION)
    assert await claim(storage) is None
    assert await claim(storage, account_id="other") is not None


async def test_tasks_of_an_archived_evaluation_hide_and_come_back(storage: SqlStorage) -> None:
    evaluation, _ = await queued(storage, 2, audit_levels=1)
    held = await claim(storage, "ann")
    async with storage.write() as work:
        await work.annotation_tasks.set_archived([evaluation.seq], archived=True)
    assert await claim(storage, "ann") is None
    assert await claim(storage, "bob") is None
    assert await everything(storage) == []
    assert len(await everything(storage, include_archived=True)) == 4
    async with storage.write() as work:
        await work.annotation_tasks.set_archived([evaluation.seq], archived=False)
    assert held is not None
    assert (await claim(storage, "ann") or held).id == held.id
    assert await claim(storage, "bob") is not None
    assert await claim(storage, "cid", kind=AnnotationKind.CONTRIBUTOR_AUDIT) is None


async def test_tasks_wait_until_they_are_made_ready(storage: SqlStorage) -> None:
    evaluation, items = await queued(storage, 3, ready=False)
    assert await claim(storage) is None
    async with storage.write() as work:
        first = items[0].seq
        assert await work.annotation_tasks.make_ready(evaluation.seq, NOW, first_item=first, last_item=first) == 1
    taken = await claim(storage, "ann")
    assert taken is not None
    assert taken.item_id == items[0].id
    assert await claim(storage, "bob") is None
    async with storage.write() as work:
        assert await work.annotation_tasks.make_ready(evaluation.seq, NOW) == 2
    assert await claim(storage, "bob") is not None


async def test_everything_about_a_task_is_kept(storage: SqlStorage) -> None:
    await queued(storage, 1)
    (task,) = await everything(storage)
    full = replace(
        task,
        status=AnnotationStatus.FIXED,
        updated_at=LATER,
        priority=7,
        assigned_to="ann",
        reserved=True,
        lease_until=LATER,
        completed_at=NOW,
        duration_seconds=12,
        flagged=False,
        comment="because",
        answers={"a": [1, {"b": None}]},
    )
    async with storage.write() as work:
        await work.annotation_tasks.save([full])
    async with storage.read() as work:
        assert await work.annotation_tasks.get(["default"], task.id) == full
        assert await work.annotation_tasks.get(["other"], task.id) is None
        assert await work.annotation_tasks.get_many(["default"], [task.id, new_id()]) == {task.id: full}
        assert await work.annotation_tasks.of_items(task.evaluation_seq, [task.item_seq]) == {task.item_seq: [full]}


async def test_what_was_done_is_remembered_in_order(storage: SqlStorage) -> None:
    await queued(storage, 1)
    (task,) = await everything(storage)
    said = [
        AnnotationEvent(task.seq, "answer", ALICE, NOW, {"a": 1}, 5, "hm"),
        AnnotationEvent(task.seq, "redo", ALICE, LATER),
    ]
    async with storage.write() as work:
        await work.annotation_tasks.record(said)
        await work.annotation_tasks.record([])
    async with storage.read() as work:
        assert await work.annotation_tasks.events([task.seq]) == said


async def test_lists_filter_and_page(storage: SqlStorage) -> None:
    evaluation, _ = await queued(storage, 3)
    await queued(storage, 1, queue_id="r")
    await queued(storage, 1, account_id="other")
    mine = await claim(storage, "ann")
    assert mine is not None
    assert len(await everything(storage)) == 4
    assert len(await everything(storage, queue_id="q")) == 3
    assert len(await everything(storage, evaluation_id=evaluation.id)) == 3
    assert await everything(storage, evaluation_id=new_id()) == []
    assert [each.id for each in await everything(storage, assigned_to="ann")] == [mine.id]
    assert await everything(storage, status=AnnotationStatus.COMPLETED) == []
    assert await everything(storage, kind=AnnotationKind.EVALUATION_AUDIT) == []
    tasks = await everything(storage)
    async with storage.read() as work:
        after = PageRequest(limit=2, starting_after=tasks[0].id)
        page = await work.annotation_tasks.list("default", after, AnnotationFilter())
        assert (list(page.items), page.total, page.has_more) == (tasks[1:3], 4, True)
        before = PageRequest(limit=2, ending_before=tasks[3].id)
        page = await work.annotation_tasks.list("default", before, AnnotationFilter())
        assert list(page.items) == tasks[1:3]
        with pytest.raises(InvalidCursor):
            await work.annotation_tasks.list("default", PageRequest(starting_after="nobody"), AnnotationFilter())


async def test_counts_are_by_queue_kind_and_state(storage: SqlStorage) -> None:
    evaluation, _ = await queued(storage, 3, audit_levels=1)
    await queued(storage, 1, queue_id="r")
    await claim(storage, "ann")
    async with storage.read() as work:
        counts = await work.annotation_tasks.counts([evaluation.seq])
        queues = await work.annotation_tasks.queues("default")
    audit = AnnotationKind.CONTRIBUTOR_AUDIT
    assert [(each.queue_id, each.kind, each.status, each.count) for each in counts] == [
        ("q", CONTRIBUTORS, AnnotationStatus.PENDING, 3),
        ("q", audit, AnnotationStatus.NOT_READY, 3),
    ]
    assert [(each.queue_id, each.kind, each.count, each.taken) for each in queues] == [
        ("q", CONTRIBUTORS, 3, 1),
        ("q", audit, 3, 0),
        ("r", CONTRIBUTORS, 1, 0),
    ]


async def test_an_untouched_evaluation_has_not_begun_and_its_tasks_can_be_removed(storage: SqlStorage) -> None:
    evaluation, _ = await queued(storage, 2)
    async with storage.write() as work:
        assert not await work.annotation_tasks.has_begun(evaluation.seq, [CONTRIBUTORS])
    await claim(storage, "ann")
    async with storage.write() as work:
        assert await work.annotation_tasks.has_begun(evaluation.seq, [CONTRIBUTORS])
        assert not await work.annotation_tasks.has_begun(evaluation.seq, [AnnotationKind.EVALUATION_ANNOTATION])
        await work.annotation_tasks.remove(evaluation.seq, [AnnotationKind.EVALUATION_ANNOTATION])
        await work.annotation_tasks.remove(evaluation.seq, [CONTRIBUTORS])
    assert [task.assigned_to for task in await everything(storage)] == ["ann"], "what somebody has stays"


async def test_done_tasks_stream_in_batches(storage: SqlStorage) -> None:
    evaluation, _ = await queued(storage, 5)
    for name in ("ann", "bob", "cid"):
        task = await claim(storage, name)
        assert task is not None
        await answer(storage, task, name)
    async with storage.read() as work:
        stream = work.annotation_tasks.stream(evaluation.seq, kinds=[CONTRIBUTORS], batch=2)
        batches = [[each.assigned_to for each in batch] async for batch in stream]
    assert batches == [["ann", "bob"], ["cid"]]


async def test_many_claiming_at_once_lose_nothing_and_take_nothing_twice(
    storage: SqlStorage, database_url: str
) -> None:
    people, items, overlap = 12, 20, 2
    await queued(storage, items, overlap=overlap)
    stores = [storage, open_storage(database_url, patience=10)]

    async def work_through(number: int) -> int:
        done = 0
        store = stores[number % 2]
        while (task := await claim(store, f"p{number}")) is not None:
            assert task.assigned_to == f"p{number}"
            await answer(store, task, f"p{number}")
            done += 1
        return done

    try:
        done = await asyncio.gather(*(work_through(number) for number in range(people)))
    finally:
        await stores[1].close()
    tasks = await everything(storage)
    assert sum(done) == items * overlap
    assert all(task.status is AnnotationStatus.COMPLETED for task in tasks)
    pairs = Counter((task.item_id, task.assigned_to) for task in tasks)
    assert set(pairs.values()) == {1}, "nobody answers an item twice"
    assert set(Counter(task.item_id for task in tasks).values()) == {overlap}


async def test_one_person_claiming_twice_at_once_gets_one_task(storage: SqlStorage) -> None:
    await queued(storage, 5, overlap=2)
    claimed = await asyncio.gather(*(claim(storage, "ann") for _ in range(8)))
    assert len({task.id for task in claimed if task is not None}) == 1
    assert None not in claimed
