"""Contributors' answers: reading a task with what it shows and asks, answering, auditing, and the results of it all."""

from collections.abc import Mapping, Sequence
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
from assay.core.errors import InvalidInput, NotFound, RuleViolation
from assay.core.evaluations import Evaluation, Item
from assay.core.identity import Caller
from assay.core.locators import MissingValue, parse_locator
from assay.core.paging import Page, PageRequest
from assay.core.questions import answer_key
from assay.core.results import Result, ResultStatus
from assay.core.sheets import CONTRIBUTOR_KINDS, Sheet, sheets_of
from assay.ports.annotation import AnnotationEvent, AnnotationFilter
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.annotation import Locked, found_task, give_answer, give_verdict, keep_draft, lock_found, send_back


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

    `prefilled` are the answers that the item brings along. `answers` are this task's own, or, of an audit, those that
    it looks at, as they stand; None when the reader may not see them. `history` is what was done, likewise.
    """

    task: AnnotationTask
    evaluation: Evaluation
    item: Item
    sheet: Sheet
    prefilled: Mapping[str, Any]
    answers: Mapping[str, Any] | None
    history: Sequence[AnnotationEvent]

    def shown(self, locator: str) -> tuple[bool, Any]:
        """Whether the item has what a component of a layout points at, and that."""
        found = parse_locator(locator, frozenset(self.evaluation.column_names).union(self.item.results))
        if found is None:
            return False, None
        try:
            return True, found.resolve(self.item.merged)
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

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def view(self, caller: Caller, task_id: str) -> TaskView:
        """A task with its item laid out, its questions, and the answers that the caller may see. Raises NotFound."""
        async with self._storage.read() as unit:
            task = await found_task(unit, caller, task_id)
            evaluation, sheet = await asked_of(unit, task)
            item = await unit.items.get(task.account_id, task.item_id, include_archived=True)
            if item is None:
                raise NotFound("annotation task", task_id)
            tasks = await unit.annotation_tasks.of_item(task.item_seq, task.queue_id)
            history = await unit.annotation_tasks.events([task.seq])
        own = task.assigned_to == caller.identity.id
        sees = own or may_see(tasks, caller.identity.id)
        subject = subject_of(task, tasks) if task.level else task
        answers = (answers_of(subject, tasks) if task.level or not own else task.answers) if sees else None
        return TaskView(task, evaluation, item, sheet, sheet.prefilled(item.data), answers, history if sees else ())

    async def answer(self, caller: Caller, task_id: str, said: Answering) -> AnnotationTask:
        """Answer a task that the caller has. The same answers once more change nothing, for a request is sent again
        when its reply was lost.

        Raises InvalidInput for answers that are none, or when one is missing that is required; Forbidden when the task
        is somebody else's or nobody's; RuleViolation when it is done, or asks an archived question.
        """
        answers = {alias: answer for alias, answer in said.answers.items() if answer is not None}
        async with self._storage.read() as unit:
            found = await found_task(unit, caller, task_id)
            _, sheet = await asked_of(unit, found)
            if found.level:
                raise RuleViolation(f"this task is an audit: send a verdict to /v5/annotation-tasks/{task_id}/audit")
            problems = list(sheet.problems(answers, final=not said.draft))
            if problems:
                raise InvalidInput(problems)
            await _refuse_archived_questions(unit, found.account_id, sheet)
        flagged = _flags(sheet, answers) or None if said.flagged is None else said.flagged
        by = caller.identity
        work = Work(by.id, self._clock.now(), answers, said.duration_seconds, flagged, said.comment)
        async with self._storage.write() as unit:
            locked = await lock_found(unit, found)
            if _is_repeated(locked.task, by.id, answers):
                return locked.task
            check_holder(locked.task, by.id)
            if said.draft:
                return (await keep_draft(unit, locked, work)).task
            locked = await give_answer(unit, locked, by, work)
            await publish(unit, sheet, locked)
            return locked.task

    async def audit(self, caller: Caller, task_id: str, said: Auditing) -> AnnotationTask:
        """Give a verdict on the answers that an audit looks at, which the caller has claimed: approve them, fix some,
        or send them back to be done again."""
        async with self._storage.read() as unit:
            found = await found_task(unit, caller, task_id)
            _, sheet = await asked_of(unit, found)
        if not found.level:
            raise RuleViolation(
                f"this task is an answer, not an audit: send it to /v5/annotation-tasks/{task_id}/answer"
            )
        answers = {alias: answer for alias, answer in (said.answers or {}).items() if answer is not None}
        _check_fix(said.verdict, answers)
        by = caller.identity
        work = Work(by.id, self._clock.now(), answers or None, said.duration_seconds, None, said.comment)
        async with self._storage.write() as unit:
            locked = await lock_found(unit, found)
            if _is_same_verdict(locked.task, by.id, said.verdict, answers):
                return locked.task
            check_holder(locked.task, by.id)
            if answers:
                standing = answers_of(subject_of(locked.task, locked.tasks), locked.tasks)
                problems = list(sheet.problems({**standing, **answers}, final=True))
                if problems:
                    raise InvalidInput(problems)
            locked = await give_verdict(unit, locked, by, said.verdict, work)
            if said.verdict is not Verdict.APPROVE:
                await publish(unit, sheet, locked)
            return locked.task

    async def redo(self, caller: Caller, task_id: str, comment: str | None) -> AnnotationTask:
        """Send an answer back to the one who gave it; its result is withdrawn until it is done again."""
        async with self._storage.read() as unit:
            found = await found_task(unit, caller, task_id)
            _, sheet = await asked_of(unit, found)
        async with self._storage.write() as unit:
            locked = await lock_found(unit, found)
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
    if not results and all(each.status is not AnnotationStatus.PENDING_REDO for each in locked.tasks):
        return  # not all answers are in, and none was before: what is there stays
    await unit.results.remove(task.evaluation_seq, list(sheet.aliases), item_seq=task.item_seq)
    if not results:
        item = await unit.items.get(task.account_id, task.item_id, include_archived=True)
        prefilled = sheet.prefilled({} if item is None else item.data)
        results = [
            Result(task.evaluation_seq, task.item_seq, alias, ResultStatus.PREFILLED, value)
            for alias, value in prefilled.items()
        ]
    await unit.results.add(results)


async def asked_of(unit: UnitOfWork, task: AnnotationTask) -> tuple[Evaluation, Sheet]:
    """A task's evaluation and its sheet. Raises RuleViolation for a task that version 4's question sets made."""
    evaluation = await unit.evaluations.get(task.account_id, task.evaluation_id, include_archived=True)
    if evaluation is None:
        raise NotFound("annotation task", task.id)
    sheet = sheets_of(evaluation.tasks, evaluation.column_names).get(task.queue_id)
    if sheet is None or task.kind not in CONTRIBUTOR_KINDS:
        raise RuleViolation(f"this task is done through version 4 of the API, as a test case result: {task.id}")
    return evaluation, sheet


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
