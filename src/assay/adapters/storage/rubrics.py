"""Rubrics and their criteria."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, func, insert, literal, select, update

from assay.adapters.storage.codec import fold, fold_tags
from assay.adapters.storage.paging import Listing, null_last, page_rows, text_conditions
from assay.adapters.storage.rubric_tables import rubric_criteria, rubric_versions, rubrics
from assay.adapters.storage.session import Session, slices
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest
from assay.core.rubrics import Criterion, Rubric, RubricVersion
from assay.ports.storage import TextFilter

_ORDERS = {
    "created_at": (rubrics.c.created_at, rubrics.c.seq),
    "updated_at": (null_last(rubrics.c.updated_at), rubrics.c.seq),
    "title": (rubrics.c.title, rubrics.c.seq),
    "version": (rubrics.c.version, rubrics.c.seq),
    "id": (rubrics.c.id,),
}


def _changeable(rubric: Rubric) -> dict[str, Any]:
    return {
        "title": rubric.title,
        "name_folded": fold(rubric.title),
        "tags": list(rubric.tags),
        "tags_folded": fold_tags(rubric.tags),
        "version": rubric.version,
        "updated_at": rubric.updated_at,
        "archived_at": rubric.archived_at,
    }


def _rubric(row: Row[Any]) -> Rubric:
    return Rubric(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        title=row.title,
        tags=tuple(row.tags),
        version=row.version,
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        updated_at=row.updated_at,
        archived_at=row.archived_at,
    )


def _criterion(row: Row[Any]) -> Criterion:
    return Criterion(
        row.id, row.rubric_id, row.position, row.version, row.title, row.weight, row.annotations, row.created_at
    )


class SqlRubrics:
    """Implements `ports.rubrics.RubricRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, rubric: Rubric) -> Rubric:
        """Add it with its first version; returns it with its seq."""
        seq = await self._session.added(
            insert(rubrics).values(
                id=rubric.id,
                account_id=rubric.account_id,
                created_at=rubric.created_at,
                created_by_id=rubric.created_by.id,
                created_by_type=rubric.created_by.type,
                **_changeable(rubric),
            )
        )
        await self._add_version(rubric, rubric.created_at)
        return replace(rubric, seq=seq)

    async def get(self, account_id: str, rubric_id: str) -> Rubric | None:
        """The account's rubric with that id."""
        row = await self._session.row(
            select(rubrics).where(rubrics.c.id == rubric_id, rubrics.c.account_id == account_id)
        )
        return None if row is None else _rubric(row)

    async def list(
        self, account_id: str, page: PageRequest, *, title: str | None = None, tags: Sequence[str] = ()
    ) -> Page[Rubric]:
        """A page of the account's rubrics that are not archived."""
        members = select(rubrics).where(rubrics.c.account_id == account_id)
        where = text_conditions(rubrics, TextFilter(title, tuple(tags)))
        matches = members.where(rubrics.c.archived_at.is_(None), *where)
        rows, total, has_more = await page_rows(self._session, Listing(matches, members, rubrics.c.id, _ORDERS), page)
        return Page([_rubric(row) for row in rows], total, has_more)

    async def save(self, rubric: Rubric) -> None:
        """Write what can change of a rubric, and its version if it is a new one."""
        await self._session.run(update(rubrics).where(rubrics.c.id == rubric.id).values(**_changeable(rubric)))
        if await self.version(rubric, rubric.version) is None:
            await self._add_version(rubric, rubric.updated_at or rubric.created_at)

    async def _add_version(self, rubric: Rubric, at: datetime) -> None:
        await self._session.run(
            insert(rubric_versions).values(
                rubric_id=rubric.id,
                version=rubric.version,
                title=rubric.title,
                tags=list(rubric.tags),
                created_at=at,
            )
        )

    async def version(self, rubric: Rubric, number: int) -> RubricVersion | None:
        """One of its versions."""
        if not 1 <= number <= rubric.version:
            return None
        found = await self._session.rows(
            select(rubric_versions).where(rubric_versions.c.rubric_id == rubric.id, rubric_versions.c.version == number)
        )
        return RubricVersion(number, found[0].title, tuple(found[0].tags), found[0].created_at) if found else None

    async def add_criteria(self, criteria: Sequence[Criterion]) -> None:
        """Add versions of criteria."""
        rows = [
            {
                "rubric_id": each.rubric_id,
                "position": each.position,
                "version": each.version,
                "id": each.id,
                "title": each.title,
                "weight": each.weight,
                "annotations": None if each.annotations is None else dict(each.annotations),
                "created_at": each.created_at,
            }
            for each in criteria
        ]
        if rows:
            await self._session.run(insert(rubric_criteria), rows)

    async def criteria(
        self, rubric_ids: Sequence[str], *, as_of: datetime | None = None
    ) -> Mapping[str, Sequence[Criterion]]:
        """The rubrics' criteria in order, each in its newest version then."""
        found: dict[str, list[Criterion]] = {}
        for some in slices(rubric_ids):
            there = select(
                rubric_criteria.c.rubric_id,
                rubric_criteria.c.position,
                func.max(rubric_criteria.c.version).label("newest"),
            ).where(rubric_criteria.c.rubric_id.in_(some))
            if as_of is not None:
                there = there.where(rubric_criteria.c.created_at <= literal(as_of, rubric_criteria.c.created_at.type))
            newest = there.group_by(rubric_criteria.c.rubric_id, rubric_criteria.c.position).subquery()
            statement = select(rubric_criteria).join(
                newest,
                and_(
                    rubric_criteria.c.rubric_id == newest.c.rubric_id,
                    rubric_criteria.c.position == newest.c.position,
                    rubric_criteria.c.version == newest.c.newest,
                ),
            )
            ordered = statement.order_by(rubric_criteria.c.rubric_id, rubric_criteria.c.position)
            for row in await self._session.rows(ordered):
                found.setdefault(row.rubric_id, []).append(_criterion(row))
        return found

    async def criterion_versions(self, rubric_id: str, criterion_id: str) -> Sequence[Criterion]:
        """Every version of a rubric's criterion, oldest first."""
        statement = select(rubric_criteria).where(
            rubric_criteria.c.rubric_id == rubric_id, rubric_criteria.c.id == criterion_id
        )
        return [_criterion(row) for row in await self._session.rows(statement.order_by(rubric_criteria.c.version))]
