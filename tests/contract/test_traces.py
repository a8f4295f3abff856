"""Traces that tasks leave are stored with their results, whole, once, and on both databases."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from assay.core.application_spans import read_spans
from assay.core.evaluations import Evaluation, Progress
from assay.core.paging import PageRequest
from assay.core.results import Outcome, Result, ResultStatus
from assay.core.spans import NewSpan, Span, SpanFilter
from assay.core.tasks import TaskSpec
from assay.ports.storage import NewItem, Storage
from assay.registry.task_types import Services
from assay.services.execution import ChunkSizes, Execution
from assay.services.model_calls import CallLedger, ModelCalls, PriceTable
from assay.services.result_writer import ResultWriter
from tests.builders.evaluations import make_evaluation
from tests.builders.identity import new_id
from tests.builders.stored import MovableClock
from tests.fakes.task_types import FakeTaskType


class Traced(FakeTaskType):
    """Leaves the spans that its input names."""

    def _outcome(self, configuration: Mapping[str, Any]) -> Outcome:
        root = NewSpan(trace_id="", name="bot", started_at=MovableClock().now(), ended_at=MovableClock().now())
        return Outcome(value=1, detail={"kept": True}, spans=read_spans(configuration["input"], root))


async def run(storage: Storage, *told: Any) -> Evaluation:
    """An evaluation with an item for each list of spans, run to its end."""
    writer = ResultWriter(storage, 0.01)
    types: Any = {"fake": Traced()}
    services = Services(cast("Any", None), cast("Any", None), {})
    calls = ModelCalls(services.models, CallLedger(storage, MovableClock(), flush_seconds=0.01), PriceTable())
    execution = Execution(storage, writer, types, services, MovableClock(), chunk_sizes=ChunkSizes(), calls=calls)
    evaluation = make_evaluation(
        tasks=(TaskSpec("fake", "a", {"input": "item.x"}),), progress=Progress(total=len(told)), column_names=("x",)
    )
    async with storage.write() as unit:
        added = await unit.evaluations.add(evaluation)
        await unit.items.add(added, [NewItem(new_id(), {"x": each}) for each in told])
    for chunk in await execution.plan(added.id):
        await execution.run_chunk(chunk)
    await writer.close()
    return added


async def results(storage: Storage, evaluation: Evaluation) -> list[Result]:
    async with storage.read() as unit:
        return [item.results["a"] for item in await unit.items.range(evaluation.seq, 0, 10**15)]


async def spans(storage: Storage, evaluation: Evaluation) -> list[Span]:
    async with storage.read() as unit:
        found = await unit.spans.search(
            evaluation.account_id, PageRequest(sort_by="started_at"), SpanFilter(group_id=evaluation.id)
        )
    return list(found.items)


async def test_a_trace_is_found_by_the_id_in_the_results_detail(storage: Storage) -> None:
    evaluation = await run(storage, [{"name": "one"}, {"name": "two"}], [], [{"name": "three"}])

    first, second, third = await results(storage, evaluation)
    stored = await spans(storage, evaluation)

    assert first.detail is not None
    assert third.detail is not None
    assert second.detail == {"kept": True}
    by_trace = {
        result.detail["trace_id"]: {span.name for span in stored if span.trace_id == result.detail["trace_id"]}
        for result in (first, third)
        if result.detail
    }
    assert list(by_trace.values()) == [{"bot", "one", "two"}, {"bot", "three"}]
    assert len(stored) == 5
    assert {span.account_id for span in stored} == {evaluation.account_id}


async def test_a_result_that_is_written_again_tells_its_spans_once(storage: Storage) -> None:
    evaluation = await run(storage, [{"name": "one"}])
    (result,) = await results(storage, evaluation)
    (root, one) = sorted(await spans(storage, evaluation), key=lambda span: span.name)
    writer = ResultWriter(storage, 0.01)

    writer.add(evaluation.seq, [replace(result, spans=[root, one])], aliases=("a",), finished=True, failed=False)
    await writer.flushed(evaluation.seq)
    await writer.close()

    assert len(await spans(storage, evaluation)) == 2


async def test_spans_that_no_database_takes_are_that_items_error_alone(storage: Storage) -> None:
    evaluation = await run(storage, [{"name": "one"}])
    (stored,) = await results(storage, evaluation)
    async with storage.write() as unit:
        added = await unit.evaluations.add(
            make_evaluation(tasks=(TaskSpec("fake", "a", {}),), progress=Progress(total=2))
        )
        await unit.items.add(added, [NewItem(new_id(), {}), NewItem(new_id(), {})])
        items = await unit.items.range(added.seq, 0, 10**15)
    good = Span("s1", 0, added.account_id, "t", "n", added.created_at, added.created_at, added.created_by)
    bad = replace(good, id="s2", obs_trace_id=cast("Any", object()))
    writer = ResultWriter(storage, 0.01)
    for item, span in zip(items, (good, bad), strict=True):
        result = replace(stored, evaluation_seq=added.seq, item_seq=item.seq, spans=[span])
        writer.add(added.seq, [result], aliases=("a",), finished=True, failed=False)
    await writer.flushed(added.seq)
    await writer.close()

    first, second = await results(storage, added)
    assert (first.status, second.status) == (ResultStatus.COMPLETED, ResultStatus.ERRORED)
    async with storage.read() as unit:
        assert set(await unit.spans.get_many(added.account_id, ["s1", "s2"])) == {"s1"}


async def test_hostile_spans_are_data(storage: Storage) -> None:
    deep: Any = {}
    for _ in range(90):
        deep = {"d": [deep]}
    told = [
        {"name": "nul \x00 and \ud800", "input": {"k\x00": "v\x00", "big": 10**18, "deep": deep}},
        {"name": "'; DROP TABLE spans; --", "id": "x" * 5000, "parent_id": 7, "metadata": "text"},
        {"name": "", "start_timestamp": "yesterday", "end_timestamp": 1e308, "duration_ms": -1, "type": 3},
        {"start_timestamp": "0001-01-01T00:00:00+23:00", "end_timestamp": "9999-12-31T23:59:59-23:00"},
    ]

    evaluation = await run(storage, told, [{"name": "fine"}])

    statuses = [result.status for result in await results(storage, evaluation)]
    assert statuses == [ResultStatus.COMPLETED, ResultStatus.COMPLETED]
    names = {span.name for span in await spans(storage, evaluation)}
    assert {"fine", "nul \ufffd and ?", "'; DROP TABLE spans; --", "span"} <= names
