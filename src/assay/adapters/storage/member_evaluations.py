"""The evaluations of many groups' members at once: three statements whatever their number, and what repeats
(tasks, columns, datasets) is decoded once. Plain rows, since a type's conversions cost more than the query."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, TableClause, Text, bindparam, column, select, table

from assay.adapters.storage.codec import from_micros, load_json
from assay.adapters.storage.datasets import to_dataset
from assay.adapters.storage.dialects import one_of
from assay.adapters.storage.session import Session
from assay.adapters.storage.tables import datasets
from assay.core.datasets import Dataset
from assay.core.evaluations import Evaluation, EvaluationStatus, Progress
from assay.core.identity import Identity
from assay.core.tasks import TaskSpec


def _plain(name: str, columns: str) -> TableClause:
    """A table whose columns have no types, so that rows come as the driver reads them."""
    return table(name, *map(column, columns.split()))


_evaluations = _plain(
    "evaluations",
    "id seq account_id name description tags metadata tasks status status_reason"
    " item_total item_successful item_failed error_count has_job created_at created_by_id created_by_type"
    " updated_at archived_at started_at finished_at column_names taxonomy skip_prefilled_rows",
)
_links = _plain("evaluation_datasets", "evaluation_seq dataset_seq position")
_SEQS = bindparam("seqs", type_=Text())
_EVALUATIONS = select(_evaluations).where(one_of(_evaluations.c.seq, _SEQS))
_LINKS = select(_links).where(one_of(_links.c.evaluation_seq, _SEQS))
_DATASETS = select(datasets).where(one_of(datasets.c.seq, _SEQS))


_STATUSES = {str(status): status for status in EvaluationStatus}


async def read_evaluations(session: Session, seqs: Sequence[int]) -> dict[int, Evaluation]:
    """Evaluations by sequence number, archived ones too, with their datasets."""
    linked = await _datasets(session, seqs)
    reader = _Reader()
    found: dict[int, Evaluation] = {}
    for row in await session.rows(_EVALUATIONS, {"seqs": joined(seqs)}):
        found[row.seq] = reader.evaluation(row, linked.get(row.seq, ()))
    return found


def joined(seqs: Iterable[int]) -> str:
    """Sequence numbers as `one_of` takes them."""
    return ",".join(map(str, seqs))


class _Reader:
    """Turns rows of `_EVALUATIONS` into evaluations. Texts that it has seen before it does not decode again."""

    def __init__(self) -> None:
        self._tasks: dict[str, tuple[TaskSpec, ...]] = {}
        self._words: dict[str, tuple[str, ...]] = {}
        self._identities: dict[tuple[str, str], Identity] = {}

    def evaluation(self, row: Row[Any], linked: tuple[Dataset, ...]) -> Evaluation:
        """The evaluation of a row. Unpacked, since to look up its columns by name takes twice as long."""
        identifier, seq, account_id, name, description, tags, metadata, tasks, status, reason, *more = tuple(row)
        total, successful, failed, errors, has_job, created_at, creator, creator_type, *dates_and_rest = more
        updated_at, archived_at, started_at, finished_at, columns, taxonomy, skip_prefilled_rows = dates_and_rest
        return Evaluation(
            id=identifier,
            seq=seq,
            account_id=account_id,
            name=name,
            description=description,
            tags=self._texts(tags),
            metadata=_value(metadata),
            tasks=self._task_list(tasks),
            status=_STATUSES[status],
            status_reason=reason,
            progress=Progress(total, successful, failed, errors),
            has_job=bool(has_job),
            created_at=from_micros(created_at),
            created_by=self._identity(creator, creator_type),
            updated_at=from_micros(updated_at),
            archived_at=_moment(archived_at),
            started_at=_moment(started_at),
            finished_at=_moment(finished_at),
            datasets=linked,
            column_names=self._texts(columns),
            taxonomy=_value(taxonomy),
            skip_prefilled_rows=bool(skip_prefilled_rows),
        )

    def _task_list(self, stored: str) -> tuple[TaskSpec, ...]:
        tasks = self._tasks.get(stored)
        if tasks is None:
            tasks = self._tasks[stored] = tuple(TaskSpec(**task) for task in load_json(stored))
        return tasks

    def _texts(self, stored: str) -> tuple[str, ...]:
        words = self._words.get(stored)
        if words is None:
            words = self._words[stored] = tuple(load_json(stored))
        return words

    def _identity(self, identifier: str, kind: Any) -> Identity:
        identity = self._identities.get((identifier, kind))
        if identity is None:
            identity = self._identities[identifier, kind] = Identity(identifier, kind)
        return identity


def _value(stored: str | None) -> Any:
    return None if stored is None else load_json(stored)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


async def _datasets(session: Session, seqs: Sequence[int]) -> dict[int, tuple[Dataset, ...]]:
    """The datasets, in order, of the evaluations that have any."""
    links = await session.rows(_LINKS, {"seqs": joined(seqs)})
    if not links:
        return {}
    rows = await session.rows(_DATASETS, {"seqs": joined({link.dataset_seq for link in links})})
    found = {row.seq: to_dataset(row) for row in rows}
    linked: dict[int, tuple[Dataset, ...]] = {}
    for evaluation_seq, dataset_seq, _ in sorted(links, key=lambda link: link.position):
        linked[evaluation_seq] = (*linked.get(evaluation_seq, ()), found[dataset_seq])
    return linked
