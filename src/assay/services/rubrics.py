"""Rubrics and their criteria: made, changed as new versions, archived and restored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import uuid_utils

from assay.core.errors import InvalidCursor, NotFound, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import Page, PageRequest
from assay.core.rubrics import Criterion, Rubric, RubricVersion, rubric_document
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork

DEFAULT_WEIGHT = 1.0
MOST_CRITERIA = 1000


@dataclass(frozen=True, slots=True)
class NewCriterion:
    """A criterion to make."""

    title: str
    weight: float = DEFAULT_WEIGHT
    annotations: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class FilledRubric:
    """A rubric with its criteria as they are now, in order."""

    rubric: Rubric
    criteria: tuple[Criterion, ...]


class Rubrics:
    """The use cases of rubrics. Each change is one transaction that reads, decides and writes."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(
        self, caller: Caller, title: str, tags: Sequence[str], criteria: Sequence[NewCriterion]
    ) -> FilledRubric:
        """Make a rubric at version 1 with its criteria, each at version 1."""
        now = self._clock.now()
        rubric = Rubric(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            title=title,
            tags=tuple(tags),
            version=1,
            created_at=now,
            created_by=caller.identity,
        )
        made = [_made(rubric, position, each, now) for position, each in enumerate(criteria)]
        async with self._storage.write() as work:
            rubric = await work.rubrics.add(rubric)
            await work.rubrics.add_criteria(made)
        return FilledRubric(rubric, tuple(made))

    async def get(self, caller: Caller, rubric_id: str) -> FilledRubric:
        """One rubric, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            return await _filled(work, await _found(work, caller.account_id, rubric_id))

    async def list(
        self, caller: Caller, page: PageRequest, *, title: str | None = None, tags: Sequence[str] = ()
    ) -> Page[FilledRubric]:
        """A page of the account's rubrics; archived ones are never in it."""
        async with self._storage.read() as work:
            found = await work.rubrics.list(caller.account_id, page, title=title, tags=tags)
            criteria = await work.rubrics.criteria([rubric.id for rubric in found.items])
        filled = [FilledRubric(rubric, tuple(criteria.get(rubric.id, ()))) for rubric in found.items]
        return Page(filled, found.total, found.has_more)

    async def update(self, caller: Caller, rubric_id: str, changes: Mapping[str, Any]) -> FilledRubric:
        """Change `title` or `tags`, as a new version. RuleViolation when there is neither, or it is archived."""
        if not changes:
            raise RuleViolation("nothing to change: give title, tags or restore")
        async with self._storage.write() as work:
            rubric = await _open(work, caller.account_id, rubric_id)
            at = self._clock.now()
            rubric = replace(rubric, **changes, version=rubric.version + 1, updated_at=at)
            await work.rubrics.save(rubric)
            return await _filled(work, rubric)

    async def archive(self, caller: Caller, rubric_id: str) -> Rubric:
        """Hide a rubric; its criteria stay. RuleViolation when it is hidden already."""
        async with self._storage.write() as work:
            rubric = replace(await _open(work, caller.account_id, rubric_id), archived_at=self._clock.now())
            await work.rubrics.save(rubric)
        return rubric

    async def restore(self, caller: Caller, rubric_id: str) -> FilledRubric:
        """Show an archived rubric again; makes no version, and nothing to do when it is shown."""
        async with self._storage.write() as work:
            rubric = await _found(work, caller.account_id, rubric_id)
            if rubric.archived_at is not None:
                rubric = replace(rubric, archived_at=None)
                await work.rubrics.save(rubric)
            return await _filled(work, rubric)

    async def add_criterion(self, caller: Caller, rubric_id: str, new: NewCriterion) -> Criterion:
        """Add a criterion at the end, at version 1. The rubric's version stays."""
        async with self._storage.write() as work:
            rubric = await _open(work, caller.account_id, rubric_id)
            there = (await _filled(work, rubric)).criteria
            if len(there) >= MOST_CRITERIA:
                raise RuleViolation(f"a rubric has at most {MOST_CRITERIA} criteria")
            made = _made(rubric, max((each.position for each in there), default=-1) + 1, new, self._clock.now())
            await work.rubrics.add_criteria([made])
        return made

    async def update_criterion(
        self, caller: Caller, rubric_id: str, criterion_id: str, changes: Mapping[str, Any]
    ) -> Criterion:
        """Change `title`, `weight` or `annotations`, as a new version of the criterion; the rest is carried over."""
        if not changes:
            raise RuleViolation("nothing to change: give title, weight or annotations")
        async with self._storage.write() as work:
            rubric = await _open(work, caller.account_id, rubric_id)
            newest = (await _versions(work, rubric, criterion_id))[-1]
            changed = replace(newest, **changes, version=newest.version + 1, created_at=self._clock.now())
            await work.rubrics.add_criteria([changed])
        return changed

    async def criterion_versions(
        self, caller: Caller, rubric_id: str, criterion_id: str, page: PageRequest
    ) -> Page[Criterion]:
        """A page of a criterion's versions, ordered by version. All of them share the id, so that cursors are
        version numbers; the id itself stands for the place before the first. InvalidCursor for any other."""
        async with self._storage.read() as work:
            rubric = await _found(work, caller.account_id, rubric_id)
            versions = list(await _versions(work, rubric, criterion_id))
        if page.sort_order == "desc":
            versions.reverse()
        total = len(versions)
        numbers = [str(each.version) for each in versions]
        if page.ending_before is not None:
            before = versions[: _place("ending_before", page.ending_before, numbers, criterion_id)]
            return Page(before[-page.limit :], total, len(before) > page.limit)
        if page.starting_after is not None and page.starting_after != criterion_id:
            versions = versions[_place("starting_after", page.starting_after, numbers, criterion_id) + 1 :]
        return Page(versions[: page.limit], total, len(versions) > page.limit)


def _place(name: str, cursor: str, numbers: Sequence[str], criterion_id: str) -> int:
    if cursor == criterion_id:
        return 0
    if cursor not in numbers:
        raise InvalidCursor(name, cursor[:100])
    return numbers.index(cursor)


async def rubric_material(work: UnitOfWork, account_id: str, rubric_id: str, version: int | None) -> dict[str, Any]:
    """A rubric for a judge: as it is now, or the title and tags of a version with the criteria as they were when
    that version was made. Raises NotFound, and RuleViolation when it is archived or has no such version."""
    rubric = await _open(work, account_id, rubric_id)
    if version is None:
        now = RubricVersion(rubric.version, rubric.title, rubric.tags, rubric.created_at)
        return rubric_document(now, (await _filled(work, rubric)).criteria)
    pinned = await work.rubrics.version(rubric, version)
    if pinned is None:
        raise RuleViolation(f"rubric {rubric_id} has no version {version}; the newest is {rubric.version}")
    criteria = await work.rubrics.criteria([rubric.id], as_of=pinned.created_at)
    return rubric_document(pinned, criteria.get(rubric.id, ()))


def _made(rubric: Rubric, position: int, new: NewCriterion, at: datetime) -> Criterion:
    return Criterion(str(uuid_utils.uuid7()), rubric.id, position, 1, new.title, new.weight, new.annotations, at)


async def _found(work: UnitOfWork, account_id: str, rubric_id: str) -> Rubric:
    rubric = await work.rubrics.get(account_id, rubric_id)
    if rubric is None:
        raise NotFound("rubric", rubric_id)
    return rubric


async def _open(work: UnitOfWork, account_id: str, rubric_id: str) -> Rubric:
    rubric = await _found(work, account_id, rubric_id)
    if rubric.archived_at is not None:
        raise RuleViolation(f"rubric {rubric_id} is archived; restore it first")
    return rubric


async def _filled(work: UnitOfWork, rubric: Rubric) -> FilledRubric:
    return FilledRubric(rubric, tuple((await work.rubrics.criteria([rubric.id])).get(rubric.id, ())))


async def _versions(work: UnitOfWork, rubric: Rubric, criterion_id: str) -> Sequence[Criterion]:
    versions = await work.rubrics.criterion_versions(rubric.id, criterion_id)
    if not versions:
        raise NotFound("criterion", criterion_id)
    return versions
