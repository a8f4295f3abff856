"""Studio projects: made, changed, archived. Their key is asked for by clients and never kept."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import uuid_utils

from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Slice
from assay.core.studio_projects import StudioProject
from assay.ports.clock import Clock
from assay.ports.storage import Storage
from assay.services.catalogue import archive, find, unarchived


class StudioProjects:
    """The use cases of studio projects."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, name: str, description: str) -> StudioProject:
        """Make a project in the caller's account."""
        project = StudioProject(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            name=name,
            description=description,
            created_at=self._clock.now(),
            created_by=caller.identity,
        )
        async with self._storage.write() as work:
            return await work.studio_projects.add(project)

    async def get(self, caller: Caller, project_id: str) -> StudioProject:
        """One project in any of the caller's accounts, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            return await find(work.studio_projects, StudioProject, caller, project_id)

    async def list(self, account_ids: Sequence[str], page: NumberedPage) -> Slice[StudioProject]:
        """A page of the accounts' projects that are not archived, newest first."""
        async with self._storage.read() as work:
            return await work.studio_projects.list(account_ids, page)

    async def update(self, caller: Caller, project_id: str, changes: Mapping[str, Any]) -> StudioProject:
        """Change name or description. Raises NotFound, and RuleViolation for an archived one."""
        async with self._storage.write() as work:
            project = replace(
                unarchived(await find(work.studio_projects, StudioProject, caller, project_id)), **changes
            )
            await work.studio_projects.save(project)
        return project

    async def archive(self, caller: Caller, project_id: str) -> bool:
        """Hide a project; whether it was not hidden yet. Raises NotFound."""
        async with self._storage.write() as work:
            return await archive(work.studio_projects, StudioProject, caller, project_id, self._clock.now())
