"""The members of many groups with their evaluations: two statements whatever their number, and what repeats (tasks,
tags, identities) is decoded once. Plain rows, since a type's conversions cost more than the query."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, bindparam, column, select, table

from assay.adapters.storage.codec import from_micros, load_json
from assay.adapters.storage.datasets import to_dataset
from assay.adapters.storage.dialects import one_of
from assay.adapters.storage.session import Session
from assay.adapters.storage.tables import datasets
from assay.core.datasets import Dataset
from assay.core.evaluations import EvaluationStatus, Progress
from assay.core.groups import GroupMember, MemberEvaluation
from assay.core.identity import Identity
from assay.core.tasks import TaskSpec

_SHOWN = (
    "id seq name description tags metadata tasks status status_reason item_total item_successful item_failed"
    " error_count has_job created_at created_by_id created_by_type archived_at"
)
# Tables whose columns have no types, so that rows come as the driver reads them.
_evaluations = table("evaluations", *map(column, _SHOWN.split()))
_members = table(
    "group_members",
    *map(column, ("group_seq", "position", "evaluation_seq", "created_at", "deleted_at", "row_identifier")),
)
_links = table("evaluation_datasets", *map(column, ("evaluation_seq", "dataset_seq", "position")))
_SEQS = bindparam("seqs", type_=Text())
_EVALUATIONS = select(_evaluations).where(one_of(_evaluations.c.seq, _SEQS))
_MEMBERS = (
    select(
        _members.c.group_seq,
        _members.c.position,
        _members.c.created_at,
        _members.c.deleted_at,
        _members.c.row_identifier,
        *_evaluations.c,
    )
    .join_from(_members, _evaluations, _members.c.evaluation_seq == _evaluations.c.seq)
    .where(one_of(_members.c.group_seq, _SEQS))
)
_LINKS = select(_links).where(one_of(_links.c.evaluation_seq, _SEQS))
_DATASETS = select(datasets).where(one_of(datasets.c.seq, _SEQS))


_STATUSES = {str(status): status for status in EvaluationStatus}


async def read_members(session: Session, group_seqs: Iterable[int]) -> dict[int, list[GroupMember]]:
    """The members of groups in their order, those that left too, by the group's sequence number."""
    # Sorted here: asked for an order, SQLite would rather walk the whole table in it.
    rows = sorted(await session.pairs(_MEMBERS, {"seqs": joined(group_seqs)}))
    linked = await _datasets(session, {row[6] for row in rows})
    reader = _Reader(linked)
    members: dict[int, list[GroupMember]] = {}
    for group_seq, _, created_at, deleted_at, row_identifier, *shown in rows:
        evaluation = reader.evaluation(shown)
        member = GroupMember(evaluation.id, from_micros(created_at), _moment(deleted_at), row_identifier, evaluation)
        members.setdefault(group_seq, []).append(member)
    return members


async def read_evaluations(session: Session, seqs: Sequence[int]) -> list[MemberEvaluation]:
    """Evaluations by their sequence numbers, archived ones too, with their datasets."""
    reader = _Reader(await _datasets(session, seqs))
    return [reader.evaluation(row) for row in await session.pairs(_EVALUATIONS, {"seqs": joined(seqs)})]


def joined(seqs: Iterable[int]) -> str:
    """Sequence numbers as `one_of` takes them."""
    return ",".join(map(str, seqs))


class _Reader:
    """Turns rows of `_SHOWN` into evaluations. Rows and texts that it has seen before it does not decode again."""

    def __init__(self, linked: dict[int, tuple[Dataset, ...]]) -> None:
        self._linked = linked
        self._known: dict[int, MemberEvaluation] = {}
        self._tasks: dict[str, tuple[TaskSpec, ...]] = {}
        self._words: dict[str, tuple[str, ...]] = {}
        self._identities: dict[tuple[str, str], Identity] = {}

    def evaluation(self, row: Sequence[Any]) -> MemberEvaluation:
        """The evaluation of a row. Unpacked, since to look up its columns by name takes twice as long."""
        seq = row[1]
        found = self._known.get(seq)
        if found is not None:
            return found
        identifier, _, name, description, tags, metadata, tasks, status, reason, total, successful, failed, *rest = row
        errors, has_job, created_at, creator, creator_type, archived_at = rest
        found = self._known[seq] = MemberEvaluation(
            identifier,
            seq,
            name,
            description,
            self._texts(tags),
            None if metadata is None else load_json(metadata),
            self._task_list(tasks),
            _STATUSES[status],
            reason,
            Progress(total, successful, failed, errors),
            bool(has_job),
            from_micros(created_at),
            self._identity(creator, creator_type),
            _moment(archived_at),
            self._linked.get(seq, ()),
        )
        return found

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


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


async def _datasets(session: Session, seqs: Iterable[int]) -> dict[int, tuple[Dataset, ...]]:
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
