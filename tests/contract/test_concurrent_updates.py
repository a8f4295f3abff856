"""Two who change the same thing at the same moment: what each of them wrote is there, on both databases."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from assay.adapters.clock import SystemClock
from assay.adapters.storage import SqlStorage, open_storage
from assay.core.application_evaluations import ApplicationSetup
from assay.core.errors import Conflict, RuleViolation
from assay.core.groups import Group
from assay.core.identity import DEFAULT_ACCOUNT_ID, Caller
from assay.core.paging import PageRequest
from assay.core.spans import AssessmentType
from assay.ports.storage import TextFilter
from assay.services.dataset_versions import DatasetVersions
from assay.services.datasets import Datasets, NewDataset
from assay.services.evaluations import Evaluations
from assay.services.groups import GroupReplacement, Groups, NewGroup
from assay.services.spans import SpanAssessments, Spans
from tests.builders.datasets import make_dataset
from tests.builders.evaluations import make_evaluation
from tests.builders.identity import ALICE
from tests.builders.spans import make_new_span, make_span
from tests.contract.test_storage_concurrency import in_threads

ME = Caller(DEFAULT_ACCOUNT_ID, ALICE)
CLOCK = SystemClock()
ROUNDS = 40

Change = Callable[[int], Awaitable[object]]
Writer = Callable[[SqlStorage], Change]


def evaluations_of(storage: SqlStorage) -> Evaluations:
    """The service, of which nothing here needs an engine."""
    return Evaluations(storage, None, CLOCK, {}, None)  # type: ignore[arg-type]


async def together(url: str, *writers: Writer, check: Callable[[SqlStorage, int], Awaitable[None]]) -> None:
    """Have every writer, each with a storage and a thread of its own, make its change of a round at the same
    moment; after every round look whether all of them are there."""
    gate = threading.Barrier(len(writers))

    def body(writer: Writer, checks: bool) -> Callable[[SqlStorage], Awaitable[None]]:
        async def run(storage: SqlStorage) -> None:
            change = writer(storage)
            try:
                await storage.ping()  # connected, so that all begin at once
                for number in range(ROUNDS):
                    gate.wait(60)
                    await change(number)
                    gate.wait(60)
                    if checks:
                        await check(storage, number)
            except BaseException:
                gate.abort()
                raise

        return run

    await asyncio.to_thread(in_threads, url, *(body(writer, place == 0) for place, writer in enumerate(writers)))


async def test_writers_of_one_evaluation_keep_each_others_fields(storage: SqlStorage, database_url: str) -> None:
    async with storage.write() as work:
        made = await work.evaluations.add(make_evaluation(metadata={"first": True}))

    def names(mine: SqlStorage) -> Change:
        service = evaluations_of(mine)
        return lambda n: service.update(ME, made.id, {"name": f"name {n}", "metadata": {f"a{n}": n}})

    def describes(mine: SqlStorage) -> Change:
        service = evaluations_of(mine)
        return lambda n: service.update(ME, made.id, {"description": f"text {n}", "metadata": {f"b{n}": n}})

    def counts(mine: SqlStorage) -> Change:
        async def count(_: int) -> None:
            async with mine.write() as work:
                await work.evaluations.add_progress(made.seq, successful=1, failed=0, errors=2)

        return count

    async def check(mine: SqlStorage, number: int) -> None:
        found = await evaluations_of(mine).get(ME, made.id)
        keys = {f"{letter}{n}" for letter in "ab" for n in range(number + 1)}
        assert set(found.metadata or {}) == {"first", *keys}
        assert (found.name, found.description) == (f"name {number}", f"text {number}")
        assert (found.progress.successful, found.progress.errors) == (number + 1, 2 * number + 2)
        assert found.tasks == made.tasks

    await together(database_url, names, describes, counts, check=check)


async def test_writers_of_one_group_keep_each_others_fields(storage: SqlStorage, database_url: str) -> None:
    async with storage.write() as work:
        one, two = [await work.evaluations.add(make_evaluation()) for _ in range(2)]
    made = await Groups(storage, CLOCK).create(ME, NewGroup("g", (one.id, two.id), metadata={"first": True}))

    def names(mine: SqlStorage) -> Change:
        service = Groups(mine, CLOCK)
        return lambda n: service.update(ME, made.id, {"name": f"name {n}", "metadata": {f"a{n}": n}})

    def tags(mine: SqlStorage) -> Change:
        service = Groups(mine, CLOCK)
        return lambda n: service.update(ME, made.id, {"tags": (f"tag {n}",), "metadata": {f"b{n}": n}})

    def joins(mine: SqlStorage) -> Change:
        service = Groups(mine, CLOCK)
        return lambda n: service.update(ME, made.id, {}, {one.id: f"column {n}"})

    async def check(mine: SqlStorage, number: int) -> None:
        found = await Groups(mine, CLOCK).get(ME, made.id)
        keys = {f"{letter}{n}" for letter in "ab" for n in range(number + 1)}
        assert set(found.metadata or {}) == {"first", *keys}
        assert (found.name, found.tags) == (f"name {number}", (f"tag {number}",))
        assert [member.row_identifier for member in found.members] == [f"column {number}", None]

    await together(database_url, names, tags, joins, check=check)


async def test_writers_of_one_dataset_keep_each_others_fields(storage: SqlStorage, database_url: str) -> None:
    made = await Datasets(storage, CLOCK).create(ME, NewDataset("d", [{"n": 0}]))

    def names(mine: SqlStorage) -> Change:
        return lambda n: Datasets(mine, CLOCK).update(ME, made.id, {"name": f"name {n}"})

    def describes(mine: SqlStorage) -> Change:
        return lambda n: Datasets(mine, CLOCK).update(ME, made.id, {"description": f"text {n}"})

    def adds(mine: SqlStorage) -> Change:
        return lambda n: Datasets(mine, CLOCK).add_items(ME, made.id, [{"n": n + 1}])

    async def check(mine: SqlStorage, number: int) -> None:
        found = await Datasets(mine, CLOCK).get(ME, made.id)
        assert (found.name, found.description) == (f"name {number}", f"text {number}")
        assert found.current_version_num == number + 2
        items = await Datasets(mine, CLOCK).list_items(ME, PageRequest(), dataset_id=made.id)
        assert [item.data["n"] for item in items.items] == list(range(number + 2))

    await together(database_url, names, describes, adds, check=check)


async def test_new_members_and_archived_ones_never_meet_in_a_group(storage: SqlStorage, database_url: str) -> None:
    """Some archive and restore evaluations while others make groups of them, replace members and delete groups."""
    async with storage.write() as work:
        several = [await work.evaluations.add(make_evaluation()) for _ in range(4)]
    ids = [evaluation.id for evaluation in several]
    group = await Groups(storage, CLOCK).create(ME, NewGroup("g", tuple(ids)))

    def makes(mine: SqlStorage) -> Change:
        service = Groups(mine, CLOCK)

        async def make(number: int) -> None:
            ordered = ids if number % 2 else ids[::-1]
            new = await _or_refused(service.create(ME, NewGroup(f"g{number}", tuple(ordered))))
            if new is not None and number % 3 == 0:
                await service.archive(ME, new.id)

        return make

    def replaces(mine: SqlStorage) -> Change:
        service = Groups(mine, CLOCK)
        turned = [GroupReplacement(evaluation_ids=(*ids[turn:], *ids[:turn])) for turn in range(4)]
        return lambda n: _or_refused(service.replace(ME, group.id, turned[n % 4]))

    def archives(mine: SqlStorage) -> Change:
        service = evaluations_of(mine)

        async def toggle(number: int) -> None:
            await service.archive(ME, ids[number % 4])
            if number % 2:
                await service.update(ME, ids[number % 4], {}, restore=True)

        return toggle

    async def check(mine: SqlStorage, _: int) -> None:
        await _check_members_and_totals(mine)
        for evaluation_id in ids:
            await evaluations_of(mine).update(ME, evaluation_id, {}, restore=True)

    await together(database_url, makes, replaces, archives, check=check)


async def _or_refused(work: Awaitable[Group]) -> Group | None:
    with contextlib.suppress(RuleViolation):
        return await work
    return None


async def _check_members_and_totals(storage: SqlStorage) -> None:
    groups = Groups(storage, CLOCK)
    everything = await groups.list(ME, PageRequest(), TextFilter(include_archived=True))
    present = await groups.list(ME, PageRequest(), TextFilter())
    assert everything.total == len(everything.items)
    assert present.total == len(present.items) == sum(each.deleted_at is None for each in everything.items)
    for member in (member for each in present.items for member in each.members):
        assert member.evaluation is not None
        assert member.evaluation.archived_at is None


async def test_an_evaluation_being_archived_cannot_join_a_group(storage: SqlStorage, database_url: str) -> None:
    other = open_storage(database_url)
    async with storage.write() as work:
        one, two = [await work.evaluations.add(make_evaluation()) for _ in range(2)]
    async with storage.write() as work:
        found = await work.evaluations.get(None, one.id)
        assert found is not None
        await work.evaluations.save(replace(found, archived_at=CLOCK.now()))
        await work.groups.remove_evaluations([one.id], CLOCK.now())
        making = asyncio.ensure_future(Groups(other, CLOCK).create(ME, NewGroup("g", (two.id, one.id))))
        await asyncio.sleep(0.3)
        assert not making.done(), "it waits until the evaluation is archived or stays"
    with pytest.raises(RuleViolation, match=one.id):
        await making
    await other.close()


async def test_an_evaluation_that_is_joining_a_group_leaves_it_when_it_is_archived(
    storage: SqlStorage, database_url: str
) -> None:
    other = open_storage(database_url)
    async with storage.write() as work:
        one, two = [await work.evaluations.add(make_evaluation()) for _ in range(2)]
    groups = Groups(storage, CLOCK)
    made = await groups.create(ME, NewGroup("g", (two.id,)))
    async with storage.write() as work:
        group = await work.groups.get(DEFAULT_ACCOUNT_ID, made.id)
        assert group is not None
        await work.groups.replace_members(group, [one.id, two.id], CLOCK.now())
        archiving = asyncio.ensure_future(evaluations_of(other).archive(ME, one.id))
        await asyncio.sleep(0.3)
        assert not archiving.done(), "it waits until the evaluation has joined"
    await archiving
    found = await groups.get(ME, made.id)
    assert [member.evaluation_id for member in found.members] == [two.id]
    await other.close()


async def test_an_evaluation_that_is_archived_while_its_dataset_is_counts_once(
    storage: SqlStorage, database_url: str
) -> None:
    other = open_storage(database_url)
    async with storage.write() as work:
        dataset = await work.datasets.add(make_dataset())
        evaluation = make_evaluation(tasks=(), has_job=False)
        made = await work.application_evaluations.add(evaluation, ApplicationSetup("s", dataset_id=dataset.id))
        await work.evaluations.add(make_evaluation())
    async with storage.write() as work:
        found = await work.evaluations.get(None, made.evaluation.id)
        assert found is not None
        await work.evaluations.save(replace(found, archived_at=CLOCK.now()))
        removing = asyncio.ensure_future(DatasetVersions(other, CLOCK).remove(ME, dataset.id))
        await asyncio.sleep(0.3)
        assert not removing.done(), "it waits until the evaluation is archived or stays"
    assert await removing == 1
    async with storage.read() as work:
        for include_archived, count in ((False, 1), (True, 2)):
            where = TextFilter(include_archived=include_archived)
            page = await work.evaluations.list(DEFAULT_ACCOUNT_ID, PageRequest(), where)
            assert (page.total, len(page.items)) == (count, count)
    await other.close()


async def test_of_overwrites_made_at_the_same_moment_a_span_keeps_one(storage: SqlStorage, database_url: str) -> None:
    async with storage.write() as work:
        await work.spans.add([make_span(id=f"s{number}") for number in range(ROUNDS)])

    def overwrites(mine: SqlStorage) -> Change:
        service = SpanAssessments(mine, CLOCK)

        async def change(number: int) -> None:
            with contextlib.suppress(Conflict):
                await service.create(ME, "t", f"s{number}", AssessmentType.OVERWRITE, {"overwrite": {}})

        return change

    async def check(mine: SqlStorage, number: int) -> None:
        assert len(await SpanAssessments(mine, CLOCK).list(ME, span_id=f"s{number}")) == 1

    await together(database_url, overwrites, overwrites, overwrites, check=check)


async def test_a_span_that_many_tell_at_the_same_moment_is_finished(storage: SqlStorage, database_url: str) -> None:
    def tells(**changes: Any) -> Writer:
        def writer(mine: SqlStorage) -> Change:
            service = Spans(mine, CLOCK)
            return lambda n: service.upsert(ME, [make_new_span(id=f"s{n} {k}", **changes) for k in range(20)])

        return writer

    async def check(mine: SqlStorage, number: int) -> None:
        async with mine.read() as work:
            found = await work.spans.get_many(ME.account_id, [f"s{number} {k}" for k in range(20)])
        assert [(span.name, span.output) for span in found.values()] == [("done", {"x": 1})] * 20

    running, done = tells(ended_at=None), tells(name="done", output={"x": 1})
    await together(database_url, running, done, running, check=check)
