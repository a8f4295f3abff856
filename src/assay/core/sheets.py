"""Sheets: what people are asked about an item at once, namely the contributor tasks of one queue.

A sheet is read from an evaluation's tasks; it says what a good answer is, which answers an item has before anybody
gives one, and what several people's answers come to.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.annotation import (
    DEFAULT_QUEUE,
    AnnotationKind,
    AnnotationTask,
    Queueing,
    Tasks,
    all_answered,
    answers_of,
)
from assay.core.consensus import Disagreement, consensus, rule_of
from assay.core.errors import InvalidInput, Problem
from assay.core.locators import Locator, MissingValue, parse_locator
from assay.core.questions import Question, answer_problem, is_asked, question_from
from assay.core.results import ErrorType, Result, ResultStatus, TaskError
from assay.core.tasks import TaskSpec

CONTRIBUTOR_TASK = "contributor_evaluation.question"
"""The task type that people do; the one that the contract lets a caller add to an evaluation that is there."""
CONTRIBUTOR_KINDS = (AnnotationKind.CONTRIBUTOR_ANNOTATION, AnnotationKind.CONTRIBUTOR_AUDIT)
LONGEST_ANSWER = 1_000_000

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a sheet. `index` is its task's place in the evaluation; `prefill` where a first answer is;
    `rubric` what people are to answer by, see `core.rubrics.rubric_document`."""

    alias: str
    index: int
    question: Question
    required: bool
    layout: Mapping[str, Any]
    prefill: Locator | None
    rubric: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """The contributor tasks of one queue: each item has `overlap` people answer all of it."""

    queue_id: str
    asked: tuple[Asked, ...]
    overlap: int
    audit_levels: int

    @property
    def aliases(self) -> tuple[str, ...]:
        """The columns that its answers are in."""
        return tuple(each.alias for each in self.asked)

    def queueing(self, *, ready: bool) -> Queueing:
        """How its items are queued."""
        kind = AnnotationKind.CONTRIBUTOR_ANNOTATION
        return Queueing(kind, self.queue_id, self.overlap, self.audit_levels, ready=ready)

    def shows(self, columns: Sequence[str]) -> set[str]:
        """Those of the columns that its layouts show."""
        known = frozenset(columns)
        found = (parse_locator(data, known) for each in self.asked for data in layout_locators(each.layout))
        return {locator.column for locator in found if locator is not None}

    def asks(self, asked: Asked, answers: Mapping[str, Any]) -> bool:
        """Whether a question is asked, given the answers by alias. Conditions that name anything else than the
        sheet's questions are for the screen alone."""
        ids = {each.question.id for each in self.asked}
        conditions = [each for each in asked.question.conditions or () if each and each.keys() <= ids]
        if not conditions or len(conditions) < len(asked.question.conditions or ()):
            return True
        return is_asked(
            asked.question, {each.question.id: answers[each.alias] for each in self.asked if each.alias in answers}
        )

    def problems(self, answers: Mapping[str, Any], *, final: bool) -> Iterator[Problem]:
        """What is wrong with answers by alias; those that are `final` must have all that is required."""
        loc: Loc = ("body", "answers")
        known = {each.alias: each for each in self.asked}
        for alias, answer in answers.items():
            if alias not in known:
                there = ", ".join(known)
                yield Problem(
                    (*loc, alias[:100]), f"this task asks no such question; there are: {there}", "unknown_alias"
                )
            elif isinstance(answer, str) and len(answer) > LONGEST_ANSWER:
                yield Problem((*loc, alias), f"at most {LONGEST_ANSWER} characters", "too_long")
            elif (problem := answer_problem(known[alias].question, answer)) is not None:
                yield Problem((*loc, alias), problem, "invalid_answer", answer)
            elif not self.asks(known[alias], answers):
                yield Problem((*loc, alias), "is not asked, given the other answers", "not_asked")
        if final:
            for alias, asked in known.items():
                if asked.required and alias not in answers and self.asks(asked, answers):
                    yield Problem((*loc, alias), "needs an answer", "missing")

    def prefilled(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The answers that a row brings along, by alias: those that are good answers."""
        found: dict[str, Any] = {}
        for each in self.asked:
            if each.prefill is None:
                continue
            try:
                value = each.prefill.resolve(row)
            except MissingValue:
                continue
            if answer_problem(each.question, value) is None:
                found[each.alias] = value
        return found

    def results(self, task: AnnotationTask, tasks: Tasks) -> list[Result]:
        """What the item's answers come to, one result a question; none while an answer is still missing."""
        if not all_answered(tasks):
            return []
        given = [answers_of(each, tasks) for each in sorted(tasks, key=lambda each: each.slot) if each.level == 0]
        return [_result(task, each, [said[each.alias] for said in given if each.alias in said]) for each in self.asked]


def _result(task: AnnotationTask, asked: Asked, answers: Sequence[Any]) -> Result:
    place = (task.evaluation_seq, task.item_seq, asked.alias)
    if not answers:
        return Result(*place, ResultStatus.SKIPPED)
    detail = (
        {"answers": len(answers)} if len(answers) == 1 else {"answers": len(answers), "rule": rule_of(asked.question)}
    )
    try:
        value = consensus(asked.question, answers)
    except Disagreement as tie:
        error = TaskError(ErrorType.NO_CONSENSUS, str(tie)[:2000])
        return Result(*place, ResultStatus.ERRORED, error=error, detail=detail)
    return Result(*place, ResultStatus.COMPLETED, value, detail=detail)


def sheets_of(tasks: Sequence[TaskSpec], columns: Sequence[str]) -> dict[str, Sheet]:
    """The sheets of an evaluation's tasks by queue; `columns` are those of its rows.

    Raises InvalidInput when the tasks of one queue do not agree on overlap and audit levels, or when an answer is to
    be prefilled from what is no column of the rows.
    """
    asked: dict[str, list[Asked]] = {}
    first: dict[str, tuple[int, TaskSpec]] = {}
    problems: list[Problem] = []
    for index, task in enumerate(tasks):
        if task.task_type != CONTRIBUTOR_TASK:
            continue
        settings = task.configuration
        queue_id = settings.get("queue_id", DEFAULT_QUEUE)
        leader, spec = first.setdefault(queue_id, (index, task))
        problems.extend(_at_odds(index, task, leader, spec, queue_id))
        prefill = settings.get("prefill_from")
        locator = None if prefill is None else _prefill(prefill, columns)
        if prefill is not None and locator is None:
            message = f"{prefill[:100]!r} is no column of the rows; an answer is prefilled from what the rows bring"
            problems.append(Problem((*_place(index), "prefill_from"), message, "unknown_column", prefill))
        question = question_from(task.material["question"])
        required = bool(settings.get("required", False))
        asked.setdefault(queue_id, []).append(
            Asked(task.alias, index, question, required, settings["layout"], locator, task.material.get("rubric"))
        )
    if problems:
        raise InvalidInput(problems)
    return {queue_id: Sheet(queue_id, tuple(each), *_shared(first[queue_id][1])) for queue_id, each in asked.items()}


def layout_locators(node: Mapping[str, Any]) -> Iterator[str]:
    """The locators of a layout, in order."""
    for child in node["children"]:
        if "children" in child:
            yield from layout_locators(child)
        else:
            yield child["data"]


def _shared(task: TaskSpec) -> tuple[int, int]:
    return task.configuration.get("overlap", 1), task.configuration.get("audit_levels", 0)


def _at_odds(index: int, task: TaskSpec, leader: int, other: TaskSpec, queue_id: str) -> Iterator[Problem]:
    for name, ours, theirs in zip(("overlap", "audit_levels"), _shared(task), _shared(other), strict=True):
        if ours != theirs:
            message = (
                f"is {ours}, but task {leader} of the queue {queue_id[:100]!r} has {theirs}: tasks of one queue are"
                " answered together; make them agree, or give this one a queue_id of its own"
            )
            yield Problem((*_place(index), name), message, "conflict", ours)


def _prefill(prefill: str, columns: Sequence[str]) -> Locator | None:
    known = frozenset(columns)
    return parse_locator(prefill if prefill.startswith("item.") else f"item.{prefill}", known)


def _place(index: int) -> Loc:
    return ("body", "tasks", index, "configuration")
