"""Groups and their members."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, exists, insert, select, update

from assay.adapters.storage.datasets import naming
from assay.adapters.storage.evaluations import SqlEvaluations
from assay.adapters.storage.paging import Listing, page_rows, text_conditions
from assay.adapters.storage.session import Session, in_lists
from assay.adapters.storage.tables import evaluations, group_members, groups
from assay.core.groups import Group, GroupMember
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest
from assay.ports.storage import TextFilter

_ORDERS = {
    "created_at": (groups.c.created_at, groups.c.seq),
    "name": (groups.c.name, groups.c.seq),
    "id": (groups.c.id,),
}


class SqlGroups:
    """Implements `ports.storage.GroupRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._evaluations = SqlEvaluations(session)

    async def add(self, group: Group) -> Group:
        """Add it with its members, whose evaluations exist in its account."""
        seq = await self._session.added(
            insert(groups).values(
                id=group.id,
                account_id=group.account_id,
                **naming(group.name, group.description, group.tags),
                metadata=group.metadata,
                created_at=group.created_at,
                created_by_id=group.created_by.id,
                created_by_type=group.created_by.type,
                deleted_at=group.deleted_at,
            )
        )
        found = await self._evaluations.get_many(group.account_id, [member.evaluation_id for member in group.members])
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
        return replace(group, seq=seq, members=members)

    async def get(self, account_id: str, group_id: str, *, include_deleted: bool = False) -> Group | None:
        """The account's group with that id, with its members and their evaluations."""
        row = await self._session.row(select(groups).where(groups.c.id == group_id, groups.c.account_id == account_id))
        if row is None or (row.deleted_at is not None and not include_deleted):
            return None
        return (await self._complete([row]))[0]

    async def list(
        self, account_id: str, page: PageRequest, where: TextFilter, *, evaluation_id: str | None = None
    ) -> Page[Group]:
        """A page of the account's groups; `evaluation_id`: those that it is a member of now."""
        members = select(groups).where(groups.c.account_id == account_id)
        matches = members.where(*text_conditions(groups, where))
        if not where.include_archived:
            matches = matches.where(groups.c.deleted_at.is_(None))
        if evaluation_id is not None:
            matches = matches.where(
                exists().where(
                    group_members.c.group_seq == groups.c.seq,
                    group_members.c.evaluation_seq == evaluations.c.seq,
                    group_members.c.deleted_at.is_(None),
                    evaluations.c.id == evaluation_id,
                )
            )
        listing = Listing(matches, members, groups.c.id, _ORDERS)
        rows, total, has_more = await page_rows(self._session, listing, page)
        return Page(await self._complete(rows), total, has_more)

    async def remove_evaluation(self, evaluation_id: str, at: datetime) -> None:
        """Mark the evaluation's memberships deleted."""
        member = select(evaluations.c.seq).where(evaluations.c.id == evaluation_id).scalar_subquery()
        await self._session.run(
            update(group_members)
            .where(group_members.c.evaluation_seq == member, group_members.c.deleted_at.is_(None))
            .values(deleted_at=at)
        )

    async def _complete(self, rows: Sequence[Row[Any]]) -> Sequence[Group]:
        memberships: dict[int, list[Row[Any]]] = {}
        for some in in_lists([row.seq for row in rows]):
            statement = (
                select(group_members)
                .where(group_members.c.group_seq.in_(some))
                .order_by(group_members.c.group_seq, group_members.c.position)
            )
            for membership in await self._session.rows(statement):
                memberships.setdefault(membership.group_seq, []).append(membership)
        seqs = {each.evaluation_seq for members in memberships.values() for each in members}
        found = await self._evaluations.by_seq(sorted(seqs))
        return [
            _to_group(
                row,
                tuple(
                    GroupMember(
                        found[each.evaluation_seq].id,
                        each.created_at,
                        each.deleted_at,
                        each.row_identifier,
                        found[each.evaluation_seq],
                    )
                    for each in memberships.get(row.seq, ())
                ),
            )
            for row in rows
        ]


def _to_group(row: Row[Any], members: tuple[GroupMember, ...]) -> Group:
    return Group(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        name=row.name,
        description=row.description,
        tags=tuple(row.tags),
        metadata=row.metadata,
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        deleted_at=row.deleted_at,
        members=members,
    )
