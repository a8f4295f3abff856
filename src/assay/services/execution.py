"""Runs an evaluation's job: plans chunks, runs each item's task graph, stores results as they come and
settles the evaluation at the end. Everything here may be repeated after a crash and then does what is left."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import structlog

from assay.core.application_spans import SpanPlace, place_spans
from assay.core.errors import Unavailable
from assay.core.evaluations import Evaluation, EvaluationStatus, Item
from assay.core.identity import Identity
from assay.core.locators import MissingValue
from assay.core.model_calls import CallPolicy
from assay.core.results import ErrorType, Outcome, Result, ResultStatus, TaskError
from assay.core.test_case_results import CASE_COLUMNS
from assay.ports.clock import Clock
from assay.ports.engine import Chunk
from assay.ports.storage import Storage, UnitOfWork
from assay.registry.task_types import Services, TaskType
from assay.services.labelling import Labelling
from assay.services.model_calls import Budget, BudgetReached, ModelCalls
from assay.services.planning import RunnableTask, compile_tasks, executed_aliases
from assay.services.result_writer import ResultWriter

log = structlog.get_logger()

T = TypeVar("T")

STOPPED_BY_BUDGET = "Stopped at max_cost"
"""How the reason of an evaluation begins that its budget ended."""

REMEMBERED_EVALUATIONS = 64
"""Compiled evaluations that are kept; a compiled one is some kilobytes."""


@dataclass(frozen=True, slots=True)
class _Running:
    """An evaluation ready to run: its compiled tasks, each after those it waits for, their aliases, what they may
    use, what is left of its budget, if it has one, and whether people answer some of its tasks. `source` is what was
    compiled: an evaluation may get other tasks and columns. `labelled`: its items are counted by their labels, not by
    their results."""

    id: str
    seq: int
    account_id: str
    created_by: Identity
    now: Callable[[], datetime]
    services: Services
    budget: Budget | None
    asks_people: bool
    tasks: tuple[RunnableTask, ...]
    aliases: tuple[str, ...]
    source: tuple[Any, ...] = ()
    labelled: bool = False


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """How an evaluation is split: `largest` items a chunk, but at least `parts` chunks where there are items
    enough for chunks of `smallest`, so that a few workers can share even a small evaluation."""

    largest: int = 256
    smallest: int = 32
    parts: int = 4

    def size(self, items: int) -> int:
        """The chunk size for an evaluation of that many items."""
        return min(max(items // self.parts, self.smallest), self.largest)


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work again while the database is away, for as long as that takes: a job can wait, and an evaluation
    must neither fail nor hang for a connection that broke."""
    pause = 0.1
    while True:
        try:
            return await work()
        except Unavailable as error:
            log.warning("the job waits for the database", cause=error.message)
        await asyncio.sleep(pause)
        pause = min(pause * 2, 5.0)


class Execution:
    """The job of evaluations. Belongs to one event loop, the engine's."""

    def __init__(
        self,
        storage: Storage,
        writer: ResultWriter,
        task_types: Mapping[str, TaskType],
        services: Services,
        clock: Clock,
        *,
        chunk_sizes: ChunkSizes,
        calls: ModelCalls,
    ) -> None:
        self._storage = storage
        self._writer = writer
        self._task_types = task_types
        self._services = services
        self._clock = clock
        self._chunk_sizes = chunk_sizes
        self._calls = calls
        self._labelling = Labelling(storage, task_types, clock)
        self._compiled: dict[str, _Running] = {}

    async def plan(self, evaluation_id: str) -> list[Chunk]:
        """Split the evaluation into chunks: the same ones whenever it is asked. None for an evaluation that
        is gone or no longer running."""
        return await _patiently(lambda: self._plan(evaluation_id))

    async def _plan(self, evaluation_id: str) -> list[Chunk]:
        async with self._storage.read() as unit:
            evaluation = await unit.evaluations.get(None, evaluation_id, include_archived=True)
            if evaluation is None or evaluation.status is not EvaluationStatus.RUNNING:
                return []
            labelled = await unit.application_evaluations.is_labelled(evaluation.seq)
            size = self._chunk_sizes.size(evaluation.progress.total)
            bounds = [] if labelled else await unit.items.bounds(evaluation.seq, size)
        if labelled:
            bounds = await self._labelled_bounds(evaluation)
        if evaluation.started_at is None:
            async with self._storage.write() as unit:
                await unit.evaluations.set_status(
                    evaluation.seq, EvaluationStatus.RUNNING, None, started_at=self._clock.now(), only_if="running"
                )
        return [Chunk(evaluation_id, number, first, last) for number, (first, last) in enumerate(bounds)]

    async def _labelled_bounds(self, evaluation: Evaluation) -> Sequence[tuple[int, int]]:
        """The bounds of the results that wait for the engine, which a builder's job makes first."""
        await self._labelling.generate(evaluation)
        async with self._storage.read() as unit:
            waiting = await unit.test_case_results.count_waiting(evaluation.seq)
            return await unit.test_case_results.waiting_bounds(evaluation.seq, self._chunk_sizes.size(waiting))

    async def run_chunk(self, chunk: Chunk) -> None:
        """Run what the chunk's items still lack. Returns when every result is durable."""
        found = await _patiently(lambda: self._read(chunk))
        if found is None:
            return
        running, evaluation, items = found
        todo = [item for item in items if any(alias not in item.results for alias in running.aliases)]
        runs = [asyncio.ensure_future(self._run_item(running, item)) for item in todo]
        try:
            await asyncio.gather(*runs)
        finally:
            for run in runs:
                run.cancel()
        await self._writer.flushed(running.seq)
        if running.labelled:
            await _patiently(lambda: self._labelling.label(evaluation, chunk.first_seq, chunk.last_seq))
        elif running.asks_people:
            await _patiently(lambda: self._make_ready(running, chunk))
        budget = running.budget
        if budget is not None and budget.reached:
            await _patiently(lambda: self._stop(chunk.evaluation_id, running, budget))

    async def _stop(self, evaluation_id: str, running: _Running, budget: Budget) -> None:
        """End an evaluation whose next call does not fit into its budget; what it has stays, and it can be resumed."""
        self._compiled.pop(evaluation_id, None)
        reason = f"{STOPPED_BY_BUDGET} {budget.max_cost:g}: its calls cost {budget.spent:.4g} US dollars so far"
        async with self._storage.write() as unit:
            await unit.evaluations.set_status(
                running.seq,
                EvaluationStatus.FAILED,
                reason,
                finished_at=self._clock.now(),
                only_if=EvaluationStatus.RUNNING,
            )

    async def _read(self, chunk: Chunk) -> tuple[_Running, Evaluation, Sequence[Item]] | None:
        """The chunk's items that may have something to do and their evaluation, ready; None when that is gone or no
        longer running."""
        async with self._storage.read() as unit:
            evaluation = await unit.evaluations.get(None, chunk.evaluation_id, include_archived=True)
            if evaluation is None or evaluation.status is not EvaluationStatus.RUNNING:
                return None
            labelled = await unit.application_evaluations.is_labelled(evaluation.seq)
            running = await self._running(unit, evaluation, labelled=labelled)
            items = await unit.items.range(evaluation.seq, chunk.first_seq, chunk.last_seq)
            if labelled:
                results = await unit.test_case_results.waiting(evaluation, chunk.first_seq, chunk.last_seq)
                waiting = {result.seq for result in results}
                items = [item for item in items if item.seq in waiting]
            return running, evaluation, items

    async def _make_ready(self, running: _Running, chunk: Chunk) -> None:
        """Let people begin with the chunk's items, whose results they may want to see."""
        async with self._storage.write() as unit:
            await unit.annotation_tasks.make_ready(
                running.seq, self._clock.now(), first_item=chunk.first_seq, last_item=chunk.last_seq
            )

    async def finish(self, evaluation_id: str, failure: str | None) -> None:
        """Settle the evaluation when nothing of it is pending, or at once when the job itself failed.

        Counts the stored rows once more, so the final counters are what is there. `failed` when the job
        failed or every task failed on every item; otherwise `completed`, with the errors counted.
        """
        await _patiently(lambda: self._finish(evaluation_id, failure))

    async def _finish(self, evaluation_id: str, failure: str | None) -> None:
        async with self._storage.read() as unit:
            evaluation = await unit.evaluations.get(None, evaluation_id, include_archived=True)
            labelled = evaluation is not None and await unit.application_evaluations.is_labelled(evaluation.seq)
        if evaluation is None or evaluation.status is not EvaluationStatus.RUNNING:
            return
        if labelled:
            await self._labelling.finish(evaluation, failure)
            return
        if failure is None and evaluation.progress.pending > 0:
            return
        aliases = executed_aliases(evaluation, self._task_types)
        async with self._storage.write() as unit:
            await unit.evaluations.recount(evaluation.seq, aliases)
            counted = await unit.evaluations.get(None, evaluation_id, include_archived=True)
            if counted is None or (failure is None and counted.progress.pending > 0):
                return
            status, reason = _verdict(counted, len(aliases), failure)
            await unit.evaluations.set_status(
                counted.seq, status, reason, finished_at=self._clock.now(), only_if=EvaluationStatus.RUNNING
            )
            if len(aliases) < len(counted.tasks):
                await unit.annotation_tasks.make_ready(counted.seq, self._clock.now())
        self._compiled.pop(evaluation_id, None)

    async def unfinished(self) -> list[str]:
        """The ids of the evaluations in any account that are not settled."""
        async with self._storage.read() as unit:
            return [evaluation.id for evaluation in await unit.evaluations.list_running()]

    async def _running(self, unit: UnitOfWork, evaluation: Evaluation, *, labelled: bool = False) -> _Running:
        columns = tuple(dict.fromkeys((*evaluation.column_names, *(CASE_COLUMNS if labelled else ()))))
        found = self._compiled.get(evaluation.id)
        if found is None or found.source != (evaluation.tasks, columns):
            policy = await unit.model_calls.policy(evaluation.seq)
            budget = None
            if policy.max_cost is not None:
                budget = Budget(policy.max_cost, await unit.model_calls.spent(evaluation.seq))
            quicker = self._compiled.get(evaluation.id)
            if quicker is not None and quicker.source == (evaluation.tasks, columns):
                return quicker  # another chunk was quicker, and a budget is shared
            found = self._compile(evaluation, columns, policy, budget, labelled=labelled)
            while len(self._compiled) >= REMEMBERED_EVALUATIONS:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[evaluation.id] = found
        return found

    def _compile(
        self,
        evaluation: Evaluation,
        columns: tuple[str, ...],
        policy: CallPolicy,
        budget: Budget | None,
        *,
        labelled: bool,
    ) -> _Running:
        tasks = compile_tasks(evaluation.tasks, columns, self._task_types)
        models = self._calls.within(evaluation.account_id, policy, budget)
        return _Running(
            evaluation.id,
            evaluation.seq,
            evaluation.account_id,
            evaluation.created_by,
            self._clock.now,
            replace(self._services, models=models),
            budget,
            len(tasks) < len(evaluation.tasks),
            tasks,
            tuple(task.alias for task in tasks),
            (evaluation.tasks, columns),
            labelled,
        )

    async def _run_item(self, running: _Running, item: Item) -> None:
        state = _ItemState(running, item)
        waiting: dict[asyncio.Future[Outcome | None], RunnableTask] = {}
        try:
            while True:
                begun = self._begin_ready(running, state)
                if not begun and not waiting:
                    return
                if not waiting and len(begun) == 1:
                    # The usual case, one call at a time: no future of its own for it.
                    ((task, outcome),) = begun
                    self._settle(running, state, task, await _outcome_of(task, outcome))
                    continue
                for task, outcome in begun:
                    waiting[asyncio.ensure_future(_outcome_of(task, outcome))] = task
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for future in done:
                    self._settle(running, state, waiting.pop(future), future.result())
        finally:
            for future in waiting:
                future.cancel()

    def _settle(self, running: _Running, state: "_ItemState", task: RunnableTask, outcome: Outcome | None) -> None:
        """Store an outcome; without one, the budget was reached: the task waits for another run, and with it all
        that wait for it, while what was paid for is stored."""
        if outcome is not None:
            self._store(running, state, state.settle(task, outcome))

    def _begin_ready(self, running: _Running, state: "_ItemState") -> list[tuple[RunnableTask, Awaitable[Outcome]]]:
        """Begin every task that can run, and those that can then; returns the ones that need waiting."""
        begun: list[tuple[RunnableTask, Awaitable[Outcome]]] = []
        fresh: list[Result] = []
        while (task := state.next_ready()) is not None:
            outcome = self._begin(running, task, state)
            if isinstance(outcome, Outcome):
                fresh.extend(state.settle(task, outcome))
            else:
                begun.append((task, outcome))
        if fresh:
            self._store(running, state, fresh)
        return begun

    def _begin(self, running: _Running, task: RunnableTask, state: "_ItemState") -> Outcome | Awaitable[Outcome]:
        """Start a task on an item: its outcome when it needs no waiting, else something to wait for."""
        broken = state.broken_upstream(task)
        if broken is not None:
            return Outcome.failed(ErrorType.UPSTREAM_ERROR, f"the task {broken!r}, which this one reads, failed")
        try:
            return task.task_type.run(task.resolve(state.values), running.services)
        except MissingValue as missing:
            skips = getattr(task.task_type, "skips_missing", None)
            if skips is not None and skips(task.spec.configuration):
                return Outcome(skipped=True)
            return Outcome.failed(ErrorType.MISSING_FIELD, str(missing))
        except Exception as error:
            return _unexpected(task, error)

    def _store(self, running: _Running, state: "_ItemState", results: Sequence[Result]) -> None:
        finished = state.finished and not running.labelled
        self._writer.add(running.seq, results, aliases=running.aliases, finished=finished, failed=state.failed)


class _ItemState:
    """One item while its tasks run: its values so far, and what is still to do."""

    __slots__ = ("_errored", "_id", "_left", "_missing", "_seq", "_stored", "failed", "running", "values")

    def __init__(self, running: _Running, item: Item) -> None:
        self.running = running
        self.values = item.merged
        self._id = item.id
        self._seq = item.seq
        self._stored = set(item.results)
        self._errored = {alias for alias, result in item.results.items() if result.status is ResultStatus.ERRORED}
        self.failed = bool(self._errored)
        for alias, result in item.results.items():
            if result.status is ResultStatus.SKIPPED:
                self.values[alias] = None
        self._left = [task for task in running.tasks if task.alias not in self._stored]
        self._missing = len(self._left)

    @property
    def finished(self) -> bool:
        """Whether every task has its result."""
        return self._missing == 0

    def next_ready(self) -> RunnableTask | None:
        """A task that waits for nothing any more; it counts as begun."""
        for index, task in enumerate(self._left):
            if self._stored.issuperset(task.waits_for):
                return self._left.pop(index)
        return None

    def broken_upstream(self, task: RunnableTask) -> str | None:
        """The alias of a failed task that this one reads, if any."""
        return next((alias for alias in task.waits_for if alias in self._errored), None)

    def settle(self, task: RunnableTask, outcome: Outcome) -> list[Result]:
        """The results of an outcome, which also become the item's values."""
        result = self._result(task.alias, outcome, outcome.value, outcome.usage)
        results = [self._traced(result, outcome) if outcome.spans else result]
        results.extend(self._result(column, outcome, outcome.columns.get(column), None) for column in task.writes[1:])
        self._missing -= 1
        for result in results:
            self._stored.add(result.alias)
            if result.status is ResultStatus.ERRORED:
                self.failed = True
                self._errored.add(result.alias)
                self.values.pop(result.alias, None)
            else:
                self.values[result.alias] = result.value
        return results

    def _traced(self, result: Result, outcome: Outcome) -> Result:
        """The result with its trace, whose id is in the detail. Ids come from where the trace belongs, so that a
        task that is run again after a crash tells the same spans."""
        running = self.running
        place = SpanPlace(running.id, self._id, result.alias, running.account_id, running.created_by, running.now())
        detail = {**(result.detail or {}), "trace_id": place.trace_id}
        spans = place_spans(outcome.spans, place)
        if running.labelled:
            spans = tuple(replace(span, application_interaction_id=place.trace_id) for span in spans)
        return replace(result, detail=detail, spans=spans)

    def _result(self, alias: str, outcome: Outcome, value: Any, usage: Any) -> Result:
        return Result(
            self.running.seq,
            self._seq,
            alias,
            _status(outcome),
            None if outcome.error is not None or outcome.skipped else value,
            outcome.error,
            usage,
            outcome.detail if usage is outcome.usage else None,
        )


def _status(outcome: Outcome) -> ResultStatus:
    if outcome.error is not None:
        return ResultStatus.ERRORED
    return ResultStatus.SKIPPED if outcome.skipped else ResultStatus.COMPLETED


async def _outcome_of(task: RunnableTask, outcome: Awaitable[Outcome]) -> Outcome | None:
    """The outcome; None when the budget did not allow a call that it needs."""
    try:
        return await outcome
    except BudgetReached:
        return None
    except Exception as error:
        return _unexpected(task, error)
    except asyncio.CancelledError as error:
        current = asyncio.current_task()
        if current is None or current.cancelling():
            raise
        return _unexpected(task, error)  # something that the task waited for was cancelled, not the task


def _unexpected(task: RunnableTask, error: BaseException) -> Outcome:
    """A fault of ours, or of a task type, on one item: said without the item's text, logged without it too."""
    log.error("task raised", task_type=task.spec.task_type, alias=task.alias, error=type(error).__name__)
    return Outcome(error=TaskError(ErrorType.INTERNAL_ERROR, f"{task.spec.task_type} raised {type(error).__name__}"))


def _verdict(evaluation: Evaluation, tasks: int, failure: str | None) -> tuple[EvaluationStatus, str | None]:
    if failure is not None:
        return EvaluationStatus.FAILED, failure
    progress = evaluation.progress
    if progress.total and progress.errors >= progress.total * tasks:
        return EvaluationStatus.FAILED, "every task failed on every item; see the items' task_errors"
    if progress.errors:
        return EvaluationStatus.COMPLETED, f"{progress.failed} of {progress.total} items have a task that failed"
    return EvaluationStatus.COMPLETED, None
