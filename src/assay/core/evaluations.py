"""Evaluations and their items: a named set of rows and the tasks run on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from assay.core.datasets import Dataset
from assay.core.identity import Identity
from assay.core.results import Result, ResultStatus
from assay.core.tasks import TaskSpec


class EvaluationStatus(StrEnum):
    """The state of an evaluation's job. A cancelled evaluation is `failed`, with the reason beside it."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """Counters of items: each is 0 or more and total = successful + failed + pending.

    An item is failed when at least one of its tasks errored. `errors` counts (item, task) errors.
    """

    total: int = 0
    successful: int = 0
    failed: int = 0
    errors: int = 0

    @property
    def pending(self) -> int:
        """Items not yet finished."""
        return self.total - self.successful - self.failed


@dataclass(frozen=True, slots=True)
class AnnotationProgress:
    """How much of people's work on an evaluation is done: annotation tasks, answers and audits alike. `queues` are the
    names of the queues in which some is left. `pending` tasks wait for people, or for what they are about."""

    total: int
    completed: int
    queues: tuple[str, ...] = ()

    @property
    def pending(self) -> int:
        """Tasks that are not done."""
        return self.total - self.completed

    @property
    def waiting(self) -> str | None:
        """What is still waiting for people, in words; None when nothing is."""
        if not self.pending:
            return None
        named = ", ".join(self.queues[:5]) + (" and others" if len(self.queues) > 5 else "")
        return f"{self.pending} of {self.total} annotation tasks wait for people (queues: {named})"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation. `seq` orders by insertion. `has_job` says whether any task needs execution.

    `datasets` is filled on reads that show it, and so is `annotation`, where people are asked. `column_names` are the
    union of the rows' keys, in first-seen order. `taxonomy` is the caller's document, stored as given.
    """

    id: str
    seq: int
    account_id: str
    name: str
    description: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any] | None
    tasks: tuple[TaskSpec, ...]
    status: EvaluationStatus
    status_reason: str | None
    progress: Progress
    has_job: bool
    created_at: datetime
    created_by: Identity
    updated_at: datetime
    archived_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    datasets: tuple[Dataset, ...] = ()
    column_names: tuple[str, ...] = ()
    taxonomy: Mapping[str, Any] | None = None
    skip_prefilled_rows: bool = False
    annotation: AnnotationProgress | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A row of an evaluation. `results` holds its stored results by alias on reads that show them."""

    id: str
    seq: int
    evaluation_id: str
    evaluation_seq: int
    data: Mapping[str, Any]
    files: Mapping[str, str] | None
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None = None
    dataset_item_id: str | None = None
    dataset_item_version_num: int | None = None
    results: Mapping[str, Result] = field(default_factory=dict)

    @property
    def merged(self) -> dict[str, Any]:
        """The row's data with results laid over it under their aliases; errored and skipped ones are left out."""
        values = dict(self.data)
        for alias, result in self.results.items():
            if result.status is ResultStatus.COMPLETED or result.status is ResultStatus.PREFILLED:
                values[alias] = result.value
            else:
                values.pop(alias, None)
        return values
