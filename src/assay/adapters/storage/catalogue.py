"""How the things that evaluations are made from are stored: one way for all kinds, and what differs by kind."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import Column, Row, Select, Table, func, insert, select, update

from assay.adapters.storage.session import Session, slices
from assay.core.identity import Identity
from assay.core.paging import NumberedPage, Slice

Entity = TypeVar("Entity")


def creation(row: Row[Any]) -> dict[str, Any]:
    """What all kinds have in common, of a row."""
    return {
        "id": row.id,
        "seq": row.seq,
        "account_id": row.account_id,
        "created_at": row.created_at,
        "created_by": Identity(row.created_by_id, row.created_by_type),
        "archived_at": row.archived_at,
    }


class SqlCatalogue(ABC, Generic[Entity]):
    """Implements `ports.catalogue.Catalogue` for one table."""

    table: ClassVar[Table]
    parent: ClassVar[Column[str] | None] = None

    def __init__(self, session: Session) -> None:
        self._session = session

    @abstractmethod
    def _columns(self, entity: Any) -> dict[str, Any]:
        """The columns that can change."""

    @abstractmethod
    def _entity(self, row: Row[Any]) -> Entity:
        """The thing of a row."""

    async def _entities(self, rows: Sequence[Row[Any]]) -> list[Entity]:
        """The things of rows, in their order."""
        return [self._entity(row) for row in rows]

    async def _after_saving(self, seq: int, entity: Entity) -> None:
        """Write what lies in other tables."""

    async def add(self, entity: Any) -> Entity:
        """Add it; returns it with its seq."""
        seq = await self._session.added(
            insert(self.table).values(
                id=entity.id,
                account_id=entity.account_id,
                created_at=entity.created_at,
                created_by_id=entity.created_by.id,
                created_by_type=entity.created_by.type,
                archived_at=entity.archived_at,
                **self._columns(entity),
            )
        )
        await self._after_saving(seq, entity)
        found = await self.get([entity.account_id], entity.id)
        assert found is not None
        return found

    def _within(self, account_ids: Sequence[str]) -> Select[Any]:
        return select(self.table).where(self.table.c.account_id.in_(account_ids))

    def _shown(self) -> Select[Any]:
        return select(self.table).where(self.table.c.archived_at.is_(None))

    def _ordered(self, matches: Select[Any]) -> Select[Any]:
        return matches.order_by(self.table.c.created_at.desc(), self.table.c.seq.desc())

    async def _page(self, matches: Select[Any], page: NumberedPage) -> Slice[Entity]:
        rows = await self._session.rows(self._ordered(matches).limit(page.limit).offset(page.offset))
        counted = matches.with_only_columns(func.count(), maintain_column_froms=True)
        return Slice(await self._entities(rows), (await self._session.rows(counted))[0][0])

    async def get(self, account_ids: Sequence[str], entity_id: str) -> Entity | None:
        """The thing with that id in one of the accounts."""
        row = await self._session.row(self._within(account_ids).where(self.table.c.id == entity_id))
        return None if row is None else (await self._entities([row]))[0]

    async def get_many(self, account_ids: Sequence[str], entity_ids: Sequence[str]) -> Mapping[str, Entity]:
        """Those of the things by id that are in one of the accounts."""
        found: dict[str, Entity] = {}
        for some in slices(entity_ids):
            rows = await self._session.rows(self._within(account_ids).where(self.table.c.id.in_(some)))
            found.update(zip([row.id for row in rows], await self._entities(rows), strict=True))
        return found

    async def list(
        self,
        account_ids: Sequence[str],
        page: NumberedPage,
        *,
        include_archived: bool = False,
        parent_id: str | None = None,
    ) -> Slice[Entity]:
        """A page, newest first, with the exact number of all."""
        matches = self._within(account_ids)
        if not include_archived:
            matches = matches.where(self.table.c.archived_at.is_(None))
        if parent_id is not None:
            assert self.parent is not None
            matches = matches.where(self.parent == parent_id)
        return await self._page(matches, page)

    async def save(self, entity: Any) -> None:
        """Write everything about an existing thing that can change."""
        await self._session.run(
            update(self.table)
            .where(self.table.c.id == entity.id)
            .values(**self._columns(entity), archived_at=entity.archived_at)
        )
        await self._after_saving(entity.seq, entity)
