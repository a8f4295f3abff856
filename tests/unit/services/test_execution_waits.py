"""A job whose database goes away again and again: it waits, and ends with every result counted once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from assay.core.errors import Unavailable
from assay.core.evaluations import EvaluationStatus
from assay.ports.storage import Storage, UnitOfWork
from assay.registry.discovery import load_metrics, load_task_types
from assay.registry.task_types import Services
from assay.services.evaluations import Evaluations, NewEvaluation
from assay.services.execution import ChunkSizes, Execution
from assay.services.model_calls import CallLedger, ModelCalls, PriceTable
from assay.services.result_writer import ResultWriter
from tests.builders.evaluating import metric_task
from tests.builders.stored import MovableClock, RecordingEngine, caller_of, sqlite_storage

ANNA = caller_of("default")


class UnsteadyStorage:
    """A storage of which every other transaction fails: one before it begins, one before it is committed."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.failures = 0
        self._turns = self._take_turns()

    def _take_turns(self) -> Iterator[str]:
        while True:
            yield from ("away", "lost", "there", "there")

    @asynccontextmanager
    async def _unsteady(self, transaction: Any) -> AsyncIterator[UnitOfWork]:
        turn = next(self._turns)
        self.failures += turn != "there"
        if turn == "away":
            raise Unavailable("the database cannot be reached")
        async with transaction as unit:
            yield unit
            if turn == "lost":
                raise Unavailable("the database cannot be reached")

    def read(self) -> Any:
        """A snapshot, perhaps."""
        return self._unsteady(self._storage.read())

    def write(self) -> Any:
        """A transaction, perhaps."""
        return self._unsteady(self._storage.write())


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with sqlite_storage(tmp_path) as opened:
        yield opened


async def test_a_job_waits_for_its_database_and_loses_nothing(storage: Storage) -> None:
    clock, task_types = MovableClock(), load_task_types()
    services = Services(cast("Any", None), cast("Any", None), load_metrics())
    evaluations = Evaluations(storage, RecordingEngine(), clock, task_types, services)
    rows = [{"answer": "blue", "expected": "blue"}, {"answer": "red", "expected": "blue"}, {"answer": "green"}]
    made = await evaluations.create(ANNA, NewEvaluation("e", rows=rows, tasks=[metric_task("same")]))
    unsteady = UnsteadyStorage(storage)
    writer = ResultWriter(cast("Storage", unsteady), 0.01)
    sizes = ChunkSizes(largest=2, smallest=1)
    ledger = CallLedger(cast("Storage", unsteady), clock, flush_seconds=0.01)
    calls = ModelCalls(services.models, ledger, PriceTable())
    job = Execution(cast("Storage", unsteady), writer, task_types, services, clock, chunk_sizes=sizes, calls=calls)

    chunks = await job.plan(made.id)
    for chunk in chunks:
        await job.run_chunk(chunk)
    await job.finish(made.id, None)

    assert len(chunks) > 1
    assert unsteady.failures > 6
    done = await evaluations.get(ANNA, made.id)
    assert done.status is EvaluationStatus.COMPLETED
    assert (done.progress.successful, done.progress.failed, done.progress.errors) == (2, 1, 1)
    async with storage.read() as work:
        (totals,) = await work.results.totals(made.seq)
    assert totals.statuses == {"completed": 2, "errored": 1}
    await writer.close()
