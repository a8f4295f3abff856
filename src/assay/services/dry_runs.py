"""Dry runs: a custom function tried on a few rows before anything is stored."""

import asyncio
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from assay.core.errors import InvalidInput, Problem
from assay.core.locators import PREFIX, MissingValue, parse_locator
from assay.core.results import ErrorType, Outcome
from assay.core.tasks import TaskSpec
from assay.registry.task_types import Services, TaskType
from assay.services.planning import RunnableTask, compile_tasks, read_configuration

MAX_ROWS = 100
TOTAL_SECONDS = 30.0
TASK_TYPES = ("custom_function",)


class DryRuns:
    """Runs a task on sample rows and stores nothing."""

    def __init__(self, task_types: Mapping[str, TaskType], services: Services) -> None:
        self._task_types = task_types
        self._services = services

    async def run(self, task_type: str, configuration: Any, sample_data: Sequence[Any]) -> list[Outcome]:
        """The outcome for each row, in order. 10 seconds a row, 30 for all together.

        Raises InvalidInput when the task type has no dry run, the configuration is wrong or the rows are not
        at most 100 objects. A row that fails is an outcome with an error.
        """
        task = self._compiled(task_type, configuration, sample_data)
        runs = [asyncio.ensure_future(self._run_row(task, row)) for row in sample_data]
        if not runs:
            return []
        try:
            await asyncio.wait(runs, timeout=TOTAL_SECONDS)
            late = Outcome.failed(
                ErrorType.TIMEOUT, f"not finished within the {TOTAL_SECONDS:g} seconds for all rows together"
            )
            return [run.result() if run.done() else late for run in runs]
        finally:
            for run in runs:
                run.cancel()

    def _compiled(self, name: str, configuration: Any, sample_data: Sequence[Any]) -> RunnableTask:
        if name not in TASK_TYPES or name not in self._task_types:
            offered = ", ".join(TASK_TYPES)
            message = f"there is no dry run of {name[:100]!r}; there is one of: {offered}"
            raise InvalidInput.at(("body", "task_type"), message, type="unsupported_task_type")
        if len(sample_data) > MAX_ROWS:
            message = f"{len(sample_data)} rows; at most {MAX_ROWS}"
            raise InvalidInput.at(("body", "sample_data"), message, type="too_long")
        for index, row in enumerate(sample_data):
            if not isinstance(row, Mapping):
                raise InvalidInput.at(("body", "sample_data", index), "a row must be an object", type="dict_type")
        problems: list[Problem] = []
        task_type = self._task_types[name]
        clean = read_configuration(("body", "configuration"), configuration, task_type, self._services, problems)
        if clean is None:
            raise InvalidInput(problems)
        return self._bound(TaskSpec(name, "dry_run", clean), task_type, sample_data, problems)

    def _bound(
        self, spec: TaskSpec, task_type: TaskType, rows: Sequence[Mapping[str, Any]], problems: list[Problem]
    ) -> RunnableTask:
        """Compile against the rows' columns. A column that no row has is an error of each row, not of the call."""
        columns = {column for row in rows for column in row}
        for loc, value in task_type.required_locators(spec.configuration):
            if value.startswith(PREFIX) and len(value) > len(PREFIX):
                if parse_locator(value, columns) is None:
                    columns.add(value[len(PREFIX) :])
            else:
                message = f"must be a locator such as 'item.<column>', not {value[:100]!r}"
                problems.append(Problem(("body", "configuration", *loc), message, "unknown_locator"))
        if problems:
            raise InvalidInput(problems)
        (task,) = compile_tasks([spec], columns, self._task_types)
        return task

    async def _run_row(self, task: RunnableTask, row: Mapping[str, Any]) -> Outcome:
        try:
            outcome = task.task_type.run(task.resolve(row), self._services)
        except MissingValue as missing:
            return Outcome.failed(ErrorType.MISSING_FIELD, str(missing))
        return await outcome if inspect.isawaitable(outcome) else outcome
