"""The models that accounts have registered."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, Select, delete, insert, literal, select, update

from assay.adapters.storage.codec import fold
from assay.adapters.storage.dialects import position_in
from assay.adapters.storage.model_tables import registered_models as models
from assay.adapters.storage.paging import Listing, page_rows
from assay.adapters.storage.session import Session
from assay.adapters.storage.tables import Words
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest
from assay.core.registered_models import ModelType, RegisteredModel

_ORDERS = {
    "created_at": (models.c.created_at, models.c.seq),
    "name": (models.c.name, models.c.seq),
    "id": (models.c.id,),
}


class SqlRegisteredModels:
    """Implements `ports.registered_models.RegisteredModelRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, model: RegisteredModel) -> RegisteredModel:
        """Add it; returns it with its seq."""
        seq = await self._session.added(
            insert(models).values(
                id=model.id,
                account_id=model.account_id,
                vendor=model.vendor,
                created_at=model.created_at,
                created_by_id=model.created_by.id,
                created_by_type=model.created_by.type,
                **_editable(model),
            )
        )
        return replace(model, seq=seq)

    async def get(self, account_id: str, model_id: str) -> RegisteredModel | None:
        """The account's model with that id."""
        return await self._one(_of(account_id).where(models.c.id == model_id))

    async def named(self, account_id: str, vendor: str, name: str) -> RegisteredModel | None:
        """The account's model with that name at that vendor."""
        return await self._one(_of(account_id, vendor).where(models.c.name == name))

    async def list(
        self, account_id: str, page: PageRequest, *, name: str | None = None, vendor: str | None = None
    ) -> Page[RegisteredModel]:
        """A page of the account's models."""
        matches = _of(account_id, vendor)
        if name:
            matches = matches.where(position_in(models.c.name_folded, literal(fold(name), Words())) > 0)
        listing = Listing(matches, _of(account_id), models.c.id, _ORDERS)
        rows, total, has_more = await page_rows(self._session, listing, page)
        return Page([_model(row) for row in rows], total, has_more)

    async def every(self, account_id: str, vendor: str | None = None) -> Sequence[RegisteredModel]:
        """All of the account's models, oldest first."""
        return [_model(row) for row in await self._session.rows(_of(account_id, vendor).order_by(models.c.seq))]

    async def save(self, model: RegisteredModel) -> None:
        """Write name, type and metadata."""
        await self._session.run(update(models).where(models.c.id == model.id).values(**_editable(model)))

    async def swap_names(self, one: RegisteredModel, other: RegisteredModel) -> None:
        """Give each of two models the other's name, by way of one that no model can have: a name is unique after
        every statement."""
        for model, name in ((one, f"\n{one.id}"), (other, one.name), (one, other.name)):
            await self.save(replace(model, name=name))

    async def delete(self, model_id: str) -> None:
        """Remove it for good."""
        await self._session.run(delete(models).where(models.c.id == model_id))

    async def _one(self, statement: Select[Any]) -> RegisteredModel | None:
        row = await self._session.row(statement)
        return None if row is None else _model(row)


def _of(account_id: str, vendor: str | None = None) -> Select[Any]:
    found = select(models).where(models.c.account_id == account_id)
    return found if vendor is None else found.where(models.c.vendor == vendor)


def _editable(model: RegisteredModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "name_folded": fold(model.name),
        "type": model.type.value,
        "metadata": None if model.metadata is None else dict(model.metadata),
    }


def _model(row: Row[Any]) -> RegisteredModel:
    return RegisteredModel(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        vendor=row.vendor,
        name=row.name,
        type=ModelType(row.type),
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        metadata=row.metadata,
    )
