"""The result writer: gathers results from every running item and stores them in batches, first write wins,
together with the progress counters, in one transaction."""

import asyncio
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from assay.core.errors import Unavailable
from assay.core.results import ErrorType, Result, ResultStatus, TaskError
from assay.core.spans import Span
from assay.ports.storage import Storage, UnitOfWork

log = structlog.get_logger()

FULL_BATCH = 4000
"""Results that are written at once, without waiting for the flush interval."""


@dataclass(slots=True)
class _Progress:
    """What a batch adds to one evaluation's counters."""

    aliases: tuple[str, ...] = ()
    successful: int = 0
    failed: int = 0
    errors: int = 0


@dataclass(slots=True)
class _Batch:
    results: list[Result] = field(default_factory=list)
    progress: dict[int, _Progress] = field(default_factory=lambda: defaultdict(_Progress))
    written: asyncio.Event = field(default_factory=asyncio.Event)


class ResultWriter:
    """Stores results at most `flush_seconds` after they come, many at a time.

    Belongs to one event loop. A database that is away only delays: results wait in memory, and with them the
    chunks that made them, so the wait is bounded by what is in flight. A result that no database takes becomes
    that item's error; what cannot even be said so is the fault of its evaluation alone.
    """

    def __init__(self, storage: Storage, flush_seconds: float) -> None:
        self._storage = storage
        self._flush_seconds = flush_seconds
        self._open = _Batch()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._writing: _Batch | None = None
        self._faults: dict[int, Exception] = {}
        self._task: asyncio.Task[None] | None = None

    def add(
        self, evaluation_seq: int, results: Sequence[Result], *, aliases: tuple[str, ...], finished: bool, failed: bool
    ) -> None:
        """Take results of one item; `finished` says that the item now has all of them, `failed` that one of
        all of its results is an error. `aliases` are the evaluation's tasks, the same in every call."""
        batch = self._open
        batch.results.extend(results)
        progress = batch.progress[evaluation_seq]
        progress.aliases = aliases
        progress.errors += sum(result.status is ResultStatus.ERRORED and result.alias in aliases for result in results)
        if finished:
            progress.failed += failed
            progress.successful += not failed
        self._wake.set()
        if len(batch.results) >= FULL_BATCH:
            self._hurry.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="result-writer")

    async def flushed(self, evaluation_seq: int) -> None:
        """Return once everything added before the call is durable. Raises what kept any result of the evaluation
        from being stored, now or since this was last asked."""
        await self._drained()
        fault = self._faults.pop(evaluation_seq, None)
        if fault is not None:
            raise fault

    async def _drained(self) -> None:
        waited_for = [batch for batch in (self._writing, self._open) if batch is not None and batch.results]
        if self._open.results:
            self._hurry.set()
        for batch in waited_for:
            await batch.written.wait()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            try:
                async with asyncio.timeout(self._flush_seconds):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            batch, self._open = self._open, _Batch()
            self._writing = batch
            self._wake.clear()
            self._hurry.clear()
            try:
                await _when_available(len(batch.results), lambda batch=batch: self._write_once(batch))  # type: ignore[misc]
            except Exception as error:
                _log_fault("results could not be stored together", error, len(batch.results))
                await self._write_apart(batch)
            self._writing = None
            batch.written.set()

    async def _write_once(self, batch: _Batch) -> None:
        async with self._storage.write() as unit:
            inserted = await unit.results.add(batch.results)
            await _add_spans(unit, batch.results)
            for evaluation_seq, progress in sorted(batch.progress.items(), key=lambda each: each[0]):
                if inserted == len(batch.results):
                    await unit.evaluations.add_progress(
                        evaluation_seq,
                        successful=progress.successful,
                        failed=progress.failed,
                        errors=progress.errors,
                    )
                else:
                    # Somebody else wrote some of these first: only a count of the rows tells the truth.
                    await unit.evaluations.recount(evaluation_seq, progress.aliases)

    async def _write_apart(self, batch: _Batch) -> None:
        """Store what can be stored of a batch that the database refused as a whole: halves of halves, down to
        the result at fault, in whose place an error is stored."""
        parts = [
            [result for result in batch.results if result.evaluation_seq == evaluation_seq]
            for evaluation_seq in reversed(batch.progress)
        ]
        while parts:
            some = parts.pop()
            evaluation_seq = some[0].evaluation_seq
            if evaluation_seq in self._faults:
                continue
            aliases = batch.progress[evaluation_seq].aliases
            try:
                await self._write_counting(some, aliases)
            except Exception as error:
                if len(some) > 1:
                    parts += (some[len(some) // 2 :], some[: len(some) // 2])
                    continue
                _log_fault("a result could not be stored", error, 1)
                try:
                    await self._write_counting([_refused(some[0], error)], aliases)
                except Exception as fault:
                    self._faults[evaluation_seq] = fault

    async def _write_counting(self, results: Sequence[Result], aliases: Sequence[str]) -> None:
        """Store results of one evaluation and count its rows anew."""

        async def write() -> None:
            async with self._storage.write() as unit:
                await unit.results.add(results)
                await _add_spans(unit, results)
                await unit.evaluations.recount(results[0].evaluation_seq, aliases)

        await _when_available(len(results), write)

    async def close(self) -> None:
        """Write what is left and stop."""
        task, self._task = self._task, None
        if task is None:
            return
        try:
            await self._drained()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _add_spans(unit: UnitOfWork, results: Sequence[Result]) -> None:
    """Store what the results' traces hold, an account at a time; what is there already is replaced."""
    by_account: dict[str, dict[str, Span]] = {}
    for result in results:
        for span in result.spans:
            by_account.setdefault(span.account_id, {})[span.id] = span
    for spans in by_account.values():
        await unit.spans.upsert(list(spans.values()))


async def _when_available(results: int, write: Callable[[], Awaitable[None]]) -> None:
    """Write as often as it takes while the database is away."""
    pause = 0.1
    while True:
        try:
            return await write()
        except Unavailable as error:
            log.warning("results wait for the database", results=results, cause=error.message)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5.0)


def _refused(result: Result, error: Exception) -> Result:
    """What stands in the place of a result that the database refused."""
    message = f"the result cannot be stored ({type(error).__name__})"
    return Result(
        result.evaluation_seq,
        result.item_seq,
        result.alias,
        ResultStatus.ERRORED,
        error=TaskError(ErrorType.INVALID_OUTPUT, message),
    )


def _log_fault(event: str, error: Exception, results: int) -> None:
    """The fault without its text, which may hold what was to be stored."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error(event, results=results, error=type(error).__name__, traceback=where)
