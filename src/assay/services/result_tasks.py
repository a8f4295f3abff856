"""Annotation tasks of results: one to annotate each, and one to audit that, when people answer. Tasks follow what is
said of the results, and so do the columns of people's answers."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from assay.core.annotation import DEFAULT_QUEUE, AnnotationKind, AnnotationTask, Queueing, Verdict, Work
from assay.core.application_evaluations import ApplicationEvaluation
from assay.core.evaluation_configs import EvaluationType
from assay.core.evaluations import Evaluation
from assay.core.identity import Caller
from assay.core.results import Result, ResultStatus
from assay.core.test_case_results import AuditStatus, LabelStatus, TestCaseResult
from assay.ports.storage import UnitOfWork
from assay.services.annotation import Locked, give_answer, give_verdict, send_back
from assay.services.application_tasks import ANSWER_PREFIX, PEOPLED, ExpandedConfig

VERDICTS = {AuditStatus.APPROVED: Verdict.APPROVE, AuditStatus.FIXED: Verdict.FIX}
FLAGGED = 1
"""The priority of audits of what was flagged for review; of others it is 0."""

PEOPLES = (EvaluationType.HUMAN, EvaluationType.LLM_BENCHMARK)
"""The evaluation types in which people of this server answer."""


def asks_people(config: ExpandedConfig | None) -> bool:
    """Whether results are put before people."""
    return config is not None and config.config.evaluation_type in PEOPLES


async def queue_results(
    work: UnitOfWork, evaluation: Evaluation, results: Sequence[TestCaseResult], at: datetime, *, ready: bool
) -> None:
    """Queue results for annotation; not `ready` ones wait until the application has answered."""
    await _queue(work, evaluation, [each.seq for each in results], at, ready=ready)


async def queue_every_result(work: UnitOfWork, evaluation: Evaluation, at: datetime) -> None:
    """Queue every result of an evaluation; those that are queued stay as they are."""
    seqs = [result.seq async for batch in work.test_case_results.stream(evaluation) for result, _ in batch]
    await _queue(work, evaluation, seqs, at, ready=True)


async def _queue(work: UnitOfWork, evaluation: Evaluation, seqs: Sequence[int], at: datetime, *, ready: bool) -> None:
    if seqs:
        queueing = Queueing(AnnotationKind.EVALUATION_ANNOTATION, audit_levels=1, ready=ready)
        await work.annotation_tasks.add(evaluation.account_id, evaluation.seq, seqs, queueing, at)


async def follow_new(
    work: UnitOfWork, caller: Caller, found: ApplicationEvaluation, results: Sequence[TestCaseResult], at: datetime
) -> None:
    """Let tasks and columns follow what new results bring along."""
    for result in results:
        if result.labels.status is not LabelStatus.PENDING:
            pending = replace(result, labels=replace(result.labels, status=LabelStatus.PENDING))
            await follow(work, caller, found, pending, result, at)


async def follow(
    work: UnitOfWork,
    caller: Caller,
    found: ApplicationEvaluation,
    before: TestCaseResult,
    after: TestCaseResult,
    at: datetime,
) -> None:
    """Let the tasks and the columns of a result follow a change of its labels; nothing where it has none.

    Raises RuleViolation when it is to be labelled before the application has answered.
    """
    await _follow_columns(work, found, after)
    tasks = [
        task
        for task in await work.annotation_tasks.of_item(after.seq, DEFAULT_QUEUE)
        if task.kind in (AnnotationKind.EVALUATION_ANNOTATION, AnnotationKind.EVALUATION_AUDIT)
    ]
    answer = next((task for task in tasks if task.level == 0), None)
    if answer is None:
        return
    labels = after.labels
    said = Work(
        caller.identity.id,
        at,
        answers=labels.answers,
        duration_seconds=labels.seconds_spent,
        flagged=labels.audit_required,
        comment=labels.audit_comment,
    )
    locked = Locked(answer, tasks)
    if labels.status is LabelStatus.PENDING:
        if answer.is_done:
            await _reopen(work, caller, locked, said, before)
        return
    if not answer.is_done:
        by = labels.annotated_by or caller.identity
        locked = await give_answer(work, locked, by, replace(said, by=by.id))
    await _follow_audit(work, caller, locked, said, after)


async def _follow_audit(work: UnitOfWork, caller: Caller, locked: Locked, said: Work, after: TestCaseResult) -> None:
    audit = next((task for task in locked.tasks if task.kind is AnnotationKind.EVALUATION_AUDIT), None)
    if audit is None or not audit.is_open:
        return
    verdict = VERDICTS.get(after.labels.audit_status)
    if verdict is not None:
        await give_verdict(work, Locked(audit, locked.tasks), caller.identity, verdict, said)
        return
    priority = FLAGGED if after.labels.audit_required else 0
    if audit.priority != priority:
        await work.annotation_tasks.save([replace(audit, priority=priority)])


async def _reopen(work: UnitOfWork, caller: Caller, locked: Locked, said: Work, before: TestCaseResult) -> None:
    """The answer is to be given again: sent back by somebody else, or taken up again by the one who gave it."""
    changed = await send_back(work, locked, caller.identity, said)
    if before.labels.annotated_by is not None and before.labels.annotated_by.id == caller.identity.id:
        await work.annotation_tasks.save([_taken_up(changed.task)])


def _taken_up(task: AnnotationTask) -> AnnotationTask:
    status = type(task.status).PENDING
    return replace(task, status=status)


async def _follow_columns(work: UnitOfWork, found: ApplicationEvaluation, result: TestCaseResult) -> None:
    """Make people's answers the values of their columns, while the result is complete."""
    evaluation = found.evaluation
    aliases = [
        task.alias for task in evaluation.tasks if task.task_type == PEOPLED and task.alias.startswith(ANSWER_PREFIX)
    ]
    if not aliases:
        return
    await work.results.remove(evaluation.seq, aliases, item_seq=result.seq)
    if result.labels.status is LabelStatus.COMPLETED:
        answers = result.labels.answers or {}
        await work.results.add([_column(result, alias, answers.get(alias[len(ANSWER_PREFIX) :])) for alias in aliases])


def _column(result: TestCaseResult, alias: str, answer: object) -> Result:
    status = ResultStatus.SKIPPED if answer is None else ResultStatus.COMPLETED
    return Result(result.evaluation_seq, result.seq, alias, status, answer)
