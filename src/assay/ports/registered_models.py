"""Storage of the models that accounts have registered. Conventions as in `ports.storage`."""

from collections.abc import Sequence
from typing import Protocol

from assay.core.paging import Page, PageRequest
from assay.core.registered_models import RegisteredModel


class RegisteredModelRepository(Protocol):
    """The registered models of all accounts. Whoever adds or renames holds the account first (reads it in the same
    writing transaction), so that nobody takes the name in between."""

    async def add(self, model: RegisteredModel) -> RegisteredModel:
        """Add it; returns it with its seq. Its name is free."""
        ...

    async def get(self, account_id: str, model_id: str) -> RegisteredModel | None:
        """The account's model with that id."""
        ...

    async def named(self, account_id: str, vendor: str, name: str) -> RegisteredModel | None:
        """The account's model with that name at that vendor."""
        ...

    async def list(
        self, account_id: str, page: PageRequest, *, name: str | None = None, vendor: str | None = None
    ) -> Page[RegisteredModel]:
        """A page of the account's models: `name` is a part of theirs, in any case. sort_by: created_at, name, id."""
        ...

    async def every(self, account_id: str, vendor: str | None = None) -> Sequence[RegisteredModel]:
        """All of the account's models, of one vendor or any, in the order in which they were registered."""
        ...

    async def save(self, model: RegisteredModel) -> None:
        """Write name, type and metadata. Its name is free."""
        ...

    async def swap_names(self, one: RegisteredModel, other: RegisteredModel) -> None:
        """Give each of two models of one vendor the other's name."""
        ...

    async def delete(self, model_id: str) -> None:
        """Remove it for good."""
        ...
