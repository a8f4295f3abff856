"""The durable engine on DBOS: an evaluation is a workflow that enqueues its chunks, each a workflow with one
preemptible step. Runs on a thread and an event loop of its own, away from the web server's."""

import asyncio
import concurrent.futures
import logging
import os
import threading
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog

from assay.core.errors import Unavailable
from assay.ports.engine import Chunk, Job

log = structlog.get_logger()

QUEUE = "assay-chunks"
EVALUATION = "assay.evaluation"
APPLICATION_VERSION = "assay-1"
"""Constant on purpose: the library's own default hashes the source, and an upgrade would strand running work."""

ACTIVE = ["PENDING", "ENQUEUED", "DELAYED"]
OVER = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
GIVEN_UP = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
"""The library's words for the states of a workflow."""

DELETED_AT_ONCE = 500

RESUMED_AFTER = 0.5
"""Seconds after which a job that is to be taken up again is first looked for, when one of it is active still."""

EVALUATIONS_AT_ONCE = 4
"""How many evaluations can use their full share of chunks at a time; the queue takes them in turn."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Where the engine keeps its state and how it works.

    `database_url` is a synchronous SQLAlchemy URL; `executor_id` names this process for recovery: work that a
    process of that name left is taken up when it starts again. `poll_seconds` is how often queues are looked at.
    `chunks_in_flight` is an evaluation's share; four evaluations may have that many each at a time. Every
    `tend_seconds` jobs that ended without settling their evaluation are taken up again, and what the engine wrote
    down about jobs that ended more than `keep_seconds` ago is deleted, so that its database stops growing.
    """

    database_url: str
    executor_id: str
    chunks_in_flight: int = 6
    poll_seconds: float = 0.1
    tend_seconds: float = 60.0
    keep_seconds: float = 3600.0


class DbosEngine:
    """One engine a process: the library is a singleton.

    `open_job` is awaited on the engine's loop before any work starts, so that what the job uses belongs to
    that loop; `close_job` when it stops.
    """

    def __init__(
        self,
        settings: EngineSettings,
        open_job: Callable[[], Awaitable[Job]],
        close_job: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._open_job = open_job
        self._close_job = close_job
        self._job: Job | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._evaluation: Any = None
        self._chunk: Any = None
        self._step: Any = None
        self._steps: set[asyncio.Task[Any]] = set()
        self._tending: asyncio.Task[None] | None = None
        self._resuming: dict[str, asyncio.Task[None]] = {}
        self._closing = False

    def launch(self) -> None:
        """Start the thread, the job and the library; unfinished work of this executor goes on by itself.
        Blocks until that is done, and raises what kept it from being done."""
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run_loop, args=(started,), name="engine", daemon=True)
        self._thread.start()
        started.result()

    def _run_loop(self, started: concurrent.futures.Future[None]) -> None:
        loop = _new_loop()
        asyncio.set_event_loop(loop)
        self._loop = loop
        try:
            loop.run_until_complete(self._open())
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(None)
        loop.run_forever()
        loop.close()

    async def _open(self) -> None:
        self._job = await self._open_job()
        self._register()
        _use_wal(self._settings.database_url)
        from dbos import DBOS

        DBOS.launch()
        await DBOS.register_queue_async(
            QUEUE,
            worker_concurrency=EVALUATIONS_AT_ONCE * self._settings.chunks_in_flight,
            partition_worker_concurrency=self._settings.chunks_in_flight,
            polling_interval_sec=self._settings.poll_seconds,
            on_conflict="always_update",
        )
        await self._revive_all()
        self._tending = asyncio.create_task(self._tend(), name="engine-tending")

    async def _tend(self) -> None:
        """Keep the engine in order for as long as it runs."""
        while True:
            await asyncio.sleep(self._settings.tend_seconds)
            try:
                await self._revive_all()
                await self._forget()
            except Unavailable as error:
                log.warning("the engine waits for the database", cause=error.message)
            except Exception as error:
                log.error("the engine could not be tended", **_without_text(error))  # noqa: TRY400

    async def _revive_all(self) -> None:
        for evaluation_id in await self._ready_job.unfinished():
            await self._revive(evaluation_id)

    async def _revive(self, evaluation_id: str, *, given_up: bool = False) -> bool:
        """See to it that an unsettled evaluation has a job: one that a crash kept from starting, or one whose
        workflows all ended and did not settle it, is started anew and does what is left. Returns False, and does
        nothing, while a workflow of it is active. One that was given up is failed, unless it is `given_up` that is
        to be tried again."""
        from dbos import DBOS

        active = await DBOS.list_workflows_async(
            workflow_id_prefix=evaluation_id, status=ACTIVE, limit=1, load_input=False, load_output=False
        )
        if active:
            return False
        ended = await DBOS.list_workflows_async(workflow_id_prefix=evaluation_id, load_input=False, load_output=False)
        if not given_up and any(workflow.status == GIVEN_UP for workflow in ended):
            await self._ready_job.finish(evaluation_id, "the server ended too often while it ran this job")
            return True
        if ended:
            log.info("a job ended before its evaluation was settled and is started again", evaluation_id=evaluation_id)
            await self._delete([workflow.workflow_id for workflow in ended])
        await self._start(evaluation_id)
        return True

    async def _forget(self) -> None:
        """Delete the records of jobs that ended long enough ago. The evaluation's own workflow, by which they are
        found, goes last."""
        from dbos import DBOS

        before = (datetime.now(UTC) - timedelta(seconds=self._settings.keep_seconds)).isoformat()
        quiet: dict[str, Any] = {"load_input": False, "load_output": False}
        ended = await DBOS.list_workflows_async(name=EVALUATION, status=OVER, completed_before=before, **quiet)
        for evaluation in ended:
            prefix = f"{evaluation.workflow_id}."
            if await DBOS.list_workflows_async(workflow_id_prefix=prefix, status=ACTIVE, limit=1, **quiet):
                continue
            if await DBOS.list_workflows_async(workflow_id_prefix=prefix, completed_after=before, limit=1, **quiet):
                continue
            chunks = await DBOS.list_workflows_async(workflow_id_prefix=prefix, **quiet)
            await self._delete([*(chunk.workflow_id for chunk in chunks), evaluation.workflow_id])

    async def _delete(self, workflow_ids: list[str]) -> None:
        from dbos import DBOS

        for start in range(0, len(workflow_ids), DELETED_AT_ONCE):
            await DBOS.delete_workflows_async(workflow_ids[start : start + DELETED_AT_ONCE])

    def _register(self) -> None:
        # The library's hint to register with its vendor, and its start-up notes, are not for our users.
        logging.getLogger("dbos").setLevel(logging.WARNING)
        logging.getLogger("dbos").addFilter(_is_no_cancellation)
        os.environ.setdefault("DBOS__APPVERSION", APPLICATION_VERSION)
        from dbos import DBOS, DBOSConfig
        from dbos._serialization import DBOSPortableJSONSerializer

        config: DBOSConfig = {
            "name": "assay",
            "system_database_url": self._settings.database_url,
            "application_version": APPLICATION_VERSION,
            "executor_id": self._settings.executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "WARNING",
            "enable_otlp": False,
            "scheduler_polling_interval_sec": 3600.0,
        }
        DBOS(config=config)

        # The library marks the functions it is given, which methods do not allow.
        @DBOS.workflow(name=EVALUATION)
        async def evaluation(evaluation_id: str) -> None:
            await self._run_evaluation(evaluation_id)

        @DBOS.step(name="assay.run_chunk", preemptible=True)
        async def run_chunk(evaluation_id: str, number: int, first: int, last: int) -> str | None:
            return await self._run_job_chunk(Chunk(evaluation_id, number, first, last))

        @DBOS.workflow(name="assay.chunk")
        async def chunk(evaluation_id: str, number: int, first: int, last: int) -> None:
            await self._run_chunk(evaluation_id, number, first, last)

        self._evaluation, self._step, self._chunk = evaluation, run_chunk, chunk

    @property
    def _ready_job(self) -> Job:
        assert self._job is not None
        return self._job

    async def _run_evaluation(self, evaluation_id: str) -> None:
        """The evaluation's workflow: enqueue every chunk; the last chunk to end settles the evaluation."""
        from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

        planned = await DBOS.run_step_async({"name": "assay.plan"}, self._plan, evaluation_id)
        if isinstance(planned, str):
            await self._finish(evaluation_id, planned)
            return
        for number, first, last in planned:
            with SetWorkflowID(f"{evaluation_id}.{number}"), SetEnqueueOptions(queue_partition_key=evaluation_id):
                await DBOS.enqueue_workflow_async(QUEUE, self._chunk, evaluation_id, number, first, last)
        if not planned:
            await self._finish(evaluation_id, None)

    async def _plan(self, evaluation_id: str) -> list[list[int]] | str:
        """The chunks as lists (number, first, last), or why there can be none."""
        try:
            chunks = await self._ready_job.plan(evaluation_id)
        except Exception as error:
            return await self._reason(evaluation_id, error)
        return [[chunk.number, chunk.first_seq, chunk.last_seq] for chunk in chunks]

    async def _run_chunk(self, evaluation_id: str, number: int, first: int, last: int) -> None:
        """A chunk's workflow: run what is left of it, then settle the evaluation if that was the last."""
        failure = await self._step(evaluation_id, number, first, last)
        await self._finish(evaluation_id, failure)

    async def _finish(self, evaluation_id: str, failure: str | None) -> None:
        try:
            await self._ready_job.finish(evaluation_id, failure)
        except Exception:
            await self._stay_pending_if_closing()
            raise

    async def _run_job_chunk(self, chunk: Chunk) -> str | None:
        """Run it; returns why it failed, if it did. Only the job's own faults count: the library's, and all
        that stopping the server causes, leave the workflow pending, to be taken up again."""
        await self._stay_pending_if_closing()
        task = asyncio.current_task()
        assert task is not None
        self._steps.add(task)
        try:
            await self._ready_job.run_chunk(chunk)
        except Exception as error:
            return await self._reason(chunk.evaluation_id, error)
        finally:
            self._steps.discard(task)
        return None

    async def _reason(self, evaluation_id: str, error: Exception) -> str:
        await self._stay_pending_if_closing()
        log.error("the job failed", evaluation_id=evaluation_id, **_without_text(error))
        return f"the job stopped on an internal error ({type(error).__name__}); the server's log has the details"

    async def _stay_pending_if_closing(self) -> None:
        """While the server stops, what the job uses is closed under it: never let the library write that down as
        the end of a workflow, which would never be taken up again. The loop's end ends the waiting."""
        if self._closing:
            await asyncio.Event().wait()

    async def start(self, evaluation_id: str) -> None:
        """Start the evaluation's workflow; a second call changes nothing. The evaluation is stored and has been
        promised: one that cannot be started now is started when the engine is tended."""
        try:
            await self._on_loop(self._start(evaluation_id))
        except Exception as error:
            log.error("a job starts later", evaluation_id=evaluation_id, **_without_text(error))  # noqa: TRY400

    async def _start(self, evaluation_id: str) -> None:
        from dbos import DBOS, SetWorkflowID

        with SetWorkflowID(evaluation_id):
            await DBOS.start_workflow_async(self._evaluation, evaluation_id)

    async def resume(self, evaluation_id: str) -> None:
        """Start the job anew once no workflow of the evaluation is active; what cannot be done now is done when
        the engine is tended."""
        try:
            await self._on_loop(self._resume(evaluation_id))
        except Exception as error:
            log.error("a job is taken up later", evaluation_id=evaluation_id, **_without_text(error))  # noqa: TRY400

    async def _resume(self, evaluation_id: str) -> None:
        if await self._revive(evaluation_id, given_up=True) or evaluation_id in self._resuming:
            return
        self._resuming[evaluation_id] = asyncio.create_task(self._resume_later(evaluation_id), name="engine-resume")

    async def _resume_later(self, evaluation_id: str) -> None:
        """A job may be just ending, and not see what is to do since: ask again, ever more seldom."""
        pause = RESUMED_AFTER
        try:
            while evaluation_id in await self._ready_job.unfinished() and not await self._revive(
                evaluation_id, given_up=True
            ):
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.tend_seconds)
        except Exception as error:
            log.error("a job is taken up later", evaluation_id=evaluation_id, **_without_text(error))  # noqa: TRY400
        finally:
            self._resuming.pop(evaluation_id, None)

    async def cancel(self, evaluation_id: str) -> None:
        """Cancel the evaluation's workflow and its chunks; running ones stop within about a second."""
        await self._on_loop(self._cancel(evaluation_id))

    async def _cancel(self, evaluation_id: str) -> None:
        from dbos import DBOS

        await DBOS.cancel_workflow_async(evaluation_id, cancel_children=True)

    async def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None, "launch() comes first"
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def close(self) -> None:
        """Stop taking work and end the thread; what is unfinished goes on at the next start. Idempotent."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None or not thread.is_alive():
            return
        self._closing = True
        logging.getLogger("dbos").setLevel(logging.CRITICAL)
        asyncio.run_coroutine_threadsafe(self._stop_work(), loop).result(timeout=30)
        from dbos import DBOS

        DBOS.destroy(workflow_completion_timeout_sec=0, destroy_registry=True)
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        self._loop = self._thread = None

    async def _stop_work(self) -> None:
        """Interrupt the running chunks, whose finished results are stored by the job's own closing."""
        tasks: list[asyncio.Task[Any]] = [*self._steps, *self._resuming.values()]
        if self._tending is not None:
            tasks.append(self._tending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close_job()


def _without_text(error: Exception) -> dict[str, str]:
    """An error for the log without its text, which may hold users' data."""
    return {"error": type(error).__name__, "traceback": "".join(traceback.format_tb(error.__traceback__))}


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    """The library logs a traceback for each chunk of a cancelled evaluation: cancelling is no fault."""
    from dbos._error import DBOSAwaitedWorkflowCancelledError, DBOSWorkflowCancelledError

    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, DBOSAwaitedWorkflowCancelledError | DBOSWorkflowCancelledError)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _use_wal(database_url: str) -> None:
    """Set the write-ahead log on an SQLite file, which the library does not do; it stays set in the file."""
    if not database_url.startswith("sqlite:///"):
        return
    import sqlite3

    connection = sqlite3.connect(database_url.removeprefix("sqlite:///"))
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
