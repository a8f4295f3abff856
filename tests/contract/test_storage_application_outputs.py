"""Applications' outputs and interactions, and what the engine does with labelled results, on both databases."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from assay.adapters.storage import SqlStorage
from assay.core.application_evaluations import ApplicationSetup, ResultCounts, Settlement
from assay.core.application_outputs import ApplicationOutput, Interaction, OutputFilter
from assay.core.evaluations import Evaluation, EvaluationStatus
from assay.core.identity import DEFAULT_ACCOUNT_ID, Identity
from assay.core.paging import NumberedPage
from assay.core.results import Result, ResultStatus
from assay.core.test_case_results import AuditStatus, Computing, LabellingFigures, Labels, LabelStatus, TestCaseResult
from tests.builders.evaluations import make_evaluation
from tests.builders.identity import ALICE, NOW, new_id
from tests.builders.spans import make_span
from tests.contract.test_storage_application_evaluations import make_labelled

HERE = (DEFAULT_ACCOUNT_ID,)
PENDING, COMPLETED, FAILED = LabelStatus.PENDING, LabelStatus.COMPLETED, LabelStatus.FAILED


def make_output(**changes: Any) -> ApplicationOutput:
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": DEFAULT_ACCOUNT_ID,
        "variant_id": "variant",
        "dataset_id": "dataset",
        "dataset_version": 1,
        "test_case_id": "case",
        "group_id": "group",
        "schema_type": "FLEXIBLE",
        "output": {"generation_output": {"k": [None, "ü"]}},
        "created_at": NOW,
        "created_by": ALICE,
        "metrics": {"m": 0.5},
    }
    return ApplicationOutput(**{**defaults, **changes})


def make_interaction(**changes: Any) -> Interaction:
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": DEFAULT_ACCOUNT_ID,
        "spec_id": "spec",
        "variant_id": "variant",
        "source": "EXTERNAL_AI",
        "started_at": NOW,
        "duration_ms": 1500,
        "status": "SUCCESS",
        "input": {"input": "q"},
        "output": {"output": "a"},
        "created_at": NOW,
        "created_by": ALICE,
        "metadata": {"k": 1},
    }
    return Interaction(**{**defaults, **changes})


async def labelled(storage: SqlStorage, *results: dict[str, Any]) -> tuple[Evaluation, list[TestCaseResult]]:
    """An evaluation with a setup and results."""
    evaluation = make_evaluation(tasks=(), has_job=False)
    async with storage.write() as work:
        made = (await work.application_evaluations.add(evaluation, ApplicationSetup("spec"))).evaluation
        fresh = [make_labelled(made, **each) for each in results]
        added = await work.test_case_results.add(made, fresh, [{"n": number} for number, _ in enumerate(fresh)])
    return made, list(added)


async def test_outputs_come_back_as_they_were_with_their_interactions(storage: SqlStorage) -> None:
    interaction = make_interaction()
    first, second = make_output(interaction_id=interaction.id), make_output(metrics=None, test_case_id="other")
    async with storage.write() as work:
        await work.application_outputs.add([first, second], [interaction])
    async with storage.read() as work:
        outputs = work.application_outputs
        found = await outputs.get(HERE, first.id)
        assert found is not None
        assert replace(found, seq=0) == first
        assert await outputs.get(("other",), first.id) is None
        assert set(await outputs.get_many(DEFAULT_ACCOUNT_ID, [first.id, second.id, "unknown"])) == {
            first.id,
            second.id,
        }
        assert await outputs.get_many("other", [first.id]) == {}
        assert [each.id for each in await outputs.of_group(DEFAULT_ACCOUNT_ID, "group")] == [first.id, second.id]
        assert await outputs.of_group("other", "group") == []
        kept = await outputs.interactions(DEFAULT_ACCOUNT_ID, [interaction.id])
        assert replace(kept[interaction.id], seq=0) == interaction
        assert await outputs.interactions("other", [interaction.id]) == {}


async def test_outputs_are_listed_by_every_condition_in_the_order_in_which_they_came(storage: SqlStorage) -> None:
    outputs = [
        make_output(),
        make_output(group_id="second"),
        make_output(variant_id="b", group_id="third", dataset_version=2),
        make_output(dataset_id="d2", group_id="fourth"),
        make_output(account_id="other", group_id="fifth"),
    ]
    async with storage.write() as work:
        for each in outputs:
            await work.application_outputs.add([each], [])
    ids = [each.id for each in outputs]

    async with storage.read() as work:

        async def found(**where: Any) -> list[int]:
            accounts = where.pop("account_ids", HERE)
            page = await work.application_outputs.list(NumberedPage(limit=10), OutputFilter(accounts, **where))
            assert page.total == len(page.items)
            return [ids.index(each.id) for each in page.items]

        assert await found() == [0, 1, 2, 3]
        assert await found(account_ids=(*HERE, "other")) == [0, 1, 2, 3, 4]
        assert await found(group_id="second") == [1]
        assert await found(variant_id="b") == [2]
        assert await found(dataset_id="d2") == [3]
        assert await found(dataset_version=2) == [2]
        part = await work.application_outputs.list(NumberedPage(2, 3), OutputFilter(HERE))
        assert ([ids.index(each.id) for each in part.items], part.total) == ([3], 4)
        newest = OutputFilter(HERE, variant_id="variant", dataset_id="dataset", dataset_version=1)
        assert await work.application_outputs.newest_group(newest) == "second"
        assert await work.application_outputs.newest_group(OutputFilter(HERE, dataset_version=3)) is None


async def test_spans_are_found_by_their_interactions_in_order(storage: SqlStorage) -> None:
    late = make_span(application_interaction_id="i", started_at=NOW + timedelta(seconds=5), ended_at=None)
    early = make_span(application_interaction_id="i")
    other = make_span(application_interaction_id="j", account_id="other")
    async with storage.write() as work:
        await work.spans.add([late, early, make_span()])
        await work.spans.add([other])
    async with storage.read() as work:
        found = await work.spans.of_interactions(DEFAULT_ACCOUNT_ID, ["i", "j", "none"])
    assert {key: [span.id for span in spans] for key, spans in found.items()} == {"i": [early.id, late.id]}


async def test_what_waits_for_the_engine_is_found_and_put_back(storage: SqlStorage) -> None:
    waiting = {"computing": Computing.WAITING}
    evaluation, results = await labelled(storage, waiting, {}, waiting, waiting, waiting)
    _, others = await labelled(storage, waiting)
    async with storage.read() as work:
        first, _, third, fourth, fifth = results
        assert await work.test_case_results.count_waiting(evaluation.seq) == 4
        bounds = await work.test_case_results.waiting_bounds(evaluation.seq, 2)
        assert list(bounds) == [(first.seq, third.seq), (fourth.seq, fifth.seq)]
        some = await work.test_case_results.waiting(evaluation, first.seq, fourth.seq)
        assert [each.id for each in some] == [first.id, third.id, fourth.id]
    done = replace(
        first,
        computing=Computing.FAILED,
        evaluation_data={"generation_output": "new"},
        output_id="output",
        labels=replace(first.labels, status=COMPLETED, answers={"q": 1}, completed_at=NOW, audit_required=True),
        updated_at=NOW + timedelta(seconds=1),
    )
    async with storage.write() as work:
        await work.test_case_results.put([done, replace(third, computing=Computing.DONE)])
    async with storage.read() as work:
        assert await work.test_case_results.get(evaluation, first.id) == done
        assert await work.test_case_results.count_waiting(evaluation.seq) == 2
        assert await work.test_case_results.tally(evaluation.seq) == {
            (COMPLETED, Computing.FAILED): 1,
            (PENDING, Computing.DONE): 2,
            (PENDING, Computing.WAITING): 2,
        }
        assert len(others) == 1


async def test_every_result_can_wait_again_and_what_nobody_annotated_is_reopened(storage: SqlStorage) -> None:
    judged = {"labels": Labels(COMPLETED, {"q": 1}, NOW)}
    annotated = {"labels": Labels(COMPLETED, {"q": 0}, NOW, annotated_by=ALICE)}
    evaluation, results = await labelled(storage, judged, annotated, {"labels": Labels(FAILED)}, {})
    _, [other] = await labelled(storage, judged)
    later = NOW + timedelta(hours=1)
    async with storage.write() as work:
        await work.test_case_results.reopen(evaluation.seq, later)
        await work.test_case_results.await_engine(evaluation.seq)
    async with storage.read() as work:
        found = [await work.test_case_results.get(evaluation, each.id) for each in results]
        states = [(each.labels.status, each.labels.answers, each.labels.completed_at) for each in found if each]
        assert states == [
            (PENDING, None, None),
            (COMPLETED, {"q": 0}, NOW),
            (PENDING, None, None),
            (PENDING, None, None),
        ]
        assert [each.updated_at for each in found if each] == [later, NOW, later, NOW]
        assert await work.test_case_results.count_waiting(evaluation.seq) == 4
        kept = await work.test_case_results.get(await _evaluation(work, other), other.id)
        assert kept is not None
        assert (kept.labels.status, kept.computing) == (COMPLETED, Computing.DONE)


async def _evaluation(work: Any, result: TestCaseResult) -> Evaluation:
    found = await work.evaluations.get(None, result.evaluation_id)
    assert found is not None
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("batch", [1, 2, 10])
async def test_results_are_streamed_with_what_tasks_left(storage: SqlStorage, batch: int) -> None:
    evaluation, results = await labelled(storage, {}, {}, {})
    async with storage.write() as work:
        value = Result(evaluation.seq, results[1].seq, "a", ResultStatus.COMPLETED, 7)
        await work.results.add([value, replace(value, alias="b", value=8)])
    async with storage.read() as work:
        pairs = [pair async for some in work.test_case_results.stream(evaluation, batch=batch) for pair in some]
    assert [result.id for result, _ in pairs] == [each.id for each in results]
    assert [{alias: left.value for alias, left in item.results.items()} for _, item in pairs] == [
        {},
        {"a": 7, "b": 8},
        {},
    ]


async def test_results_get_other_aliases_in_one_evaluation_alone(storage: SqlStorage) -> None:
    evaluation, [one] = await labelled(storage, {})
    other, [two] = await labelled(storage, {})
    async with storage.write() as work:
        await work.results.add(
            [
                Result(evaluation.seq, one.seq, "q:1", ResultStatus.COMPLETED, 1),
                Result(evaluation.seq, one.seq, "m", ResultStatus.COMPLETED, 2),
                Result(other.seq, two.seq, "q:1", ResultStatus.COMPLETED, 3),
            ]
        )
        await work.results.rename(evaluation.seq, {"q:1": "llm:1", "none": "nothing"})
    async with storage.read() as work:
        [item] = await work.items.range(evaluation.seq, 0, 10**15)
        assert {alias: left.value for alias, left in item.results.items()} == {"llm:1": 1, "m": 2}
        [item] = await work.items.range(other.seq, 0, 10**15)
        assert set(item.results) == {"q:1"}


async def test_labelling_in_numbers_is_exact(storage: SqlStorage) -> None:
    bob = Identity("bob", "service_account")
    later = NOW + timedelta(days=2)
    evaluation, results = await labelled(
        storage,
        {"labels": Labels(COMPLETED, {}, NOW, annotated_by=ALICE, seconds_spent=3, audit_status=AuditStatus.APPROVED)},
        {"labels": Labels(COMPLETED, {}, later, annotated_by=bob, seconds_spent=4, audit_status=AuditStatus.FIXED)},
        {"labels": Labels(COMPLETED, {}, NOW, annotated_by=ALICE, audit_required=True)},
        {"labels": Labels(PENDING, None, audit_required=True, seconds_spent=99, annotated_by=ALICE)},
        {"labels": Labels(COMPLETED, {}, NOW, annotated_by=Identity("zoe"))},
    )
    async with storage.write() as work:
        work_items = await work.items.range(evaluation.seq, results[4].seq, results[4].seq)
        assert len(work_items) == 1
    async with storage.read() as work:
        everybody = await work.test_case_results.labelling(evaluation)
        assert everybody == LabellingFigures(5, 2, 4, 1, 1, 7, 2, NOW, later)
        assert await work.test_case_results.labelling(evaluation, ALICE.id) == LabellingFigures(
            3, 2, 2, 1, 0, 3, 1, NOW, NOW
        )
        assert await work.test_case_results.labelling(evaluation, "nobody") == LabellingFigures()
        people = await work.test_case_results.contributors(evaluation, NumberedPage(1, 2))
        assert (list(people.items), people.total) == (sorted([ALICE.id, "bob", "zoe"])[:2], 3)
        rest = await work.test_case_results.contributors(evaluation, NumberedPage(2, 2))
        assert list(rest.items) == sorted([ALICE.id, "bob", "zoe"])[2:]


async def test_the_counters_of_labelled_results_are_left_to_their_labels(storage: SqlStorage) -> None:
    evaluation, [one, _] = await labelled(storage, {}, {})
    settlement = Settlement(ResultCounts(2, 1, 0, 1), EvaluationStatus.RUNNING, True, "why", None)
    async with storage.write() as work:
        await work.application_evaluations.settle(evaluation, settlement)
        await work.results.add([Result(evaluation.seq, one.seq, "a", ResultStatus.COMPLETED, 1)])
        await work.evaluations.recount(evaluation.seq, ["a"])
        await work.evaluations.recount(evaluation.seq, [])
    async with storage.read() as work:
        found = await work.evaluations.get(None, evaluation.id)
        assert found is not None
        assert (found.progress.total, found.progress.successful, found.has_job, found.status_reason) == (
            2,
            1,
            True,
            "why",
        )
        assert [each.id for each in await work.evaluations.list_running()] == [evaluation.id]
