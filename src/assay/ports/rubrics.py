"""Storage of rubrics and their criteria, with every version of both. Conventions as in `ports.storage`."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from assay.core.paging import Page, PageRequest
from assay.core.rubrics import Criterion, Rubric, RubricVersion


class RubricRepository(Protocol):
    """Rubrics. Archived ones are found by id and never listed."""

    async def add(self, rubric: Rubric) -> Rubric:
        """Add it with its first version; returns it with its seq."""
        ...

    async def get(self, account_id: str, rubric_id: str) -> Rubric | None:
        """The account's rubric with that id. In a writing transaction nobody else changes it before this one
        ends."""
        ...

    async def list(
        self, account_id: str, page: PageRequest, *, title: str | None = None, tags: Sequence[str] = ()
    ) -> Page[Rubric]:
        """A page of the account's rubrics whose title contains `title` in any case and that have all `tags`.
        Orders: created_at, updated_at, title, version, id."""
        ...

    async def save(self, rubric: Rubric) -> None:
        """Write what can change of a rubric, and its version if it is a new one."""
        ...

    async def version(self, rubric: Rubric, number: int) -> RubricVersion | None:
        """One of its versions."""
        ...

    async def add_criteria(self, criteria: Sequence[Criterion]) -> None:
        """Add versions of criteria."""
        ...

    async def criteria(
        self, rubric_ids: Sequence[str], *, as_of: datetime | None = None
    ) -> Mapping[str, Sequence[Criterion]]:
        """The rubrics' criteria in order, each in its newest version, by rubric: now, or as of a time. Rubrics
        without criteria are not in it."""
        ...

    async def criterion_versions(self, rubric_id: str, criterion_id: str) -> Sequence[Criterion]:
        """Every version of a rubric's criterion, oldest first; none when there is no such criterion in it."""
        ...
