"""Groups: evaluations put side by side, and the column of each that joins their items."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

import uuid_utils

from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.groups import Group, GroupMember
from assay.core.identity import Caller
from assay.core.paging import Page, PageRequest
from assay.ports.clock import Clock
from assay.ports.storage import Storage, TextFilter, UnitOfWork


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group to make. `row_identifiers` names the joining column by evaluation id."""

    name: str
    evaluation_ids: tuple[str, ...]
    description: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    row_identifiers: Mapping[str, str] = field(default_factory=dict)


class GroupChanges(TypedDict, total=False):
    """The fields of a group to change; those not named stay. `metadata` None clears it."""

    name: str
    description: str | None
    tags: tuple[str, ...]
    metadata: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class GroupReplacement:
    """What a group becomes. None for `name`, `evaluation_ids` or `row_identifiers`: they stay as they are."""

    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    evaluation_ids: tuple[str, ...] | None = None
    row_identifiers: Mapping[str, str] | None = None


class Groups:
    """The use cases of groups."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, new: NewGroup) -> Group:
        """Make a group, its members in the order given and filled with their evaluations.

        Row identifiers of evaluations that are not in the group are ignored. InvalidInput for no evaluation
        or one named twice; RuleViolation when one is unknown or archived. Nothing is written then.
        """
        _check_evaluation_ids(new.evaluation_ids)
        at = self._clock.now()
        members = tuple(
            GroupMember(evaluation_id, at, row_identifier=new.row_identifiers.get(evaluation_id))
            for evaluation_id in new.evaluation_ids
        )
        group = Group(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            name=new.name,
            description=new.description,
            tags=new.tags,
            metadata=new.metadata,
            created_at=at,
            created_by=caller.identity,
            members=members,
        )
        async with self._storage.write() as work:
            return await work.groups.add(group)

    async def get(self, caller: Caller, group_id: str, *, include_deleted: bool = False) -> Group:
        """One group with its members. NotFound when it is unknown, or deleted and those were not asked for."""
        async with self._storage.read() as work:
            return await _found(work, caller, group_id, include_deleted=include_deleted)

    async def list(
        self, caller: Caller, page: PageRequest, where: TextFilter, *, evaluation_id: str | None = None
    ) -> Page[Group]:
        """A page of the account's groups with their members; with `evaluation_id`, those it is a member of."""
        async with self._storage.read() as work:
            found = await work.groups.list(caller.account_id, page, where, evaluation_id=evaluation_id)
        return replace(found, items=[_with_its_members(group) for group in found.items])

    async def update(
        self, caller: Caller, group_id: str, changes: GroupChanges, row_identifiers: Mapping[str, str] | None = None
    ) -> Group:
        """Change the fields that `changes` has; metadata is merged key by key. With row identifiers these
        become the group's, all of them; those of evaluations that are no members are ignored.

        RuleViolation when there is nothing to change; NotFound when the group is unknown or deleted.
        """
        if not changes and row_identifiers is None:
            raise RuleViolation("nothing to change: give name, description, tags, metadata or row_identifiers")
        async with self._storage.write() as work:
            group = await _found(work, caller, group_id)
            values: dict[str, Any] = {**changes}
            if values.get("metadata") is not None:
                values["metadata"] = {**(group.metadata or {}), **values["metadata"]}
            await work.groups.save(replace(group, **values))
            if row_identifiers is not None:
                await work.groups.save_row_identifiers(group, row_identifiers)
            return await _found(work, caller, group_id)

    async def replace(self, caller: Caller, group_id: str, new: GroupReplacement) -> Group:
        """Replace the group's own fields as a whole, its members when evaluations are given, and its row
        identifiers when those are given; what is not given of these two stays.

        Members that stay keep the time at which they joined. RuleViolation when an evaluation is named twice,
        unknown or archived, or none is named; NotFound when the group is unknown or deleted. Nothing is written
        then.
        """
        if new.evaluation_ids is not None:
            _check_new_members(new.evaluation_ids)
        async with self._storage.write() as work:
            group = await _found(work, caller, group_id)
            name = group.name if new.name is None else new.name
            group = replace(group, name=name, description=new.description, tags=new.tags, metadata=new.metadata)
            await work.groups.save(group)
            if new.evaluation_ids is not None:
                await work.groups.replace_members(group, new.evaluation_ids, self._clock.now())
                group = await _found(work, caller, group_id)
            if new.row_identifiers is not None:
                await work.groups.save_row_identifiers(group, new.row_identifiers)
            return await _found(work, caller, group_id)

    async def archive(self, caller: Caller, group_id: str) -> Group:
        """Delete the group and its memberships at one time; the evaluations stay as they are. It can still be
        read with those members when deleted ones are asked for. NotFound when it is deleted already."""
        async with self._storage.write() as work:
            group = await _found(work, caller, group_id)
            await work.groups.delete(group, self._clock.now())
            return await _found(work, caller, group_id, include_deleted=True)


async def _found(work: UnitOfWork, caller: Caller, group_id: str, *, include_deleted: bool = False) -> Group:
    group = await work.groups.get(caller.account_id, group_id, include_deleted=include_deleted)
    if group is None:
        raise NotFound("evaluation group", group_id)
    return _with_its_members(group)


def _with_its_members(group: Group) -> Group:
    """The group without the memberships that ended; a deleted group keeps those that ended with it."""
    members = tuple(member for member in group.members if member.deleted_at in {None, group.deleted_at})
    return group if len(members) == len(group.members) else replace(group, members=members)


def _check_evaluation_ids(evaluation_ids: Sequence[str]) -> None:
    loc = ("body", "evaluation_ids")
    if not evaluation_ids:
        raise InvalidInput([Problem(loc, "give at least one evaluation", "too_short")])
    twice = _named_twice(evaluation_ids)
    if twice is not None:
        message = f"named twice: {evaluation_ids[twice][:100]}"
        raise InvalidInput([Problem((*loc, twice), message, "duplicate")])


def _check_new_members(evaluation_ids: Sequence[str]) -> None:
    """The same of a group that is there, where a bad membership is one that the group may not come to have."""
    if not evaluation_ids:
        raise RuleViolation("evaluation_ids: a group keeps at least one member; leave them out to change none")
    twice = _named_twice(evaluation_ids)
    if twice is not None:
        raise RuleViolation(f"evaluation_ids: named twice: {evaluation_ids[twice][:100]}")


def _named_twice(evaluation_ids: Sequence[str]) -> int | None:
    """The place of the first evaluation that was named before."""
    seen: set[str] = set()
    for index, evaluation_id in enumerate(evaluation_ids):
        if evaluation_id in seen:
            return index
        seen.add(evaluation_id)
    return None
