"""Evaluations with setups, their results, and datasets' snapshots, on both databases."""

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.adapters.storage import SqlStorage
from assay.core.application_evaluations import (
    SORT_KEYS,
    ApplicationEvaluation,
    ApplicationSetup,
    EvaluationQuery,
    ResultCounts,
    Settlement,
    reserved_spec_id,
)
from assay.core.datasets import Dataset, DatasetVersion
from assay.core.evaluations import EvaluationStatus, Progress
from assay.core.identity import DEFAULT_ACCOUNT_ID
from assay.core.paging import NumberedPage, SortKey
from assay.core.test_case_results import Labels, LabelStatus, TestCaseResult
from tests.builders.datasets import make_dataset, make_dataset_item
from tests.builders.evaluations import make_evaluation, make_items, make_result
from tests.builders.identity import ALICE, NOW, new_id

HERE = (DEFAULT_ACCOUNT_ID,)


async def stored(storage: SqlStorage, setup: ApplicationSetup | None = None, **changes: Any) -> ApplicationEvaluation:
    evaluation = make_evaluation(**{"tasks": (), "has_job": False, **changes})
    async with storage.write() as work:
        if setup is None:
            return ApplicationEvaluation(await work.evaluations.add(evaluation), None)
        return await work.application_evaluations.add(evaluation, setup)


def make_labelled(evaluation: Any, **changes: Any) -> TestCaseResult:
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": evaluation.account_id,
        "evaluation_id": evaluation.id,
        "evaluation_seq": evaluation.seq,
        "spec_id": "spec",
        "dataset_id": "dataset",
        "dataset_version": "1",
        "test_case_id": "case",
        "schema_type": "FLEXIBLE",
        "evaluation_data": {"generation_output": {"k": [None, 1.5]}},
        "labels": Labels(),
        "created_at": NOW,
        "created_by": ALICE,
        "updated_at": NOW,
    }
    return TestCaseResult(**{**defaults, **changes})


async def listed(storage: SqlStorage, *order: SortKey, **query: Any) -> list[str]:
    asked = EvaluationQuery(HERE, NumberedPage(1, 10_000, order), **query)
    async with storage.read() as work:
        found = await work.application_evaluations.list(asked)
    assert found.total == len(found.items)
    return [each.evaluation.name for each in found.items]


async def test_a_setup_comes_back_whole_with_null_and_empty_told_apart(storage: SqlStorage) -> None:
    setup = ApplicationSetup(
        spec_id="s", kind="builder", variant_id="v", configuration={}, configuration_id="c", metric_config={"m": [1]},
        dataset_version=3, output_group_id="g", job_id="j",
    )  # fmt: skip
    made = await stored(storage, setup, metadata={})
    async with storage.read() as work:
        found = await work.application_evaluations.get(HERE, made.evaluation.id)
        assert await work.application_evaluations.get(("other",), made.evaluation.id) is None
    assert found is not None
    assert (found.setup, found.evaluation.metadata) == (setup, {})
    assert found.setup is not None
    assert (found.setup.configuration, found.setup.annotation_config) == ({}, None)
    changed = replace(found, setup=replace(setup, configuration=None, annotation_config={}))
    async with storage.write() as work:
        await work.application_evaluations.save(changed)
    async with storage.read() as work:
        assert await work.application_evaluations.get(HERE, made.evaluation.id) == changed


async def test_every_order_is_the_same_as_sorting_in_memory(storage: SqlStorage) -> None:
    names = ["a", "B", "é", "z", "Ä", "aa"]
    made = []
    for number, name in enumerate(names):
        setup = ApplicationSetup(
            spec_id=f"s{number % 2}",
            variant_id=None if number % 3 else "v",
            configuration=None if number % 2 else {"é" if number else "z": number},
        )
        status = EvaluationStatus.COMPLETED if number % 2 else EvaluationStatus.RUNNING
        made.append(
            await stored(
                storage, setup if number % 4 else None, name=name, metadata={"k": name} if number % 3 else None,
                created_at=NOW + timedelta(seconds=number), status=status,
                finished_at=NOW - timedelta(seconds=number) if number % 2 else None,
            )
        )  # fmt: skip
    keys = {
        "name": lambda each: each.evaluation.name,
        "status": lambda each: str(each.evaluation.status),
        "application_spec_id": lambda each: each.spec_id,
        "application_variant_id": lambda each: each.setup.variant_id if each.setup else None,
        "completed_at": lambda each: each.completed_at,
        "created_at": lambda each: each.evaluation.created_at,
        "id": lambda each: each.evaluation.id,
        "tags": lambda each: each.evaluation.metadata["k"] if each.evaluation.metadata else None,
    }
    newest_first = sorted(made, key=lambda each: each.evaluation.created_at, reverse=True)
    for name, key in keys.items():
        for descending in (False, True):
            present = [each for each in newest_first if key(each) is not None]
            missing = [each for each in newest_first if key(each) is None]
            present.sort(key=key, reverse=descending)
            expected = [*missing, *present] if descending else [*present, *missing]
            found = await listed(storage, SortKey(name, descending))
            assert found == [each.evaluation.name for each in expected], (name, descending)
    for first, second in itertools.islice(itertools.permutations(SORT_KEYS, 2), 0, None, 37):
        assert sorted(await listed(storage, SortKey(first), SortKey(second, descending=True))) == sorted(names)


async def test_the_index_sorts_as_the_database_does_and_follows_each_change(storage: SqlStorage) -> None:
    async with storage.write() as work:
        dataset_ids = [(await work.datasets.add(make_dataset())).id for _ in range(2)]
    made = []
    for number in range(12):
        setup = ApplicationSetup(
            f"s{number % 3}",
            kind=("default", "builder")[number % 2],
            variant_id=f"v{number % 4}" if number % 3 else None,
        )
        changes: dict[str, Any] = {
            "description": [None, "", "d", "e"][number % 4],
            "status": list(EvaluationStatus)[number % 3],
            "finished_at": NOW + timedelta(days=5 - number) if number % 5 else None,
            "progress": Progress(9, number % 4, 1, 0),
            "created_by": ALICE if number % 2 else replace(ALICE, id="robot", type="service_account"),
            "archived_at": NOW + timedelta(number) if number % 4 == 0 else None,
        }
        made.append(await stored(storage, setup if number % 5 else None, name=f"n{number}", **changes))

    async def agree() -> None:
        async with storage.read() as work:
            for key, descending, archived in itertools.product(SORT_KEYS, (False, True), (False, True)):
                page = NumberedPage(1, 100, (SortKey(key, descending),))
                query = EvaluationQuery(HERE, page, include_archived=archived)
                found = await work.application_evaluations.list(query)
                seqs, total = await work.application_evaluations.select(query)
                assert [each.evaluation.seq for each in found.items] == list(seqs), (key, descending, archived)
                assert found.total == total == (12 if archived else 9)

    await agree()
    async with storage.write() as work:
        for each, kind in ((made[1], "default"), (made[2], "builder")):
            assert each.setup is not None
            changed = replace(each.setup, spec_id="a", variant_id="z", configuration_id="c", kind=kind)
            await work.application_evaluations.save(replace(each, setup=changed))
        await work.application_evaluations.link(made[3].evaluation, dataset_ids)
        await work.application_evaluations.link(made[7].evaluation, dataset_ids[:1])
        await work.evaluations.save(replace(made[6].evaluation, description="aa"))
        await work.evaluations.set_status(made[9].evaluation.seq, "completed", None, finished_at=NOW - timedelta(9))
        await work.evaluations.add_progress(made[8].evaluation.seq, successful=5, failed=0, errors=0)
    await agree()


@pytest.mark.parametrize("archived", [False, True])
async def test_the_newest_of_several_accounts_come_page_by_page_from_either_end(
    storage: SqlStorage, archived: bool
) -> None:
    made = []
    for number in range(13):
        account_id = (DEFAULT_ACCOUNT_ID, "other")[number % 3 == 0]
        made.append(
            await stored(
                storage,
                ApplicationSetup("s") if number % 2 else None,
                account_id=account_id,
                created_at=NOW + timedelta(number // 3),
                archived_at=NOW if number in (4, 6) else None,
            )
        )
    expected = [each.evaluation.seq for each in reversed(made) if archived or each.evaluation.archived_at is None]
    accounts = (DEFAULT_ACCOUNT_ID, "other", DEFAULT_ACCOUNT_ID, "none")
    async with storage.read() as work:
        for limit in (1, 2, 5, 7, 100):
            found: list[int] = []
            for number in range(1, 15):
                query = EvaluationQuery(accounts, NumberedPage(number, limit), include_archived=archived)
                part = await work.application_evaluations.list(query)
                assert part.total == len(expected)
                found += [each.evaluation.seq for each in part.items]
            assert found == expected, limit
        mine = EvaluationQuery(accounts, NumberedPage(1, 100), reserved_spec_id("other"), archived)
        of_v5 = [seq for seq in expected if seq in {each.evaluation.seq for each in made[0::6]}]
        assert [each.evaluation.seq for each in (await work.application_evaluations.list(mine)).items] == of_v5


@pytest.mark.parametrize("order", [(), (SortKey("name"),), (SortKey("tags", descending=True), SortKey("status"))])
async def test_pages_from_either_end_join_without_gap(storage: SqlStorage, order: tuple[SortKey, ...]) -> None:
    for number in range(11):
        await stored(storage, ApplicationSetup("s"), name=str(number % 3), created_at=NOW + timedelta(number // 4))
    async with storage.read() as work:
        whole = (await work.application_evaluations.select(EvaluationQuery(HERE, NumberedPage(1, 100, order))))[0]
        for limit in (1, 2, 3, 4, 5, 7, 11, 12):
            parts: list[int] = []
            for number in range(1, 14):
                page = NumberedPage(number, limit, order)
                seqs, total = await work.application_evaluations.select(EvaluationQuery(HERE, page))
                assert total == 11
                parts += seqs
            assert parts == list(whole), limit
    assert len(set(whole)) == 11


async def test_lists_are_by_account_spec_and_archive(storage: SqlStorage) -> None:
    await stored(storage, ApplicationSetup("s"), name="mine")
    await stored(storage, None, name="of v5")
    await stored(storage, ApplicationSetup("s"), name="gone", archived_at=NOW)
    await stored(storage, ApplicationSetup("s"), name="theirs", account_id="other")
    assert sorted(await listed(storage)) == ["mine", "of v5"]
    assert await listed(storage, spec_id="s") == ["mine"]
    assert sorted(await listed(storage, spec_id="s", include_archived=True)) == ["gone", "mine"]
    assert await listed(storage, spec_id=reserved_spec_id(DEFAULT_ACCOUNT_ID)) == ["of v5"]
    assert await listed(storage, spec_id="'; DROP TABLE evaluations; --") == []
    both = EvaluationQuery((DEFAULT_ACCOUNT_ID, "other"), NumberedPage(1, 10, (SortKey("name"),)))
    async with storage.read() as work:
        found = await work.application_evaluations.list(both)
    assert [each.evaluation.name for each in found.items] == ["mine", "of v5", "theirs"]


async def test_results_keep_their_revisions_and_are_items(storage: SqlStorage) -> None:
    made = (await stored(storage, ApplicationSetup("s"))).evaluation
    labels = Labels(LabelStatus.COMPLETED, {"q": [1, True, "x"]}, NOW, ALICE, None, seconds_spent=2**40)
    async with storage.write() as work:
        first, second = await work.test_case_results.add(
            made, [make_labelled(made, labels=labels), make_labelled(made)], [{"n": 1}, {"n": 2}]
        )
    later = NOW + timedelta(hours=1)
    changed = replace(
        first, evaluation_data={"generation_output": "new"}, dataset_version="2", labels=Labels(), updated_at=later
    )
    async with storage.write() as work:
        await work.test_case_results.replace(first, changed, {"n": 3}, later)
    async with storage.read() as work:
        assert await work.test_case_results.get(made, first.id) == changed
        assert await work.test_case_results.revisions(changed) == [replace(first, invalidated_at=later)]
        listed = await work.test_case_results.list(made, NumberedPage(1, 1))
        assert (listed.items, listed.total) == ([changed], 2)
        assert (await work.test_case_results.list(made, NumberedPage(2, 1))).items == [second]
        assert (await work.test_case_results.list(made, NumberedPage(), version="1")).items == [second]
        items = (await work.test_case_results.list_items(made, NumberedPage())).items
        assert [(item.id, item.data) for item in items] == [(first.id, {"n": 3}), (second.id, {"n": 2})]
        assert await work.test_case_results.last_completed(made.seq) is None
    async with storage.write() as work:
        await work.test_case_results.replace(changed, replace(changed, labels=labels), None, later)
    async with storage.read() as work:
        assert await work.test_case_results.last_completed(made.seq) == NOW


async def test_items_of_any_evaluation_come_by_page_with_their_results(storage: SqlStorage) -> None:
    made = (await stored(storage)).evaluation
    async with storage.write() as work:
        await work.items.add(made, make_items(5))
        await work.results.add([make_result(made, item.seq) for item in await work.items.range(made.seq, 0, 10**9)])
    async with storage.read() as work:
        page = await work.test_case_results.list_items(made, NumberedPage(2, 2))
    assert ([item.data["question"] for item in page.items], page.total) == (["question 2", "question 3"], 5)
    assert all(item.results["score"].value == 1.0 for item in page.items)


async def test_an_evaluation_with_a_setup_is_labelled(storage: SqlStorage) -> None:
    made, other = (await stored(storage, ApplicationSetup("s"))).evaluation, (await stored(storage)).evaluation
    async with storage.read() as work:
        found = [await work.application_evaluations.is_labelled(each.seq) for each in (made, other)]
    assert found == [True, False]


async def test_counts_and_status_are_written_together(storage: SqlStorage) -> None:
    made = (await stored(storage, ApplicationSetup("s"))).evaluation
    shown = replace(made, column_names=("input", "output"))
    async with storage.write() as work:
        settlement = Settlement(ResultCounts(3, 2, 1), EvaluationStatus.COMPLETED, False, finished_at=NOW)
        await work.application_evaluations.settle(shown, settlement)
    async with storage.read() as work:
        found = await work.evaluations.get(None, made.id)
    assert found is not None
    assert (found.progress.total, found.progress.successful, found.progress.failed) == (3, 2, 1)
    assert (found.status, found.finished_at, found.column_names) == ("completed", NOW, ("input", "output"))


async def test_writers_of_one_evaluation_take_turns(storage: SqlStorage) -> None:
    made = (await stored(storage, ApplicationSetup("s"))).evaluation

    async def add(number: int) -> None:
        async with storage.write() as work:
            found = await work.application_evaluations.get(HERE, made.id)
            assert found is not None
            await asyncio.sleep(0.005)
            total = found.evaluation.progress.total + 1
            tags = {**(found.evaluation.metadata or {}), str(number): number}
            await work.application_evaluations.save(replace(found, evaluation=replace(found.evaluation, metadata=tags)))
            settlement = Settlement(ResultCounts(total, 0, 0), EvaluationStatus.RUNNING, False)
            await work.application_evaluations.settle(found.evaluation, settlement)

    await asyncio.gather(*(add(number) for number in range(8)))
    async with storage.read() as work:
        found = await work.application_evaluations.get(HERE, made.id)
    assert found is not None
    assert found.evaluation.progress.total == 8
    assert set(found.evaluation.metadata or {}) == {str(number) for number in range(8)}


async def a_dataset(storage: SqlStorage, *questions: str) -> tuple[Dataset, list[Any]]:
    async with storage.write() as work:
        dataset = await work.datasets.add(
            make_dataset(schema_type="GENERATION", metadata={"type": "manual"}, updated_at=NOW)
        )
        items = [make_dataset_item(dataset, data={"input": each}) for each in questions]
        await work.dataset_items.add(dataset, items)
    return dataset, items


async def test_a_dataset_keeps_its_schema_type_and_its_snapshots(storage: SqlStorage) -> None:
    dataset, _ = await a_dataset(storage)
    versions = [
        DatasetVersion(new_id(), dataset.id, num, num != 2, NOW if num == 2 else None, NOW, ALICE) for num in (1, 2, 3)
    ]
    async with storage.write() as work:
        for version in versions:
            await work.dataset_versions.add(dataset, version)
    async with storage.read() as work:
        found = await work.datasets.get(DEFAULT_ACCOUNT_ID, dataset.id)
        assert found == dataset
        repository = work.dataset_versions
        assert await repository.newest(dataset) == versions[2]
        assert await repository.newest(dataset, published=True) == versions[1]
        assert await repository.get_num(dataset, 1) == versions[0]
        assert await repository.get(dataset, versions[0].id) == versions[0]
        assert await repository.get(dataset, "nothing") is None
        assert (await repository.list(dataset, NumberedPage(2, 2))).items == [versions[2]]
        shown = await repository.list_datasets(HERE, NumberedPage())
        assert (shown.items, shown.total) == ([dataset], 1)
    async with storage.write() as work:
        await work.dataset_versions.publish(replace(versions[2], draft=False, published_at=NOW))
    async with storage.read() as work:
        assert (await work.dataset_versions.newest(dataset, published=True)) == replace(
            versions[2], draft=False, published_at=NOW
        )


async def test_rows_replaced_before_a_snapshot_are_in_no_version(storage: SqlStorage) -> None:
    dataset, [first, second] = await a_dataset(storage, "a", "b")
    revised = replace(first, data={"input": "A"}, extra={"chat_history": {}})
    async with storage.write() as work:
        await work.dataset_items.close_versions(dataset.id, [first.id, second.id], 1, at=NOW)
        await work.dataset_items.add(dataset, [revised])
    async with storage.read() as work:
        now = await work.test_cases.list(dataset.id, NumberedPage())
        at = await work.test_cases.list(dataset.id, NumberedPage(), version=1)
        every = await work.test_cases.list(dataset.id, NumberedPage(), include_archived=True)
        found = await work.test_cases.get_many([first.id, second.id, "nothing"], 1)
        counts = await work.test_cases.counts([dataset.id, "nothing"])
    assert [(item.data, item.extra) for item in now.items] == [({"input": "A"}, {"chat_history": {}})]
    assert at == now
    assert [(item.data["input"], item.ended_at) for item in every.items] == [("A", None), ("b", NOW)]
    assert set(found) == {first.id}
    assert counts == {dataset.id: 1}
    async with storage.write() as work:
        await work.test_cases.purge(now.items[0])
    async with storage.read() as work:
        assert (await work.test_cases.list(dataset.id, NumberedPage(), include_archived=True)).total == 1


async def test_archiving_with_a_dataset_touches_only_what_uses_it_here(storage: SqlStorage) -> None:
    dataset, _ = await a_dataset(storage)
    used = await stored(storage, ApplicationSetup("s", dataset_id=dataset.id), name="used")
    await stored(storage, ApplicationSetup("s"), name="unused")
    gone = await stored(storage, ApplicationSetup("s", dataset_id=dataset.id), name="gone", archived_at=NOW)
    async with storage.write() as work:
        from_v5 = await work.evaluations.add(make_evaluation(name="of v5"), [dataset.id])
        await work.test_case_results.add(used.evaluation, [make_labelled(used.evaluation)], [{}])
    at = NOW + timedelta(days=1)
    async with storage.write() as work:
        await work.items.set_archived(used.evaluation.seq, NOW)
        await work.test_case_results.add(used.evaluation, [make_labelled(used.evaluation)], [{}])
        assert await work.application_evaluations.archive_of_dataset(dataset.id, at) == [used.evaluation.id]
    assert sorted(await listed(storage)) == ["of v5", "unused"]
    async with storage.read() as work:
        assert (await work.test_case_results.list(used.evaluation, NumberedPage())).total == 0
        assert from_v5.archived_at is None
    async with storage.write() as work:
        await work.application_evaluations.restore_of_dataset(dataset.id, at, at)
    assert sorted(await listed(storage)) == ["of v5", "unused", "used"]
    async with storage.read() as work:
        assert (await work.test_case_results.list(used.evaluation, NumberedPage())).total == 1
        still = await work.application_evaluations.get(HERE, gone.evaluation.id)
    assert still is not None
    assert still.evaluation.archived_at == NOW


async def test_the_last_completion_is_of_a_result_that_is_completed(storage: SqlStorage) -> None:
    made = (await stored(storage, ApplicationSetup("s"))).evaluation
    reopened = Labels(LabelStatus.PENDING, completed_at=NOW + timedelta(1))
    labels = [Labels(LabelStatus.COMPLETED, completed_at=NOW), reopened]
    async with storage.write() as work:
        await work.test_case_results.add(made, [make_labelled(made, labels=each) for each in labels], [{}, {}])
    async with storage.read() as work:
        assert await work.test_case_results.last_completed(made.seq) == NOW


@pytest.mark.parametrize(("status", "shown"), [("completed", NOW), ("failed", None), ("running", None)])
async def test_only_a_completed_evaluation_has_a_time_of_completion(
    storage: SqlStorage, status: str, shown: Any
) -> None:
    made = await stored(storage, ApplicationSetup("s"), status=EvaluationStatus(status), finished_at=NOW)
    async with storage.read() as work:
        found = await work.application_evaluations.get(HERE, made.evaluation.id)
    assert found is not None
    assert found.completed_at == shown


async def test_datasets_are_linked_once(storage: SqlStorage) -> None:
    one, _ = await a_dataset(storage)
    two, _ = await a_dataset(storage)
    made = await stored(storage, ApplicationSetup("s", dataset_id=one.id))
    async with storage.write() as work:
        await work.application_evaluations.link(made.evaluation, [two.id, one.id, two.id])
    async with storage.read() as work:
        found = await work.application_evaluations.get(HERE, made.evaluation.id)
    assert found is not None
    assert [each.id for each in found.evaluation.datasets] == [one.id, two.id]
