"""Groups: evaluations put side by side, and the column of each that joins their items."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import uuid_utils

from assay.core.errors import InvalidInput, NotFound, Problem, RuleViolation
from assay.core.groups import Group, GroupMember
from assay.core.identity import Caller
from assay.core.paging import Page, PageRequest
from assay.ports.clock import Clock
from assay.ports.storage import Storage, TextFilter


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group to make. `row_identifiers` names the joining column by evaluation id."""

    name: str
    evaluation_ids: tuple[str, ...]
    description: str | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None
    row_identifiers: Mapping[str, str] = field(default_factory=dict)


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
        async with self._storage.write() as work:
            evaluations = await work.evaluations.get_many(caller.account_id, new.evaluation_ids)
            unknown = [evaluation_id for evaluation_id in new.evaluation_ids if evaluation_id not in evaluations]
            if unknown:
                raise RuleViolation(f"evaluation_ids: no such evaluation: {_shown(unknown)}")
            members = tuple(
                GroupMember(
                    evaluation_id=evaluation_id,
                    created_at=at,
                    row_identifier=new.row_identifiers.get(evaluation_id),
                    evaluation=evaluations[evaluation_id],
                )
                for evaluation_id in new.evaluation_ids
            )
            return await work.groups.add(
                Group(
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
            )

    async def get(self, caller: Caller, group_id: str, *, include_deleted: bool = False) -> Group:
        """One group with its members. NotFound when it is unknown, or deleted and those were not asked for."""
        async with self._storage.read() as work:
            group = await work.groups.get(caller.account_id, group_id, include_deleted=include_deleted)
        if group is None:
            raise NotFound("evaluation group", group_id)
        return _with_its_members(group)

    async def list(
        self, caller: Caller, page: PageRequest, where: TextFilter, *, evaluation_id: str | None = None
    ) -> Page[Group]:
        """A page of the account's groups with their members; with `evaluation_id`, those it is a member of."""
        async with self._storage.read() as work:
            found = await work.groups.list(caller.account_id, page, where, evaluation_id=evaluation_id)
        return replace(found, items=[_with_its_members(group) for group in found.items])


def _with_its_members(group: Group) -> Group:
    """The group without the memberships that ended; a deleted group keeps those that ended with it."""
    members = tuple(member for member in group.members if member.deleted_at in {None, group.deleted_at})
    return group if len(members) == len(group.members) else replace(group, members=members)


def _check_evaluation_ids(evaluation_ids: tuple[str, ...]) -> None:
    loc = ("body", "evaluation_ids")
    if not evaluation_ids:
        raise InvalidInput([Problem(loc, "give at least one evaluation", "too_short")])
    seen: set[str] = set()
    for index, evaluation_id in enumerate(evaluation_ids):
        if evaluation_id in seen:
            raise InvalidInput([Problem((*loc, index), f"named twice: {evaluation_id[:100]}", "duplicate")])
        seen.add(evaluation_id)


def _shown(identifiers: list[str]) -> str:
    """The first few identifiers, cut short, for a message."""
    rest = len(identifiers) - 5
    text = ", ".join(identifier[:100] for identifier in identifiers[:5])
    return f"{text} and {rest} more" if rest > 0 else text
