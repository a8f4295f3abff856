"""Putting an evaluation's contributor tasks before people: its items are queued, with the answers they bring along."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from assay.core.errors import RuleViolation
from assay.core.evaluations import Evaluation, EvaluationStatus
from assay.core.results import Result, ResultStatus
from assay.core.sheets import CONTRIBUTOR_KINDS, CONTRIBUTOR_TASK, Sheet, sheets_of
from assay.ports.storage import UnitOfWork

Rows = AsyncIterator[Sequence[tuple[int, Mapping[str, Any]]]]
"""Batches of (item's sequence number, item's data), in order."""
BATCH = 1000


async def queue_new(
    unit: UnitOfWork, evaluation: Evaluation, rows: Sequence[Mapping[str, Any]], written: Collection[str], at: datetime
) -> None:
    """Queue the items of an evaluation that was just made, in the transaction that makes it. `rows` are its items' data
    in order, `written` the columns that its job writes: who shows one of those waits for the job."""
    sheets = sheets_of(evaluation.tasks, evaluation.column_names)
    if not sheets:
        return
    seqs = await unit.items.seqs(evaluation.seq)

    async def batches() -> Rows:
        for start in range(0, len(seqs), BATCH):
            yield list(zip(seqs[start : start + BATCH], rows[start : start + BATCH], strict=True))

    await _queue(unit, evaluation, sheets, batches(), written, at)


async def queue_anew(
    unit: UnitOfWork, before: Evaluation, evaluation: Evaluation, written: Collection[str], at: datetime
) -> None:
    """Queue all items of an evaluation again after its contributor tasks were changed (`before`: as it was)."""
    sheets = sheets_of(evaluation.tasks, evaluation.column_names)
    aliases = [task.alias for task in (*before.tasks, *evaluation.tasks) if task.task_type == CONTRIBUTOR_TASK]
    await unit.annotation_tasks.remove(evaluation.seq, CONTRIBUTOR_KINDS)
    await refuse_begun(unit, evaluation)  # somebody may have claimed one since it was looked at
    if aliases:
        await unit.results.remove(evaluation.seq, list(dict.fromkeys(aliases)))

    async def batches() -> Rows:
        async for batch in unit.items.stream(evaluation.seq, include_archived=True, batch=BATCH):
            yield [(item.seq, item.data) for item in batch]

    await _queue(unit, evaluation, sheets, batches(), written, at)


async def refuse_begun(unit: UnitOfWork, evaluation: Evaluation) -> None:
    """Raise RuleViolation when somebody has claimed or done any contributor task of the evaluation."""
    if await unit.annotation_tasks.has_begun(evaluation.seq, CONTRIBUTOR_KINDS):
        message = "people have begun to answer: their tasks are claimed or completed, so what is asked stays as it is"
        raise RuleViolation(f"{message}: {evaluation.id}")


async def _queue(
    unit: UnitOfWork,
    evaluation: Evaluation,
    sheets: Mapping[str, Sheet],
    batches: Rows,
    written: Collection[str],
    at: datetime,
) -> None:
    wanted: dict[str, list[int]] = {queue_id: [] for queue_id in sheets}
    async for batch in batches:
        results: list[Result] = []
        for seq, row in batch:
            for queue_id, sheet in sheets.items():
                prefilled = sheet.prefilled(row)
                results.extend(
                    Result(evaluation.seq, seq, alias, ResultStatus.PREFILLED, value)
                    for alias, value in prefilled.items()
                )
                if not (evaluation.skip_prefilled_rows and len(prefilled) == len(sheet.asked)):
                    wanted[queue_id].append(seq)
        await unit.results.add(results)
    runs = evaluation.status is EvaluationStatus.RUNNING
    for queue_id, seqs in wanted.items():
        ready = not (runs and sheets[queue_id].shows(list(written)))
        queueing = sheets[queue_id].queueing(ready=ready)
        await unit.annotation_tasks.add(evaluation.account_id, evaluation.seq, seqs, queueing, at)
