"""Storage of annotation tasks. Conventions as in `ports.storage`; every list of tasks is in the order of their seq."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from assay.core.annotation import AnnotationKind, AnnotationStatus, AnnotationTask, Queueing
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest


@dataclass(frozen=True, slots=True)
class Claiming:
    """A task wanted by somebody: of one kind, in a queue (None: any) of the account or of one evaluation.

    At least one of `queue_id` and `evaluation_seq` is given. The task with the id `passing` is not given.
    """

    account_id: str
    identity_id: str
    kind: AnnotationKind
    at: datetime
    lease_until: datetime
    queue_id: str | None = None
    evaluation_seq: int | None = None
    passing: str | None = None


@dataclass(frozen=True, slots=True)
class AnnotationFilter:
    """Which tasks are listed; None: all. Those of archived evaluations only when asked for."""

    queue_id: str | None = None
    evaluation_id: str | None = None
    status: AnnotationStatus | None = None
    kind: AnnotationKind | None = None
    assigned_to: str | None = None
    include_archived: bool = False


@dataclass(frozen=True, slots=True)
class AnnotationCount:
    """How many tasks of a kind are in a state, in one queue of one evaluation."""

    evaluation_seq: int
    queue_id: str
    kind: AnnotationKind
    status: AnnotationStatus
    count: int


@dataclass(frozen=True, slots=True)
class QueueCount:
    """How many tasks of a kind are in a state, in one queue over all evaluations of an account that are not archived;
    `taken` of them are somebody's."""

    queue_id: str
    kind: AnnotationKind
    status: AnnotationStatus
    count: int
    taken: int


@dataclass(frozen=True, slots=True)
class AnnotationEvent:
    """What somebody did to a task, for good: `action` is a word such as answer, approve, fix, redo, skip."""

    task_seq: int
    action: str
    by: Identity
    at: datetime
    answers: Mapping[str, Any] | None = None
    duration_seconds: int | None = None
    comment: str | None = None


class AnnotationTaskRepository(Protocol):
    """Annotation tasks and what was done to them."""

    async def add(
        self, account_id: str, evaluation_seq: int, item_seqs: Sequence[int], queueing: Queueing, at: datetime
    ) -> int:
        """Queue the tasks of items in order, all first answers before all second ones; how many those are. May be
        called for hundreds of thousands. Tasks that are there already stay as they are."""
        ...

    async def get(self, account_ids: Sequence[str], task_id: str) -> AnnotationTask | None:
        """The task with that id in one of the accounts, of archived evaluations too; nothing is locked."""
        ...

    async def get_many(self, account_ids: Sequence[str], task_ids: Sequence[str]) -> Mapping[str, AnnotationTask]:
        """Those of the tasks by id that are in one of the accounts."""
        ...

    async def of_item(self, item_seq: int, queue_id: str) -> Sequence[AnnotationTask]:
        """All tasks of one item in one queue; in a writing transaction nobody else changes them before it ends."""
        ...

    async def with_id(self, account_ids: Sequence[str], task_id: str) -> Sequence[AnnotationTask]:
        """The same, for the item and the queue of the task with that id in one of the accounts; none when there is
        none. For writing transactions."""
        ...

    async def of_items(self, evaluation_seq: int, item_seqs: Sequence[int]) -> Mapping[int, Sequence[AnnotationTask]]:
        """All tasks of each of the items, by item; items without tasks are absent. Locks nothing."""
        ...

    async def list(self, account_id: str, page: PageRequest, where: AnnotationFilter) -> Page[AnnotationTask]:
        """A page, in order of insertion or of `id`. sort_by: created_at, id."""
        ...

    async def save(self, tasks: Sequence[AnnotationTask]) -> None:
        """Write everything about existing tasks that can change: state, holder, answers."""
        ...

    async def claim(self, claiming: Claiming) -> AnnotationTask | None:
        """Take a task: it is the caller's until the lease ends. None when there is none for them.

        One that the caller holds already is given again, with a new lease. Else the one with the highest priority, of
        those the oldest, that is free, or whose lease has ended, or is reserved for the caller; which the caller has
        not skipped; and which `core.annotation.may_work` allows. Never gives one task to two callers.
        """
        ...

    async def skip(self, task: AnnotationTask, identity_id: str) -> None:
        """Never give this task to somebody again."""
        ...

    async def record(self, events: Sequence[AnnotationEvent]) -> None:
        """Keep what was done."""
        ...

    async def events(self, task_seqs: Sequence[int]) -> Sequence[AnnotationEvent]:
        """What was done to some tasks, oldest first."""
        ...

    async def counts(self, evaluation_seqs: Sequence[int]) -> Sequence[AnnotationCount]:
        """The tasks of evaluations by queue, kind and state."""
        ...

    async def queues(self, account_id: str) -> Sequence[QueueCount]:
        """The tasks of an account by queue, kind and state, in the order of the queues' names."""
        ...

    async def has_begun(self, evaluation_seq: int, kinds: Sequence[AnnotationKind]) -> bool:
        """Whether anybody has taken or done any task of those kinds."""
        ...

    async def remove(self, evaluation_seq: int, kinds: Sequence[AnnotationKind]) -> None:
        """Take an evaluation's tasks of those kinds that nobody has taken or done out of their queues, for good."""
        ...

    async def make_ready(
        self, evaluation_seq: int, at: datetime, *, first_item: int | None = None, last_item: int | None = None
    ) -> int:
        """Make answer tasks PENDING that are NOT_READY, of items in a range of sequence numbers; how many."""
        ...

    async def set_archived(self, evaluation_seqs: Sequence[int], archived: bool) -> None:
        """Hide the tasks of evaluations from claims and lists, or show them again, as they were."""
        ...

    def stream(
        self, evaluation_seq: int, *, kinds: Sequence[AnnotationKind], batch: int = 2000
    ) -> AsyncIterator[Sequence[AnnotationTask]]:
        """The done tasks of those kinds, in batches."""
        ...
