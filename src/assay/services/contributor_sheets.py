"""What an annotation task asks, remembered while its evaluation stays as it is: it is needed with every claim and
answer, and an evaluation's tasks are a large document."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from assay.core.annotation import AnnotationTask
from assay.core.errors import NotFound, RuleViolation
from assay.core.evaluations import Evaluation
from assay.core.locators import Locator, parse_locator
from assay.core.sheets import CONTRIBUTOR_KINDS, Sheet, layout_locators, sheets_of
from assay.ports.storage import UnitOfWork

REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Asking:
    """A sheet and its evaluation. `locators` are those of its layouts; `needs_results`: one of them shows a result."""

    evaluation: Evaluation
    sheet: Sheet
    locators: dict[str, Locator | None]
    needs_results: bool


class Sheets:
    """Finds what tasks ask. Belongs to one event loop."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[tuple[int, str], tuple[datetime | None, Asking]] = OrderedDict()

    async def of(self, unit: UnitOfWork, task: AnnotationTask) -> Asking:
        """What a task asks. Raises RuleViolation for a task that version 4's question sets made."""
        if task.kind not in CONTRIBUTOR_KINDS:
            raise RuleViolation(f"this task is done through version 4 of the API, as a test case result: {task.id}")
        key = (task.evaluation_seq, task.queue_id)
        found = self._remembered.get(key)
        if found is None or found[0] != task.evaluation_updated_at:
            found = (task.evaluation_updated_at, await _read(unit, task))
            self._remembered[key] = found
            while len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(key)
        return found[1]


async def _read(unit: UnitOfWork, task: AnnotationTask) -> Asking:
    evaluation = await unit.evaluations.get(task.account_id, task.evaluation_id, include_archived=True)
    sheet = None
    if evaluation is not None:
        sheet = sheets_of(evaluation.tasks, evaluation.column_names).get(task.queue_id)
    if evaluation is None or sheet is None:
        raise NotFound("annotation task", task.id)
    rows = frozenset(evaluation.column_names)
    known = rows.union(each.alias for each in evaluation.tasks)
    shown = {data: parse_locator(data, known) for each in sheet.asked for data in layout_locators(each.layout)}
    written = any(locator is not None and locator.column not in rows for locator in shown.values())
    clashes = any(each.alias in rows for each in evaluation.tasks)
    return Asking(evaluation, sheet, shown, written or clashes)
