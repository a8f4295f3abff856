"""The result writer on a real storage: batches, counters, and what happens to what no database takes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import structlog

from assay.core.errors import Unavailable
from assay.core.evaluations import Evaluation, Item, Progress
from assay.core.results import ErrorType, Result, ResultStatus, Usage
from assay.ports.storage import Storage, UnitOfWork
from assay.services.result_writer import ResultWriter
from tests.builders.evaluations import make_error, make_evaluation, make_items, make_result, make_task
from tests.builders.stored import sqlite_storage

ALIASES = ("score", "other")
TEXT = "a user's secret words"


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with sqlite_storage(tmp_path) as opened:
        yield opened


async def an_evaluation(storage: Storage, items: int = 3) -> Evaluation:
    async with storage.write() as unit:
        tasks = tuple(make_task(alias) for alias in ALIASES)
        added = await unit.evaluations.add(make_evaluation(progress=Progress(total=items), tasks=tasks))
        await unit.items.add(added, make_items(items))
    return added


async def items_of(storage: Storage, evaluation: Evaluation) -> list[Item]:
    async with storage.read() as unit:
        return list(await unit.items.range(evaluation.seq, 0, 10**15))


async def progress_of(storage: Storage, evaluation: Evaluation) -> Progress:
    async with storage.read() as unit:
        found = await unit.evaluations.get(None, evaluation.id)
    assert found is not None
    return found.progress


def unstorable(result: Result) -> Result:
    """The result with a count of tokens that no column holds."""
    return replace(result, usage=Usage(prompt_tokens=2**70))


class Poisoned:
    """A real storage that refuses, as a defect would, every write that touches one evaluation."""

    def __init__(self, storage: Storage, evaluation: Evaluation) -> None:
        self._storage = storage
        self._seq = evaluation.seq
        self.writes = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[UnitOfWork]:
        self.writes += 1
        async with self._storage.write() as unit:
            plain = unit.results.add

            async def add(results: list[Result]) -> int:
                if any(result.evaluation_seq == self._seq for result in results):
                    raise RuntimeError(TEXT)
                return await plain(results)

            cast("Any", unit.results).add = add
            yield unit


class Away:
    """A real storage that is away for the first so many writes."""

    def __init__(self, storage: Storage, writes: int) -> None:
        self._storage = storage
        self._left = writes

    @asynccontextmanager
    async def write(self) -> AsyncIterator[UnitOfWork]:
        if self._left:
            self._left -= 1
            raise Unavailable("the database cannot be reached")
        async with self._storage.write() as unit:
            yield unit


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def add(writer: ResultWriter, result: Result, *, finished: bool, failed: bool = False) -> None:
    writer.add(result.evaluation_seq, [result], aliases=ALIASES, finished=finished, failed=failed)


async def test_results_and_counters_are_durable_once_flushed(storage: Storage) -> None:
    evaluation = await an_evaluation(storage)
    first, second, _ = await items_of(storage, evaluation)
    writer = ResultWriter(storage, 60)

    add(writer, make_result(evaluation, first.seq, "score"), finished=False)
    add(writer, make_result(evaluation, first.seq, "other"), finished=True)
    add(writer, make_error(evaluation, second.seq, "score"), finished=False)
    add(writer, make_result(evaluation, second.seq, "other"), finished=True, failed=True)
    await asyncio.wait_for(writer.flushed(evaluation.seq), 5)

    progress = await progress_of(storage, evaluation)
    assert progress == Progress(total=3, successful=1, failed=1, errors=1)
    assert [len(item.results) for item in await items_of(storage, evaluation)] == [2, 2, 0]
    await writer.close()


async def test_results_are_stored_by_themselves_after_the_interval(storage: Storage) -> None:
    evaluation = await an_evaluation(storage)
    item, *_ = await items_of(storage, evaluation)
    writer = ResultWriter(storage, 0.01)

    add(writer, make_result(evaluation, item.seq), finished=False)

    async with asyncio.timeout(5):
        while not (await items_of(storage, evaluation))[0].results:
            await asyncio.sleep(0.01)
    await writer.close()


async def test_results_that_are_there_already_are_counted_once_and_stay_as_they_were(storage: Storage) -> None:
    evaluation = await an_evaluation(storage)
    item, *_ = await items_of(storage, evaluation)
    writer = ResultWriter(storage, 0.01)

    for value in (1.0, 0.0):
        add(writer, make_result(evaluation, item.seq, "score", value=value), finished=False)
        add(writer, make_result(evaluation, item.seq, "other", value=value), finished=True)
        await writer.flushed(evaluation.seq)

    assert await progress_of(storage, evaluation) == Progress(total=3, successful=1)
    (stored, *_) = await items_of(storage, evaluation)
    assert [result.value for result in stored.results.values()] == [1.0, 1.0]
    await writer.close()


async def test_a_result_that_cannot_be_stored_is_its_own_items_error_and_nothing_elses(
    storage: Storage, logged: list[Any]
) -> None:
    ill, well = await an_evaluation(storage, 8), await an_evaluation(storage)
    writer = ResultWriter(storage, 60)

    for place, item in enumerate(await items_of(storage, ill)):
        bad = make_result(ill, item.seq, "score", value=TEXT)
        add(writer, unstorable(bad) if place == 5 else bad, finished=False)
        add(writer, make_result(ill, item.seq, "other"), finished=True)
    for item in await items_of(storage, well):
        add(writer, make_result(well, item.seq, "score"), finished=False)
        add(writer, make_result(well, item.seq, "other"), finished=True)
    await writer.flushed(ill.seq)
    await writer.flushed(well.seq)

    assert await progress_of(storage, ill) == Progress(total=8, successful=7, failed=1, errors=1)
    assert await progress_of(storage, well) == Progress(total=3, successful=3)
    stored = (await items_of(storage, ill))[5].results["score"]
    assert stored.status is ResultStatus.ERRORED
    assert stored.error is not None
    assert stored.error.type is ErrorType.INVALID_OUTPUT
    assert "cannot be stored" in stored.error.message
    assert TEXT not in str(logged)
    await writer.close()


async def test_an_evaluation_whose_results_are_lost_hears_of_it_even_later_and_others_do_not(
    storage: Storage, logged: list[Any]
) -> None:
    ill, well = await an_evaluation(storage), await an_evaluation(storage)
    poisoned = Poisoned(storage, ill)
    writer = ResultWriter(cast("Storage", poisoned), 60)
    for evaluation in (ill, well):
        for item in await items_of(storage, evaluation):
            add(writer, make_result(evaluation, item.seq, "score"), finished=False)
            add(writer, make_result(evaluation, item.seq, "other"), finished=True)

    await writer.flushed(well.seq)

    assert await progress_of(storage, well) == Progress(total=3, successful=3)
    assert poisoned.writes < 12
    with pytest.raises(RuntimeError):
        await writer.flushed(ill.seq)
    assert TEXT not in str(logged)
    await writer.close()


async def test_a_database_that_is_away_only_delays(storage: Storage) -> None:
    evaluation = await an_evaluation(storage, 1)
    (item,) = await items_of(storage, evaluation)
    writer = ResultWriter(cast("Storage", Away(storage, 2)), 0.01)

    add(writer, make_result(evaluation, item.seq, "score"), finished=False)
    add(writer, make_result(evaluation, item.seq, "other"), finished=True)
    await asyncio.wait_for(writer.flushed(evaluation.seq), 5)

    assert await progress_of(storage, evaluation) == Progress(total=1, successful=1)
    await writer.close()


async def test_closing_stores_what_is_left_and_may_be_repeated(storage: Storage) -> None:
    evaluation = await an_evaluation(storage)
    item, *_ = await items_of(storage, evaluation)
    writer = ResultWriter(storage, 60)
    add(writer, make_result(evaluation, item.seq), finished=False)

    await asyncio.wait_for(writer.close(), 5)
    await writer.close()

    assert (await items_of(storage, evaluation))[0].results
