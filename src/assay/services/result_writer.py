"""The result writer: gathers results from every running item and stores them in batches, first write wins,
together with the progress counters, in one transaction."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from assay.core.errors import Unavailable
from assay.core.results import Result, ResultStatus
from assay.ports.storage import Storage

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
    fault: Exception | None = None


class ResultWriter:
    """Stores results at most `flush_seconds` after they come, many at a time.

    Belongs to one event loop. A database that is away only delays: results wait in memory, and with them the
    chunks that made them, so the wait is bounded by what is in flight.
    """

    def __init__(self, storage: Storage, flush_seconds: float) -> None:
        self._storage = storage
        self._flush_seconds = flush_seconds
        self._open = _Batch()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._writing: _Batch | None = None
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

    async def flushed(self) -> None:
        """Return once everything added before the call is durable; raise what kept it from being stored."""
        waited_for = [batch for batch in (self._writing, self._open) if batch is not None and batch.results]
        if self._open.results:
            self._hurry.set()
        for batch in waited_for:
            await batch.written.wait()
        for batch in waited_for:
            if batch.fault is not None:
                raise batch.fault

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
                await self._write(batch)
            except Exception as error:
                log.exception("results could not be stored", results=len(batch.results))
                batch.fault = error
            self._writing = None
            batch.written.set()

    async def _write(self, batch: _Batch) -> None:
        pause = 0.1
        while True:
            try:
                return await self._write_once(batch)
            except Unavailable as error:
                log.warning("results wait for the database", results=len(batch.results), cause=error.message)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _write_once(self, batch: _Batch) -> None:
        async with self._storage.write() as unit:
            inserted = await unit.results.add(batch.results)
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

    async def close(self) -> None:
        """Write what is left and stop."""
        task, self._task = self._task, None
        if task is None:
            return
        try:
            await self.flushed()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
