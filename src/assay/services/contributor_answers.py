"""Contributors' answers: reading a task with what it shows and asks, answering, auditing, and the results of it all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.annotation import (
    AnnotationKind,
    AnnotationStatus,
    AnnotationTask,
    Verdict,
    Work,
    answers_of,
    check_holder,
    may_see,
    subject_of,
)
from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.identity import Caller
from assay.core.locators import MissingValue
from assay.core.paging import Page, PageRequest
from assay.core.questions import answer_key
from assay.core.results import Result, ResultStatus
from assay.core.sheets import Sheet
from assay.ports.annotation import AnnotationEvent, AnnotationFilter
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.annotation import (
    AnnotationTasks,
    ClaimRequest,
    Locked,
    found_task,
    give_answer,
    give_verdict,
    keep_draft,
    lock,
    send_back,
)
from assay.services.contributor_sheets import Asking, Sheets

UNSAID = frozenset({"assign", "skip"})
"""Events that are nobody's answer or verdict."""


@dataclass(frozen=True, slots=True)
class Answering:
    """What somebody says about an item: answers by alias, of which null ones count as none. A `draft` is kept and can
    lack what is required."""

    answers: Mapping[str, Any]
    duration_seconds: int | None = None
    flagged: bool | None = None
    comment: str | None = None
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Auditing:
    """What somebody says about another's answers; `answers` are those that a fix changes, by alias."""

    verdict: Verdict
    answers: Mapping[str, Any] | None = None
    duration_seconds: int | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task with what it is about, as its reader may see it.

    `values` are the item's, by column. `prefilled` are the answers that the item brings along. `answers` are this
    task's own, or, of an audit, those that it looks at, as they stand; None when the reader may not see them. `history`
    is what was answered and audited, likewise.
    """

    task: AnnotationTask
    asking: Asking
    values: Mapping[str, Any]
    prefilled: Mapping[str, Any]
    answers: Mapping[str, Any] | None
    history: Sequence[AnnotationEvent]

    def shown(self, data: str) -> tuple[bool, Any]:
        """Whether the item has what a component of a layout points at, and that."""
        locator = self.asking.locators.get(data)
        if locator is None:
            return False, None
        try:
            return True, locator.resolve(self.values)
        except MissingValue:
            return False, None


@dataclass(frozen=True, slots=True)
class GivenAnswers:
    """One contributor's answers to an item: as `given`, and as they stand after audits (`answers`). Both None: hidden
    from this reader, who could still answer the item."""

    task: AnnotationTask
    given: Mapping[str, Any] | None
    answers: Mapping[str, Any] | None
    audits: Sequence[AnnotationTask]


class ContributorAnswers:
    """The use cases of what contributors are asked."""

    def __init__(self, storage: Storage, clock: Clock, tasks: AnnotationTasks) -> None:
        self._storage = storage
        self._clock = clock
        self._tasks = tasks
        self._sheets = Sheets()

    async def view(self, caller: Caller, task_id: str) -> TaskView:
        """A task with its item laid out, its questions, and the answers that the caller may see. Raises NotFound."""
        async with self._storage.read() as unit:
            return await self._view(unit, caller, await found_task(unit, caller, task_id))

    async def claim(self, caller: Caller, wanted: ClaimRequest) -> TaskView | None:
        """The next task for the caller, as `AnnotationTasks.claim` gives it, with what it shows and asks."""
        return await self._tasks.claim_with(caller, wanted, lambda unit, task: self._view(unit, caller, task))

    async def _view(self, unit: UnitOfWork, caller: Caller, task: AnnotationTask) -> TaskView:
        asking = await self._sheets.of(unit, task)
        row = await unit.items.data(task.item_seq)
        values = dict(row)
        if asking.needs_results:
            (item,) = await unit.items.range(task.evaluation_seq, task.item_seq, task.item_seq)
            values = item.merged
        prefilled = asking.sheet.prefilled(row)
        own = task.assigned_to == caller.identity.id
        if own and task.level == 0 and task.status is AnnotationStatus.PENDING:
            return TaskView(task, asking, values, prefilled, task.answers, ())
        tasks = await unit.annotation_tasks.of_item(task.item_seq, task.queue_id)
        if not (own or may_see(tasks, caller.identity.id)):
            return TaskView(task, asking, values, prefilled, None, ())
        subject = subject_of(task, tasks) if task.level else task
        answers = answers_of(subject, tasks) if task.level or not own else task.answers
        history = await unit.annotation_tasks.events([task.seq])
        said = [event for event in history if event.action not in UNSAID]
        return TaskView(task, asking, values, prefilled, answers, said)

    async def answer(self, caller: Caller, task_id: str, said: Answering) -> AnnotationTask:
        """Answer a task that the caller has. The same answers once more change nothing, for a request is sent again
        when its reply was lost.

        Raises InvalidInput for answers that are none, or when one is missing that is required; Forbidden when the task
        is somebody else's or nobody's; RuleViolation when it is done, or asks an archived question.
        """
        answers = {alias: answer for alias, answer in said.answers.items() if answer is not None}
        by, now = caller.identity, self._clock.now()
        async with self._storage.write() as unit:
            locked = await lock(unit, caller, task_id)
            sheet = (await self._sheets.of(unit, locked.task)).sheet
            if locked.task.level:
                raise RuleViolation(f"this task is an audit: send a verdict to /v5/annotation-tasks/{task_id}/audit")
            _refuse(sheet.problems(answers, final=not said.draft))
            if _is_repeated(locked.task, by.id, answers):
                return locked.task
            check_holder(locked.task, by.id)
            await _refuse_archived_questions(unit, locked.task.account_id, sheet)
            flagged = (_flags(sheet, answers) or None) if said.flagged is None else said.flagged
            work = Work(by.id, now, answers, said.duration_seconds, flagged, said.comment)
            if said.draft:
                return (await keep_draft(unit, locked, work)).task
            locked = await give_answer(unit, locked, by, work)
            await publish(unit, sheet, locked)
            return locked.task

    async def audit(self, caller: Caller, task_id: str, said: Auditing) -> AnnotationTask:
        """Give a verdict on the answers that an audit looks at, which the caller has claimed: approve them, fix some,
        or send them back to be done again."""
        answers = {alias: answer for alias, answer in (said.answers or {}).items() if answer is not None}
        _check_fix(said.verdict, answers)
        by = caller.identity
        work = Work(by.id, self._clock.now(), answers or None, said.duration_seconds, None, said.comment)
        async with self._storage.write() as unit:
            locked = await lock(unit, caller, task_id)
            sheet = (await self._sheets.of(unit, locked.task)).sheet
            if not locked.task.level:
                raise RuleViolation(f"this task is no audit: answer it at /v5/annotation-tasks/{task_id}/answer")
            if _is_same_verdict(locked.task, by.id, said.verdict, answers):
                return locked.task
            check_holder(locked.task, by.id)
            if answers:
                standing = answers_of(subject_of(locked.task, locked.tasks), locked.tasks)
                _refuse(sheet.problems({**standing, **answers}, final=True))
            locked = await give_verdict(unit, locked, by, said.verdict, work)
            if said.verdict is not Verdict.APPROVE:
                await publish(unit, sheet, locked)
            return locked.task

    async def redo(self, caller: Caller, task_id: str, comment: str | None) -> AnnotationTask:
        """Send an answer back to the one who gave it; its result is withdrawn until it is done again."""
        async with self._storage.write() as unit:
            locked = await lock(unit, caller, task_id)
            sheet = (await self._sheets.of(unit, locked.task)).sheet
            work = Work(caller.identity.id, self._clock.now(), comment=comment)
            locked = await send_back(unit, locked, caller.identity, work)
            await publish(unit, sheet, locked)
            return locked.task

    async def of_evaluation(
        self, caller: Caller, evaluation_id: str, page: PageRequest, *, queue_id: str | None = None
    ) -> Page[GivenAnswers]:
        """A page of the single answers behind an evaluation's results, in the order of their tasks; hidden where the
        caller could still answer. Raises NotFound."""
        where = AnnotationFilter(
            queue_id,
            evaluation_id,
            AnnotationStatus.COMPLETED,
            AnnotationKind.CONTRIBUTOR_ANNOTATION,
            include_archived=True,
        )
        async with self._storage.read() as unit:
            evaluation = await unit.evaluations.get(caller.account_id, evaluation_id, include_archived=True)
            if evaluation is None:
                raise NotFound("evaluation", evaluation_id)
            found = await unit.annotation_tasks.list(caller.account_id, page, where)
            of_items = await unit.annotation_tasks.of_items(evaluation.seq, [task.item_seq for task in found.items])
        given = []
        for task in found.items:
            tasks = [each for each in of_items.get(task.item_seq, ()) if each.queue_id == task.queue_id]
            sees = may_see(tasks, caller.identity.id)
            audits = [each for each in tasks if each.level and each.slot == task.slot]
            given.append(
                GivenAnswers(task, task.answers if sees else None, answers_of(task, tasks) if sees else None, audits)
            )
        return Page(given, found.total, found.has_more)


async def publish(unit: UnitOfWork, sheet: Sheet, locked: Locked) -> None:
    """Make the item's results what its answers come to now: when one is missing, what the item brought along."""
    task = locked.task
    results = sheet.results(task, locked.tasks)
    if results:
        await unit.results.replace(results)
    elif any(each.status is AnnotationStatus.PENDING_REDO for each in locked.tasks):
        prefilled = sheet.prefilled(await unit.items.data(task.item_seq))
        await unit.results.remove(task.evaluation_seq, list(sheet.aliases), item_seq=task.item_seq)
        await unit.results.add(
            [
                Result(task.evaluation_seq, task.item_seq, alias, ResultStatus.PREFILLED, value)
                for alias, value in prefilled.items()
            ]
        )


def _refuse(found: Iterator[Problem]) -> None:
    problems = list(found)
    if problems:
        raise InvalidInput(problems)


async def _refuse_archived_questions(unit: UnitOfWork, account_id: str, sheet: Sheet) -> None:
    ids = [each.question.id for each in sheet.asked]
    found = await unit.questions.get_many((account_id,), ids)
    archived = [each.id for each in found.values() if each.archived_at is not None]
    if archived:
        raise RuleViolation(f"the question is archived and takes no answers; restore it first: {', '.join(archived)}")


def _is_repeated(task: AnnotationTask, identity_id: str, answers: Mapping[str, Any]) -> bool:
    done = task.status is AnnotationStatus.COMPLETED and task.assigned_to == identity_id
    return done and dict(task.answers or {}) == answers


def _is_same_verdict(task: AnnotationTask, identity_id: str, verdict: Verdict, answers: Mapping[str, Any]) -> bool:
    status = AnnotationStatus.FIXED if verdict is Verdict.FIX else AnnotationStatus.COMPLETED
    same = verdict is not Verdict.REDO and task.status is status and task.assigned_to == identity_id
    return same and dict(task.answers or {}) == answers


def _check_fix(verdict: Verdict, answers: Mapping[str, Any]) -> None:
    if verdict is Verdict.FIX and not answers:
        raise InvalidInput.at(("body", "answers"), "a fix needs the answers that it changes", type="missing")
    if verdict is not Verdict.FIX and answers:
        message = f"only a fix changes answers, and the verdict is {verdict}"
        raise InvalidInput.at(("body", "answers"), message, type="conflicting_fields")


def _flags(sheet: Sheet, answers: Mapping[str, Any]) -> bool:
    """Whether an answer is a choice that asks for a review."""
    for each in sheet.asked:
        answer = answers.get(each.alias)
        chosen = {answer_key(one) for one in (answer if isinstance(answer, list) else [answer])}
        if any(choice.audit_required and answer_key(choice.value) in chosen for choice in each.question.choices or ()):
            return True
    return False
