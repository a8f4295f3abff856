"""Labels of results: what a request changes of them, and whether its answers are answers to what is asked."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from assay.core.errors import InvalidInput, Problem, RuleViolation
from assay.core.identity import Caller, Identity
from assay.core.questions import answer_problem, is_asked
from assay.core.test_case_results import AuditStatus, Labels, LabelStatus
from assay.services.application_tasks import ExpandedConfig

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class LabelChanges:
    """What a request says of a result's labels. `given` names the fields that it has, None among their values."""

    status: LabelStatus | None = None
    answers: Mapping[str, Any] | None = None
    annotated_by_id: str | None = None
    annotated_by_type: str | None = None
    edited_by_type: str | None = None
    audit_status: AuditStatus | None = None
    audit_required: bool | None = None
    audit_comment: str | None = None
    seconds_spent: int | None = None
    given: frozenset[str] = frozenset()


def labelled_by(
    caller: Caller, before: Labels, changes: LabelChanges, config: ExpandedConfig | None, at: datetime, loc: Loc
) -> Labels:
    """The labels after a change."""
    given = changes.given
    values: dict[str, Any] = {
        name: getattr(changes, name)
        for name in ("answers", "audit_required", "audit_comment", "seconds_spent", "audit_status")
        if name in given and not (name == "audit_status" and changes.audit_status is None)
    }
    labels = replace(before, **values)
    answered = changes.answers is not None
    if answered:
        problems = _answer_problems(config, labels.answers or {}, (*loc, "result"))
        if problems:
            raise InvalidInput(problems)
        if flags_review(config, labels.answers or {}) and "audit_required" not in given:
            labels = replace(labels, audit_required=True)
    status = changes.status or (LabelStatus.COMPLETED if answered else labels.status)
    if answered and status is not LabelStatus.PENDING:
        status = LabelStatus.COMPLETED
    elif "answers" in given and not answered and changes.status is None:
        status = LabelStatus.PENDING
    if status is LabelStatus.COMPLETED and (changes.status or answered):
        missing = _unanswered(config, labels.answers or {}, (*loc, "result"))
        if missing:
            raise InvalidInput(missing)
    if status is LabelStatus.PENDING and config is not None:
        labels = replace(labels, audit_status=_verdict_on_nothing(changes))
    completed_at = labels.completed_at if before.status is LabelStatus.COMPLETED else at
    labels = replace(labels, status=status, completed_at=completed_at if status is LabelStatus.COMPLETED else None)
    return _signed(caller, before, labels, changes, answered=answered)


def _verdict_on_nothing(changes: LabelChanges) -> AuditStatus:
    """A pending result is unaudited: a verdict from before would pass for one on the answer that is to come."""
    if changes.audit_status not in (None, AuditStatus.UNAUDITED):
        raise RuleViolation("the result is pending: there is no answer yet to be audited")
    return AuditStatus.UNAUDITED


def _signed(caller: Caller, before: Labels, labels: Labels, changes: LabelChanges, *, answered: bool) -> Labels:
    """Who annotated, and who edited what somebody else had annotated."""
    annotator = before.annotated_by
    if changes.annotated_by_id is not None:
        kind: Any = changes.annotated_by_type or "user"
        annotator = Identity(changes.annotated_by_id, kind)
    elif annotator is None and answered and labels.status is LabelStatus.COMPLETED:
        annotator = caller.identity
    by_another = answered and before.annotated_by is not None and before.annotated_by != caller.identity
    fixed = changes.audit_status is AuditStatus.FIXED
    editor = caller.identity if by_another or fixed else before.edited_by
    return replace(labels, annotated_by=annotator, edited_by=editor)


def _answer_problems(config: ExpandedConfig | None, answers: Mapping[str, Any], loc: Loc) -> list[Problem]:
    """What is wrong with answers; without a config there are no questions to check them against."""
    problems = []
    questions = {question.id: question for question in config.questions} if config else None
    for question_id, answer in answers.items():
        place = (*loc, question_id)
        if not is_answer(answer):
            problems.append(Problem(place, "must be text, a number, true or false, or a list of those", "type"))
        elif questions is not None and question_id not in questions:
            problems.append(Problem(place, "the question set has no such question", "unknown_question", question_id))
        elif questions is not None and (fault := answer_problem(questions[question_id], answer)):
            problems.append(Problem(place, fault, "answer", answer))
        elif questions is not None and not is_asked(questions[question_id], answers):
            problems.append(Problem(place, "is not asked, given the other answers", "not_asked"))
    return problems


def is_answer(answer: Any) -> bool:
    plain = (str, bool, int, float)
    return isinstance(answer, plain) or (isinstance(answer, list) and all(isinstance(each, plain) for each in answer))


def _unanswered(config: ExpandedConfig | None, answers: Mapping[str, Any], loc: Loc) -> list[Problem]:
    if config is None:
        return []
    return [
        Problem((*loc, question.id), "is required; send label_status PENDING to save a draft", "missing")
        for question in config.questions
        if config.question_set.requires(question) and question.id not in answers and is_asked(question, answers)
    ]


def flags_review(config: ExpandedConfig | None, answers: Mapping[str, Any]) -> bool:
    """Whether an answer is a choice that asks for a review."""
    for question in config.questions if config else ():
        if question.id in answers:
            answer = answers[question.id]
            chosen = answer if isinstance(answer, list) else [answer]
            if any(choice.audit_required and choice.value in chosen for choice in question.choices or ()):
                return True
    return False
