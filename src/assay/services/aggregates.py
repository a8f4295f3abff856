"""An evaluation in numbers that hide nothing: what failed, was skipped or is missing stands beside the mean."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.core.errors import NotFound
from assay.core.evaluations import Evaluation
from assay.core.identity import Caller
from assay.core.model_calls import CallPolicy
from assay.core.results import ResultStatus
from assay.ports.clock import Clock
from assay.ports.storage import ResultTotals, Storage
from assay.registry.task_types import TaskType
from assay.stats.intervals import Interval, mean_interval

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class TaskAggregate:
    """One alias in numbers.

    `totals` are figures over stored results. Of the evaluation's items, `pending` have no result yet;
    `missing` have no value: pending, skipped or errored. `interval` is the mean's at 95 %, `std` the sample's
    standard deviation; both are None where the numbers do not allow one. `shares` are the intervals of the
    shares that texts and truths have among the values of these kinds, such as the choices of a judge.
    """

    task_type: str
    totals: ResultTotals
    pending: int
    skipped: int
    errored: int
    completed: int
    interval: Interval | None
    std: float | None
    shares: Mapping[str, Interval] | None = None

    @property
    def missing(self) -> int:
        """Items without a value."""
        return self.pending + self.skipped + self.errored


@dataclass(frozen=True, slots=True)
class EvaluationAggregates:
    """An evaluation in numbers, its aliases in the order of its tasks. `seconds` is the time from its start to
    its end, or until now; None without a job. `policy` is how it may call models."""

    evaluation: Evaluation
    policy: CallPolicy
    tasks: tuple[TaskAggregate, ...]
    seconds: float | None


class Aggregates:
    """The use case of reading an evaluation in numbers."""

    def __init__(self, storage: Storage, clock: Clock, task_types: Mapping[str, TaskType]) -> None:
        self._storage = storage
        self._clock = clock
        self._task_types = task_types

    async def get(self, caller: Caller, evaluation_id: str, *, include_archived: bool = False) -> EvaluationAggregates:
        """The aggregates of every task of an evaluation, from one consistent snapshot. Raises NotFound."""
        async with self._storage.read() as unit:
            evaluation = await unit.evaluations.get(caller.account_id, evaluation_id, include_archived=include_archived)
            if evaluation is None:
                raise NotFound("evaluation", evaluation_id)
            totals = await unit.results.totals(evaluation.seq)
            policy = await unit.model_calls.policy(evaluation.seq)
        by_alias = {each.alias: each for each in totals}
        tasks = tuple(
            aggregate(task_type, by_alias.get(alias) or ResultTotals(alias, {}), evaluation.progress.total)
            for alias, task_type in self._aliases(evaluation)
        )
        return EvaluationAggregates(evaluation, policy, tasks, self._seconds(evaluation))

    def _aliases(self, evaluation: Evaluation) -> Sequence[tuple[str, str]]:
        """Every column that the tasks write, with the task's type, in the order of the tasks."""
        columns: list[tuple[str, str]] = []
        for task in evaluation.tasks:
            columns.append((task.alias, task.task_type))
            task_type = self._task_types.get(task.task_type)
            if task_type is not None:
                columns.extend((alias, task.task_type) for alias in task_type.output_aliases(task.configuration))
        return columns

    def _seconds(self, evaluation: Evaluation) -> float | None:
        if not evaluation.has_job:
            return None
        end = evaluation.finished_at or self._clock.now()
        return max(0.0, (end - (evaluation.started_at or evaluation.created_at)).total_seconds())


def aggregate(task_type: str, totals: ResultTotals, items: int) -> TaskAggregate:
    """One alias's figures among `items` items."""
    statuses = totals.statuses
    skipped = statuses.get(ResultStatus.SKIPPED, 0)
    errored = statuses.get(ResultStatus.ERRORED, 0)
    completed = statuses.get(ResultStatus.COMPLETED, 0) + statuses.get(ResultStatus.PREFILLED, 0)
    interval = None
    if totals.mean is not None:
        interval = mean_interval(totals.numbers, totals.mean, totals.squares, binary=totals.binary, level=LEVEL)
    std = math.sqrt(max(0.0, totals.squares) / (totals.numbers - 1)) if totals.numbers > 1 else None
    return TaskAggregate(
        task_type=task_type,
        totals=totals,
        pending=max(0, items - completed - skipped - errored),
        skipped=skipped,
        errored=errored,
        completed=completed,
        interval=interval,
        std=std,
        shares=None if totals.values is None else _shares(totals.values),
    )


def _shares(values: Mapping[str, int]) -> dict[str, Interval]:
    """The interval of each value's share of them all."""
    count = sum(values.values())
    found = {value: mean_interval(count, times / count, 0.0, binary=True) for value, times in values.items()}
    return {value: interval for value, interval in found.items() if interval is not None}
