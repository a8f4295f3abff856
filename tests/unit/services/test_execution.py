"""A job's three parts on a real storage: what is run, what is stored, what is settled, and how often."""

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from assay.core.evaluations import Evaluation, EvaluationStatus, Item, Progress
from assay.core.results import ErrorType, Result, ResultStatus
from assay.core.tasks import TaskSpec
from assay.ports.engine import Chunk
from assay.ports.storage import NewItem, Storage
from assay.registry.task_types import Services
from assay.services.execution import ChunkSizes, Execution
from assay.services.model_calls import CallLedger, ModelCalls, PriceTable
from assay.services.result_writer import ResultWriter
from tests.builders.evaluations import make_evaluation, make_result
from tests.builders.identity import new_id
from tests.builders.stored import MovableClock, sqlite_storage
from tests.fakes.task_types import FakeTaskType


def task(alias: str, reads: str = "item.x", **more: Any) -> TaskSpec:
    return TaskSpec("fake", alias, {"input": reads, **more})


class Job:
    """An execution over a storage, its task type and its clock."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = MovableClock()
        self.fake = FakeTaskType()
        self.writer = ResultWriter(storage, 0.01)
        self.execution = self.anew()

    def anew(self, *, known: bool = True) -> Execution:
        """Another process's execution; without `known` it has no task types."""
        types = {"fake": self.fake} if known else {}
        sizes = ChunkSizes(largest=4, smallest=2, parts=2)
        services = Services(cast("Any", None), cast("Any", None), {})
        calls = ModelCalls(services.models, CallLedger(self.storage, self.clock, flush_seconds=0.01), PriceTable())
        return Execution(self.storage, self.writer, types, services, self.clock, chunk_sizes=sizes, calls=calls)

    async def add(self, rows: Sequence[Mapping[str, Any]], *tasks: TaskSpec, **changes: Any) -> Evaluation:
        """A running evaluation."""
        columns = tuple(dict.fromkeys(key for row in rows for key in row))
        evaluation = make_evaluation(
            **{"tasks": tasks, "progress": Progress(total=len(rows)), "column_names": columns, **changes}
        )
        async with self.storage.write() as unit:
            added = await unit.evaluations.add(evaluation)
            await unit.items.add(added, [NewItem(new_id(), row) for row in rows])
        return added

    async def run(self, evaluation: Evaluation) -> Evaluation:
        """The whole job; the evaluation afterwards."""
        for chunk in await self.execution.plan(evaluation.id):
            await self.execution.run_chunk(chunk)
        await self.execution.finish(evaluation.id, None)
        return await self.read(evaluation)

    async def read(self, evaluation: Evaluation) -> Evaluation:
        async with self.storage.read() as unit:
            found = await unit.evaluations.get(None, evaluation.id, include_archived=True)
        assert found is not None
        return found

    async def items(self, evaluation: Evaluation) -> list[Item]:
        async with self.storage.read() as unit:
            return list(await unit.items.range(evaluation.seq, 0, 10**15))

    async def values(self, evaluation: Evaluation, alias: str) -> list[Any]:
        return [item.results[alias].value for item in await self.items(evaluation)]

    async def errors(self, evaluation: Evaluation, alias: str) -> list[ErrorType | None]:
        results = [item.results[alias] for item in await self.items(evaluation)]
        return [result.error and result.error.type for result in results]


@pytest.fixture
async def job(tmp_path: Path) -> AsyncIterator[Job]:
    async with sqlite_storage(tmp_path) as storage:
        made = Job(storage)
        yield made
        await made.writer.close()


async def test_every_task_of_every_item_runs_once_and_the_evaluation_completes(job: Job) -> None:
    evaluation = await job.add([{"x": n} for n in range(9)], task("a"), task("b", "item.a", later=True))

    done = await job.run(evaluation)

    assert await job.values(evaluation, "a") == await job.values(evaluation, "b") == list(range(9))
    assert len(job.fake.inputs) == 18
    assert (done.status, done.status_reason) == (EvaluationStatus.COMPLETED, None)
    assert done.progress == Progress(total=9, successful=9)
    assert done.started_at == done.finished_at == job.clock.now()


async def test_a_plan_covers_every_item_once_and_is_the_same_whenever_it_is_asked(job: Job) -> None:
    evaluation = await job.add([{"x": n} for n in range(9)], task("a"))

    chunks = await job.execution.plan(evaluation.id)
    again = await job.anew().plan(evaluation.id)

    assert chunks == again
    assert [chunk.number for chunk in chunks] == [0, 1, 2]
    seqs = [item.seq for item in await job.items(evaluation)]
    assert [seq for chunk in chunks for seq in seqs if chunk.first_seq <= seq <= chunk.last_seq] == seqs


@pytest.mark.parametrize(
    ("sizes", "items", "size"),
    [
        (ChunkSizes(), 10_000, 256),
        (ChunkSizes(), 400, 100),
        (ChunkSizes(), 40, 32),
        (ChunkSizes(largest=10), 10_000, 10),
        (ChunkSizes(largest=1), 3, 1),
    ],
)
def test_no_chunk_is_larger_than_the_setting_says(sizes: ChunkSizes, items: int, size: int) -> None:
    assert sizes.size(items) == size


async def test_what_is_gone_or_over_is_neither_planned_nor_run_nor_settled(job: Job) -> None:
    over = await job.add([{"x": 1}], task("a"), status=EvaluationStatus.FAILED, status_reason="Cancelled")

    for evaluation_id in (over.id, new_id()):
        assert await job.execution.plan(evaluation_id) == []
        await job.execution.run_chunk(Chunk(evaluation_id, 0, 0, 10**9))
        await job.execution.finish(evaluation_id, "too late")

    assert job.fake.inputs == []
    assert (await job.read(over)).status_reason == "Cancelled"


async def test_a_chunk_that_runs_again_does_only_what_is_left(job: Job) -> None:
    evaluation = await job.add([{"x": n} for n in range(4)], task("a"), task("b", "item.a", outputs=["c"]))
    first, second, *_ = await job.items(evaluation)
    async with job.storage.write() as unit:
        kept = [make_result(evaluation, first.seq, alias, value="kept") for alias in ("a", "b", "c")]
        await unit.results.add([*kept, make_result(evaluation, second.seq, "a", value="kept too")])
        await unit.evaluations.recount(evaluation.seq, ["a", "b"])

    done = await job.run(evaluation)
    again = await job.run(evaluation)

    assert await job.values(evaluation, "a") == ["kept", "kept too", 2, 3]
    assert await job.values(evaluation, "b") == ["kept", "kept too", 2, 3]
    assert sorted(map(str, job.fake.inputs)) == ["2", "2", "3", "3", "kept too"]
    assert done.progress == again.progress == Progress(total=4, successful=4)


async def test_prefilled_and_skipped_results_are_results_and_are_read_as_values(job: Job) -> None:
    evaluation = await job.add([{"x": 1}, {"x": 2}], task("a"), task("b", "item.a"))
    first, second = await job.items(evaluation)
    async with job.storage.write() as unit:
        results: list[Result] = [
            make_result(evaluation, first.seq, "a", status=ResultStatus.PREFILLED, value="given"),
            make_result(evaluation, second.seq, "a", status=ResultStatus.SKIPPED, value=None),
        ]
        await unit.results.add(results)

    done = await job.run(evaluation)

    assert await job.values(evaluation, "b") == ["given", None]
    assert done.progress == Progress(total=2, successful=2)


async def test_a_task_that_does_not_apply_to_an_item_is_skipped_there_and_read_as_null(job: Job) -> None:
    evaluation = await job.add([{"x": {"skip": True}}, {"x": 2}], task("a"), task("b", "item.a"))

    done = await job.run(evaluation)

    statuses = [item.results["a"].status for item in await job.items(evaluation)]
    assert statuses == [ResultStatus.SKIPPED, ResultStatus.COMPLETED]
    assert await job.values(evaluation, "b") == [None, 2]
    assert done.progress == Progress(total=2, successful=2)


async def test_what_a_task_refers_to_is_given_to_it_beside_its_configuration(job: Job) -> None:
    referring = TaskSpec("fake", "a", {"outputs": []}, {"input": {"question": "kept"}})
    evaluation = await job.add([{"x": 1}], referring)

    await job.run(evaluation)

    assert await job.values(evaluation, "a") == [{"question": "kept"}]


async def test_one_items_fault_is_its_own_error_and_what_reads_it_says_so(job: Job) -> None:
    rows = [{"x": {"error": "broken"}}, {"x": "fine"}, {"x": {"raise": "boom"}}, {"y": 1}, {"x": {"cancelled": 1}}]
    evaluation = await job.add(rows, task("a", later=True, outputs=["c"]), task("b", "item.c"), task("free", "z"))

    done = await job.run(evaluation)

    kinds = [
        ErrorType.FUNCTION_ERROR,
        None,
        ErrorType.INTERNAL_ERROR,
        ErrorType.MISSING_FIELD,
        ErrorType.INTERNAL_ERROR,
    ]
    upstream = [kind and ErrorType.UPSTREAM_ERROR for kind in kinds]
    assert await job.errors(evaluation, "a") == await job.errors(evaluation, "c") == kinds
    assert await job.errors(evaluation, "b") == upstream
    assert await job.values(evaluation, "free") == ["z"] * 5
    assert done.status is EvaluationStatus.COMPLETED
    assert done.progress == Progress(total=5, successful=1, failed=4, errors=8)
    stored = str([item.results for item in await job.items(evaluation)])
    assert "secret words" not in stored


async def test_an_alias_named_like_a_column_is_read_as_the_result_not_as_the_rows_own_value(job: Job) -> None:
    rows = [{"x": "new", "a": "old"}, {"x": {"error": "broken"}, "a": "old"}]
    evaluation = await job.add(rows, task("a"), task("b", "item.a"))

    await job.run(evaluation)

    assert await job.values(evaluation, "b") == ["new", None]
    assert await job.errors(evaluation, "b") == [None, ErrorType.UPSTREAM_ERROR]


async def test_an_evaluation_in_which_everything_failed_is_failed(job: Job) -> None:
    evaluation = await job.add([{"x": {"error": "broken"}}] * 2, task("a"), task("b", "item.a"))

    done = await job.run(evaluation)

    assert done.status is EvaluationStatus.FAILED
    assert "every task failed" in (done.status_reason or "")
    assert done.progress == Progress(total=2, failed=2, errors=4)


async def test_an_evaluation_is_not_settled_while_items_are_pending(job: Job) -> None:
    evaluation = await job.add([{"x": n} for n in range(9)], task("a"))
    first, *_ = await job.execution.plan(evaluation.id)

    await job.execution.run_chunk(first)
    await job.execution.finish(evaluation.id, None)

    found = await job.read(evaluation)
    assert found.status is EvaluationStatus.RUNNING
    assert found.progress == Progress(total=9, successful=4)
    assert await job.execution.unfinished() == [evaluation.id]


async def test_a_failure_of_the_job_settles_it_at_once_with_the_reason_and_honest_counters(job: Job) -> None:
    evaluation = await job.add([{"x": n} for n in range(9)], task("a"))
    first, *_ = await job.execution.plan(evaluation.id)
    await job.execution.run_chunk(first)

    await job.execution.finish(evaluation.id, "the disk burnt")
    await job.execution.finish(evaluation.id, "and again")

    found = await job.read(evaluation)
    assert (found.status, found.status_reason) == (EvaluationStatus.FAILED, "the disk burnt")
    assert found.progress == Progress(total=9, successful=4)
    assert await job.execution.unfinished() == []


async def test_a_job_of_a_task_type_that_is_gone_can_still_be_failed(job: Job) -> None:
    evaluation = await job.add([{"x": 1}], task("a"))

    await job.anew(known=False).finish(evaluation.id, "no such task type")

    assert (await job.read(evaluation)).status is EvaluationStatus.FAILED


async def test_counters_that_went_wrong_are_set_right_at_the_end(job: Job) -> None:
    evaluation = await job.add([{"x": 1}, {"x": {"error": "e"}}], task("a"))
    async with job.storage.write() as unit:
        await unit.evaluations.add_progress(evaluation.seq, successful=0, failed=0, errors=7)

    done = await job.run(evaluation)

    assert done.progress == Progress(total=2, successful=1, failed=1, errors=1)
