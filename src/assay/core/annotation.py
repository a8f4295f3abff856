"""Annotation tasks: pieces of people's work on items, and the rules by which they change state.

The tasks of one item in one queue belong together, and rules look at all of them. Each of the `overlap` answers that
an item wants is a task of level 0, told apart by `slot`; each answer is looked at by an audit of level 1 and perhaps
of level 2, which are tasks of the same slot.

    answer (level 0)   NOT_READY -> PENDING -> COMPLETED -> PENDING_REDO -> COMPLETED
    audit (level 1, 2) NOT_READY -> PENDING -> COMPLETED (approved) | FIXED (answers were changed)
                       and back to NOT_READY when the answer is sent back

An answer is NOT_READY while it shows what the engine has yet to make. An audit is PENDING once what it looks at is
done: the answer, and at level 2 the audit of level 1.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from assay.core.errors import Forbidden, RuleViolation

DEFAULT_QUEUE = "default"
HIGHEST_LEVEL = 2


class AnnotationKind(StrEnum):
    """Whose work a task is: an answer or an audit, for an evaluation with a question set or for contributor tasks."""

    EVALUATION_ANNOTATION = "EVALUATION_ANNOTATION"
    EVALUATION_AUDIT = "EVALUATION_AUDIT"
    CONTRIBUTOR_ANNOTATION = "CONTRIBUTOR_ANNOTATION"
    CONTRIBUTOR_AUDIT = "CONTRIBUTOR_AUDIT"

    @property
    def is_audit(self) -> bool:
        """Whether it looks at another's answer."""
        return self in (AnnotationKind.EVALUATION_AUDIT, AnnotationKind.CONTRIBUTOR_AUDIT)

    @property
    def audit(self) -> "AnnotationKind":
        """The kind of the audits of such answers."""
        contributor = self in (AnnotationKind.CONTRIBUTOR_ANNOTATION, AnnotationKind.CONTRIBUTOR_AUDIT)
        return AnnotationKind.CONTRIBUTOR_AUDIT if contributor else AnnotationKind.EVALUATION_AUDIT


class AnnotationStatus(StrEnum):
    """The state of a task."""

    NOT_READY = "NOT_READY"
    PENDING = "PENDING"
    PENDING_REDO = "PENDING_REDO"
    COMPLETED = "COMPLETED"
    FIXED = "FIXED"


OPEN = frozenset((AnnotationStatus.PENDING, AnnotationStatus.PENDING_REDO))
"""The states in which somebody may take a task."""
DONE = frozenset((AnnotationStatus.COMPLETED, AnnotationStatus.FIXED))


class Verdict(StrEnum):
    """What an audit says of an answer."""

    APPROVE = "approve"
    FIX = "fix"
    REDO = "redo"


@dataclass(frozen=True, slots=True)
class AnnotationTask:
    """One piece of work. `slot` counts the answers to an item from 0; `level` is 0 for an answer, 1 or 2 for an audit.

    `assigned_to` is an identity's id: who did it, once it is done; before, who has it. A task that is `reserved` is
    theirs until it is assigned anew; any other only while the lease lasts (`lease_until`), and then until somebody
    else takes it. `answers` are what this task's worker said: all answers at level 0 (a draft, while it is open), the
    changed ones in an audit that fixed some. `archived` hides the task with its evaluation; when that was last changed,
    `evaluation_updated_at`, tells whether what is known of it still holds.
    """

    id: str
    seq: int
    account_id: str
    evaluation_id: str
    evaluation_seq: int
    item_id: str
    item_seq: int
    queue_id: str
    kind: AnnotationKind
    status: AnnotationStatus
    updated_at: datetime
    slot: int = 0
    level: int = 0
    priority: int = 0
    assigned_to: str | None = None
    reserved: bool = False
    lease_until: datetime | None = None
    completed_at: datetime | None = None
    duration_seconds: int | None = None
    flagged: bool | None = None
    comment: str | None = None
    answers: Mapping[str, Any] | None = None
    archived: bool = False
    evaluation_updated_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether its state lets somebody take it."""
        return self.status in OPEN

    @property
    def is_done(self) -> bool:
        """Whether its work is finished, until it is sent back."""
        return self.status in DONE


@dataclass(frozen=True, slots=True)
class Work:
    """What somebody says with an answer or an audit; None: says nothing of it, and what was said stays."""

    by: str
    at: datetime
    answers: Mapping[str, Any] | None = None
    duration_seconds: int | None = None
    flagged: bool | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Queueing:
    """How an evaluation's items are put before people: `overlap` answers an item, each with `audit_levels` audits."""

    kind: AnnotationKind
    queue_id: str = DEFAULT_QUEUE
    overlap: int = 1
    audit_levels: int = 0
    priority: int = 0
    ready: bool = True

    def places(self) -> Iterable[tuple[AnnotationKind, int, int, AnnotationStatus]]:
        """(kind, slot, level, status) of each task of an item, answers first."""
        status = AnnotationStatus.PENDING if self.ready else AnnotationStatus.NOT_READY
        for slot in range(self.overlap):
            yield self.kind, slot, 0, status
        for slot in range(self.overlap):
            for level in range(1, self.audit_levels + 1):
                yield self.kind.audit, slot, level, AnnotationStatus.NOT_READY


Tasks = Sequence[AnnotationTask]
"""All tasks of one item in one queue."""


def may_work(task: AnnotationTask, tasks: Tasks, identity_id: str) -> str | None:
    """Why somebody may not do a task, in words; None when they may.

    Nobody answers an item twice, nor answers one that they have audited (they have seen others' answers), nor audits
    one that they have answered, nor audits at two levels.
    """
    theirs = [each for each in tasks if each.id != task.id and each.assigned_to == identity_id]
    if task.level == 0 and any(each.level == 0 for each in theirs):
        return f"{identity_id} has another task of this item: an item's answers come from different people"
    if any(each.level == 0 for each in theirs):
        return f"{identity_id} has answered this item: an answer and its audit come from different people"
    if any(each.level != task.level for each in theirs):
        return f"{identity_id} has audited this item already"
    return None


def check_holder(task: AnnotationTask, identity_id: str) -> None:
    """Raise Forbidden unless somebody has an open task, or nobody took it since their lease ended."""
    if not task.is_open:
        raise RuleViolation(f"the task is {task.status}, not open: {task.id}")
    if task.assigned_to is None:
        raise Forbidden(f"nobody has this task; claim it first: {task.id}")
    if task.assigned_to != identity_id:
        raise Forbidden(f"somebody else has this task: {task.id}")


def leased(task: AnnotationTask, identity_id: str, until: datetime, at: datetime) -> AnnotationTask:
    """The task, held by somebody until a time."""
    return replace(task, assigned_to=identity_id, lease_until=until, updated_at=at)


def released(task: AnnotationTask, at: datetime) -> AnnotationTask:
    """The task, given back: to everybody, or, reserved, to the one it is reserved for."""
    holder = task.assigned_to if task.reserved else None
    return replace(task, assigned_to=holder, lease_until=None, updated_at=at)


def assigned(task: AnnotationTask, tasks: Tasks, identity_id: str | None, at: datetime) -> AnnotationTask:
    """The task, reserved for somebody, or (None) for nobody. Raises RuleViolation for one that is done, and for
    somebody who may not do it."""
    if task.is_done:
        raise RuleViolation(f"the task is {task.status} and cannot be reassigned: {task.id}")
    if identity_id is not None and (problem := may_work(task, tasks, identity_id)) is not None:
        raise RuleViolation(f"{task.id}: {problem}")
    lease = task.lease_until if identity_id == task.assigned_to else None
    return replace(task, assigned_to=identity_id, reserved=identity_id is not None, lease_until=lease, updated_at=at)


def drafted(task: AnnotationTask, work: Work) -> AnnotationTask:
    """An open answer task with what was said so far; it stays open."""
    return _with_work(task, work)


def answered(task: AnnotationTask, tasks: Tasks, work: Work) -> list[AnnotationTask]:
    """The tasks that change when an answer is given: it is done by whoever gave it, and its first audit is ready."""
    if not task.is_open:
        raise RuleViolation(f"the task is {task.status}, not open: {task.id}")
    done = _finished(task, work, AnnotationStatus.COMPLETED)
    return [done, *_now_ready(done, tasks, work.at)]


def audited(task: AnnotationTask, tasks: Tasks, verdict: Verdict, work: Work) -> list[AnnotationTask]:
    """The tasks that change with an audit's verdict. `work.answers` are the changed answers of a fix."""
    if not task.is_open:
        raise RuleViolation(f"the task is {task.status}, not open: {task.id}")
    subject = subject_of(task, tasks)
    if verdict is Verdict.REDO:
        return sent_back(subject, tasks, work.at, comment=work.comment)
    fixes = verdict is Verdict.FIX
    status = AnnotationStatus.FIXED if fixes else AnnotationStatus.COMPLETED
    done = replace(_finished(task, work, status), answers=work.answers if fixes else None)
    return [done, *_now_ready(done, tasks, work.at)]


def sent_back(task: AnnotationTask, tasks: Tasks, at: datetime, *, comment: str | None = None) -> list[AnnotationTask]:
    """The tasks that change when an answer is to be done again: it waits for the one who gave it, who finds it as
    they left it, and its audits wait for it. Raises RuleViolation unless it is done."""
    if task.level != 0:
        raise RuleViolation(f"an audit cannot be done again, only the answer that it looks at: {task.id}")
    if not task.is_done:
        raise RuleViolation(f"the task is {task.status}: there is no answer yet to be done again: {task.id}")
    again = replace(
        task,
        status=AnnotationStatus.PENDING_REDO,
        reserved=True,
        lease_until=None,
        completed_at=None,
        updated_at=at,
        comment=task.comment if comment is None else comment,
    )
    return [again, *(_waiting(each, at) for each in _audits(task, tasks))]


def reinstated(task: AnnotationTask, tasks: Tasks, at: datetime) -> list[AnnotationTask]:
    """The tasks that change when an answer that is there counts as done, or an open audit approves, without its worker.

    Raises RuleViolation for an answer task without answers, and for an audit that is not open.
    """
    if task.is_done:
        return []
    if not task.is_open or (task.level == 0 and (task.answers is None or task.assigned_to is None)):
        raise RuleViolation(f"the task has no answer that could be taken as complete: {task.id}")
    if task.level and task.assigned_to is None:
        raise RuleViolation(f"the audit is nobody's; assign it first: {task.id}")
    assert task.assigned_to is not None
    done = _finished(task, Work(task.assigned_to, at), AnnotationStatus.COMPLETED)
    return [done, *_now_ready(done, tasks, at)]


def due(tasks: Tasks, at: datetime) -> list[AnnotationTask]:
    """The audits that were added late and can begin at once: what they look at is done already."""
    done = {(each.kind.audit, each.slot, each.level + 1) for each in tasks if each.is_done}
    return [
        replace(each, status=AnnotationStatus.PENDING, updated_at=at)
        for each in tasks
        if each.level and each.status is AnnotationStatus.NOT_READY and (each.kind, each.slot, each.level) in done
    ]


def may_see(tasks: Tasks, identity_id: str) -> bool:
    """Whether somebody may see the answers to an item: they have given theirs, or audit it, or all are in. Who could
    still answer is to do so without knowing what others said."""
    theirs = [each for each in tasks if each.assigned_to == identity_id]
    return any(each.level or each.is_done for each in theirs) or all_answered(tasks)


def subject_of(audit: AnnotationTask, tasks: Tasks) -> AnnotationTask:
    """The answer that an audit looks at."""
    return next(each for each in tasks if each.level == 0 and each.slot == audit.slot and each.kind.audit == audit.kind)


def answers_of(task: AnnotationTask, tasks: Tasks) -> dict[str, Any]:
    """The answers of an answer task as they stand: what the worker said, with what audits have changed laid over."""
    said = dict(task.answers or {})
    for each in _audits(task, tasks):
        if each.status is AnnotationStatus.FIXED:
            said.update(each.answers or {})
    return said


def all_answered(tasks: Tasks) -> bool:
    """Whether every answer that the item wants is in."""
    return all(each.is_done for each in tasks if each.level == 0)


def with_changes(tasks: Tasks, changed: Iterable[AnnotationTask]) -> list[AnnotationTask]:
    """The item's tasks after some changed."""
    by_id = {each.id: each for each in changed}
    return [by_id.get(each.id, each) for each in tasks]


def _audits(task: AnnotationTask, tasks: Tasks) -> list[AnnotationTask]:
    """The audits of an answer, lowest level first."""
    found = [each for each in tasks if each.level and each.slot == task.slot and each.kind == task.kind.audit]
    return sorted(found, key=lambda each: each.level)


def _now_ready(done: AnnotationTask, tasks: Tasks, at: datetime) -> list[AnnotationTask]:
    return [each for each in due(with_changes(tasks, [done]), at) if each.slot == done.slot]


def _waiting(audit: AnnotationTask, at: datetime) -> AnnotationTask:
    return replace(
        audit,
        status=AnnotationStatus.NOT_READY,
        assigned_to=audit.assigned_to if audit.reserved else None,
        lease_until=None,
        completed_at=None,
        answers=None,
        updated_at=at,
    )


def _finished(task: AnnotationTask, work: Work, status: AnnotationStatus) -> AnnotationTask:
    done = _with_work(task, work)
    return replace(done, status=status, assigned_to=work.by, lease_until=None, completed_at=work.at)


def _with_work(task: AnnotationTask, work: Work) -> AnnotationTask:
    return replace(
        task,
        answers=task.answers if work.answers is None else work.answers,
        duration_seconds=task.duration_seconds if work.duration_seconds is None else work.duration_seconds,
        flagged=task.flagged if work.flagged is None else work.flagged,
        comment=task.comment if work.comment is None else work.comment,
        updated_at=work.at,
    )
