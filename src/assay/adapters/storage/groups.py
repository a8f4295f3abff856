"""Groups and their members."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Integer, Row, Text, Update, bindparam, insert, select, type_coerce, update

from assay.adapters.storage.codec import from_micros, load_json
from assay.adapters.storage.datasets import naming
from assay.adapters.storage.member_evaluations import read_evaluations, read_members
from assay.adapters.storage.paging import Listing, page_rows, text_conditions
from assay.adapters.storage.session import Session, in_lists, slices
from assay.adapters.storage.tables import (
    SEQUENCE,
    Document,
    Moment,
    Words,
    evaluations,
    group_counts,
    group_members,
    groups,
)
from assay.core.errors import RuleViolation
from assay.core.groups import Group, GroupMember, MemberEvaluation
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest
from assay.ports.storage import TextFilter

_ORDERS = {
    "created_at": (groups.c.created_at, groups.c.seq),
    "name": (groups.c.name, groups.c.seq),
    "id": (groups.c.id,),
}
_RAW: Mapping[type[Any], type[Any]] = {Moment: BigInteger, Document: Text, Words: Text}
_COLUMNS: Sequence[Any] = [
    type_coerce(column, _RAW.get(type(column.type), type(column.type))).label(column.name)
    for column in groups.c
    if column.name not in ("name_folded", "tags_folded")
]
"""What a group is made of, in the order of the table, without any conversion on the way."""


class SqlGroups:
    """Implements `ports.storage.GroupRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, group: Group) -> Group:
        """Add it with its members; returns it with its seq and theirs filled. RuleViolation: see `_joining`."""
        found = await self._joining(group.account_id, [member.evaluation_id for member in group.members])
        seq = await self._session.added(
            insert(groups).values(
                id=group.id,
                account_id=group.account_id,
                **_editable(group),
                created_at=group.created_at,
                created_by_id=group.created_by.id,
                created_by_type=group.created_by.type,
                deleted_at=group.deleted_at,
            )
        )
        members = tuple(replace(member, evaluation=found[member.evaluation_id]) for member in group.members)
        rows = [
            {
                "group_seq": seq,
                "position": position,
                "evaluation_seq": found[member.evaluation_id].seq,
                "created_at": member.created_at,
                "deleted_at": member.deleted_at,
                "row_identifier": member.row_identifier,
            }
            for position, member in enumerate(members)
        ]
        if rows:
            await self._session.run(insert(group_members), rows)
        present = group.deleted_at is None
        await self._count(group.account_id, present=int(present), deleted=int(not present))
        return replace(group, seq=seq, members=members)

    async def save(self, group: Group) -> None:
        """Write name, description, tags, metadata; never its members."""
        await self._session.run(update(groups).where(groups.c.seq == group.seq).values(**_editable(group)))

    async def save_row_identifiers(self, group: Group, row_identifiers: Mapping[str, str]) -> None:
        """Make these, by evaluation id, the present members' row identifiers; members not named have none."""
        seqs = await self._hold(group.account_id, [member.evaluation_id for member in group.members])
        await self._session.run(_present_members(group.seq).values(row_identifier=None))
        rows = [
            {"of_group": group.seq, "of_evaluation": seqs[evaluation_id], "column": column}
            for evaluation_id, column in row_identifiers.items()
            if evaluation_id in seqs
        ]
        if rows:
            await self._session.run(_IDENTIFY, rows)

    async def replace_members(self, group: Group, evaluation_ids: Sequence[str], at: datetime) -> None:
        """Make exactly these its members, in this order, at positions after all that were there before.

        An evaluation whose membership had ended joins anew, in the row that it had.
        """
        found = await self._joining(group.account_id, evaluation_ids)
        wanted = [found[evaluation_id].seq for evaluation_id in evaluation_ids]
        statement = select(group_members).where(group_members.c.group_seq == group.seq)
        known = {row.evaluation_seq: row for row in await self._session.rows(statement)}
        leaving = set(known) - set(wanted)
        for some in slices(sorted(leaving)):
            leave = _present_members(group.seq).where(group_members.c.evaluation_seq.in_(some))
            await self._session.run(leave.values(deleted_at=at))
        first = 1 + max((row.position for row in known.values()), default=-1)
        staying, joining = [], []
        for position, evaluation_seq in enumerate(wanted, first):
            before = known.get(evaluation_seq)
            if before is not None:
                again = before.deleted_at is not None
                staying.append(
                    {
                        "of_group": group.seq,
                        "of_evaluation": evaluation_seq,
                        "place": position,
                        "joined_at": at if again else before.created_at,
                        "column": None if again else before.row_identifier,
                    }
                )
            else:
                row = {"group_seq": group.seq, "position": position, "evaluation_seq": evaluation_seq}
                joining.append({**row, "created_at": at})
        if staying:
            await self._session.run(_STAY, staying)
        if joining:
            await self._session.run(insert(group_members), joining)

    async def delete(self, group: Group, at: datetime) -> None:
        """Mark it and its present memberships deleted, all at one time."""
        await self._hold(group.account_id, [member.evaluation_id for member in group.members])
        await self._session.run(_present_members(group.seq).values(deleted_at=at))
        await self._session.run(update(groups).where(groups.c.seq == group.seq).values(deleted_at=at))
        await self._count(group.account_id, present=-1, deleted=1)

    async def get(self, account_id: str, group_id: str, *, include_deleted: bool = False) -> Group | None:
        """The account's group with that id, with its members and their evaluations."""
        statement = select(*_COLUMNS).where(groups.c.id == group_id, groups.c.account_id == account_id)
        row = await self._session.row(statement)
        if row is None or (row.deleted_at is not None and not include_deleted):
            return None
        return (await self._complete([row]))[0]

    async def list(
        self, account_id: str, page: PageRequest, where: TextFilter, *, evaluation_id: str | None = None
    ) -> Page[Group]:
        """A page of the account's groups; `evaluation_id`: those that it is a member of now."""
        members = select(*_COLUMNS).where(groups.c.account_id == account_id)
        matches = members.where(*text_conditions(groups, where))
        if not where.include_archived:
            matches = matches.where(groups.c.deleted_at.is_(None))
        if evaluation_id is not None:
            member = select(evaluations.c.seq).where(evaluations.c.id == evaluation_id).scalar_subquery()
            of_member = select(group_members.c.group_seq).where(
                group_members.c.evaluation_seq == member, group_members.c.deleted_at.is_(None)
            )
            matches = matches.where(groups.c.seq.in_(of_member))
        total = None
        if evaluation_id is None and not where.name and not where.tags:
            total = await self._total(account_id, with_deleted=where.include_archived)
        listing = Listing(matches, members, groups.c.id, _ORDERS, total)
        rows, total, has_more = await page_rows(self._session, listing, page)
        return Page(await self._complete(rows), total, has_more)

    async def remove_evaluations(self, evaluation_ids: Sequence[str], at: datetime) -> None:
        """Mark the evaluations' memberships deleted."""
        for some in in_lists(evaluation_ids):
            leaving = select(evaluations.c.seq).where(evaluations.c.id.in_(some))
            await self._session.run(
                update(group_members)
                .where(group_members.c.evaluation_seq.in_(leaving), group_members.c.deleted_at.is_(None))
                .values(deleted_at=at)
            )

    async def _hold(self, account_id: str, evaluation_ids: Sequence[str]) -> dict[str, int]:
        """The sequence numbers, by id, of the account's unarchived evaluations among these. None of them can be
        archived before this transaction ends: whoever writes memberships holds their evaluations first, and
        always in the order of their ids, so that two writers never wait for each other."""
        held: dict[str, int] = {}
        for some in slices(sorted(set(evaluation_ids))):
            statement = (
                select(evaluations.c.id, evaluations.c.seq)
                .where(
                    evaluations.c.account_id == account_id,
                    evaluations.c.id.in_(some),
                    evaluations.c.archived_at.is_(None),
                )
                .order_by(evaluations.c.id)
                .with_for_update(read=True)
            )
            held.update((row.id, row.seq) for row in await self._session.rows(statement))
        return held

    async def _joining(self, account_id: str, evaluation_ids: Sequence[str]) -> dict[str, MemberEvaluation]:
        """The evaluations by id, held. RuleViolation when one is unknown in the account or archived."""
        seqs = await self._hold(account_id, evaluation_ids)
        unknown = [evaluation_id for evaluation_id in evaluation_ids if evaluation_id not in seqs]
        if unknown:
            raise RuleViolation(f"evaluation_ids: no such evaluation: {_shown(unknown)}")
        found = await read_evaluations(self._session, list(seqs.values()))
        return {evaluation.id: evaluation for evaluation in found}

    async def _count(self, account_id: str, *, present: int, deleted: int) -> None:
        """Add to the account's counters. The last thing that a transaction does: others wait for it here."""
        first = self._session.dialect.insert_unless_exists(group_counts)
        await self._session.run(first.values(account_id=account_id, present=0, deleted=0))
        await self._session.run(
            update(group_counts)
            .where(group_counts.c.account_id == account_id)
            .values(present=group_counts.c.present + present, deleted=group_counts.c.deleted + deleted)
        )

    async def _total(self, account_id: str, *, with_deleted: bool) -> int:
        statement = select(group_counts).where(group_counts.c.account_id == account_id)
        counts = (await self._session.run(statement)).first()
        if counts is None:
            return 0
        return int(counts.present + counts.deleted if with_deleted else counts.present)

    async def _complete(self, rows: Sequence[Row[Any]]) -> Sequence[Group]:
        members = await read_members(self._session, [row.seq for row in rows])
        return [_to_group(row, tuple(members.get(row.seq, ()))) for row in rows]


_ONE_MEMBER = update(group_members).where(
    group_members.c.group_seq == bindparam("of_group", type_=SEQUENCE),
    group_members.c.evaluation_seq == bindparam("of_evaluation", type_=SEQUENCE),
)
_IDENTIFY = _ONE_MEMBER.where(group_members.c.deleted_at.is_(None)).values(
    row_identifier=bindparam("column", type_=Words())
)
_STAY = _ONE_MEMBER.values(
    position=bindparam("place", type_=Integer()),
    created_at=bindparam("joined_at", type_=Moment()),
    deleted_at=None,
    row_identifier=bindparam("column", type_=Words()),
)


def _present_members(group_seq: int) -> Update:
    """Changes the memberships that have not ended."""
    return update(group_members).where(group_members.c.group_seq == group_seq, group_members.c.deleted_at.is_(None))


def _editable(group: Group) -> dict[str, Any]:
    return {**naming(group.name, group.description, group.tags), "metadata": group.metadata}


def _shown(identifiers: Sequence[str]) -> str:
    """The first few identifiers, cut short, for a message."""
    rest = len(identifiers) - 5
    text = ", ".join(identifier[:100] for identifier in identifiers[:5])
    return f"{text} and {rest} more" if rest > 0 else text


def _to_group(row: Row[Any], members: tuple[GroupMember, ...]) -> Group:
    """The group of a row of `_COLUMNS`, which come as the driver gives them."""
    seq, identifier, account_id, name, description, tags, document, created_at, creator, creator_type, deleted_at = (
        tuple(row)
    )
    return Group(
        id=identifier,
        seq=seq,
        account_id=account_id,
        name=name,
        description=description,
        tags=tuple(load_json(tags)),
        metadata=None if document is None else load_json(document),
        created_at=from_micros(created_at),
        created_by=Identity(creator, creator_type),
        deleted_at=None if deleted_at is None else from_micros(deleted_at),
        members=members,
    )
