"""Storage of what evaluations are made from: applications, questions and their sets, evaluation configs.

Every kind is stored in the same way, through one Protocol. Conventions as in `ports.storage`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from assay.core.paging import NumberedPage, Page, PageRequest, Slice
from assay.core.questions import Question

Entity = TypeVar("Entity")


class Catalogue(Protocol[Entity]):
    """The things of one kind. Archived ones are found by id and, when asked for, listed."""

    async def add(self, entity: Entity) -> Entity:
        """Add it; returns it with its seq."""
        ...

    async def get(self, account_ids: Sequence[str], entity_id: str) -> Entity | None:
        """The thing with that id in one of the accounts. In a writing transaction nobody else changes it before
        this one ends."""
        ...

    async def get_many(self, account_ids: Sequence[str], entity_ids: Sequence[str]) -> Mapping[str, Entity]:
        """Those of the things by id that are in one of the accounts."""
        ...

    async def list(
        self,
        account_ids: Sequence[str],
        page: NumberedPage,
        *,
        include_archived: bool = False,
        parent_id: str | None = None,
    ) -> Slice[Entity]:
        """A page, newest first, with the exact number of all. `parent_id`: only those of that parent (of a
        variant, its application spec). `page.order` is not looked at."""
        ...

    async def save(self, entity: Entity) -> None:
        """Write everything about an existing thing that can change."""
        ...


class QuestionCatalogue(Catalogue[Question], Protocol):
    """The questions, which are also listed by cursor."""

    async def page(
        self,
        account_id: str,
        page: PageRequest,
        *,
        ids: Sequence[str] | None = None,
        include_archived: bool = False,
    ) -> Page[Question]:
        """A page of the account's questions; `ids`: only those. Orders: created_at, title, type, id."""
        ...
