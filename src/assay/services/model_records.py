"""Records of models that somebody hosts: templates, models and their deployments, kept as clients describe them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uuid_utils

from assay.core.errors import NotFound
from assay.core.identity import Caller
from assay.core.model_records import ModelDeployment, ModelInstance, ModelTemplate
from assay.core.paging import NumberedPage, Slice
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork
from assay.services.catalogue import archive, find, find_to_use, unarchived

EVERY = NumberedPage(limit=10_000)


@dataclass(frozen=True, slots=True)
class ShownInstance:
    """A model, how many deployments it has, and those deployments when they were asked for."""

    instance: ModelInstance
    deployment_count: int
    deployments: Sequence[ModelDeployment] | None = None


class ModelTemplates:
    """The use cases of model templates. They never change."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, name: str, details: Mapping[str, Any]) -> ModelTemplate:
        """Write down a template in the caller's account."""
        template = ModelTemplate(
            str(uuid_utils.uuid7()), 0, caller.account_id, name, details, self._clock.now(), caller.identity
        )
        async with self._storage.write() as work:
            return await work.model_templates.add(template)

    async def get(self, caller: Caller, template_id: str) -> ModelTemplate:
        """One template in any of the caller's accounts, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            return await find(work.model_templates, ModelTemplate, caller, template_id)

    async def list(self, account_ids: Sequence[str], page: NumberedPage) -> Slice[ModelTemplate]:
        """A page of the accounts' templates that are not archived, newest first."""
        async with self._storage.read() as work:
            return await work.model_templates.list(account_ids, page)

    async def archive(self, caller: Caller, template_id: str) -> bool:
        """Hide a template; whether it was not hidden yet. Raises NotFound."""
        async with self._storage.write() as work:
            return await archive(work.model_templates, ModelTemplate, caller, template_id, self._clock.now())


class ModelInstances:
    """The use cases of models."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, name: str, details: Mapping[str, Any]) -> ShownInstance:
        """Write down a model in the caller's account. NotFound for a template that is not in it, RuleViolation for
        an archived one."""
        instance = ModelInstance(
            str(uuid_utils.uuid7()), 0, caller.account_id, name, details, self._clock.now(), caller.identity
        )
        async with self._storage.write() as work:
            await _check_template(work, instance)
            return ShownInstance(await work.model_instances.add(instance), 0)

    async def get(self, caller: Caller, instance_id: str, *, deployments: bool = False) -> ShownInstance:
        """One model in any of the caller's accounts, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            instance = await find(work.model_instances, ModelInstance, caller, instance_id)
            return (await _shown(work, [instance], deployments=deployments))[0]

    async def list(
        self,
        account_ids: Sequence[str],
        page: NumberedPage,
        *,
        model_type: str | None = None,
        group_id: str | None = None,
        deployments: bool = False,
    ) -> Slice[ShownInstance]:
        """A page of the accounts' models that are not archived, of a type and in a group where they are named, newest
        first."""
        async with self._storage.read() as work:
            found = await work.model_instances.like(account_ids, page, model_type=model_type, group_id=group_id)
            return Slice(await _shown(work, found.items, deployments=deployments), found.total)

    async def update(
        self, caller: Caller, instance_id: str, *, name: str | None, details: Mapping[str, Any]
    ) -> ShownInstance:
        """Change the name, unless None, and the details that are named. Errors as for `create`, and RuleViolation for
        an archived one."""
        async with self._storage.write() as work:
            found = unarchived(await find(work.model_instances, ModelInstance, caller, instance_id))
            instance = replace(found, name=name or found.name, details={**found.details, **details})
            if "model_template_id" in details:
                await _check_template(work, instance)
            await work.model_instances.save(instance)
            return (await _shown(work, [instance], deployments=False))[0]

    async def archive(self, caller: Caller, instance_id: str) -> bool:
        """Hide a model; whether it was not hidden yet. Raises NotFound."""
        async with self._storage.write() as work:
            return await archive(work.model_instances, ModelInstance, caller, instance_id, self._clock.now())


class ModelDeployments:
    """The use cases of deployments. Nothing is deployed: they are what a client wrote down."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, instance_id: str, name: str, details: Mapping[str, Any]) -> ModelDeployment:
        """Write down a deployment of a model, in its account. Raises NotFound, and RuleViolation when the model is
        archived."""
        async with self._storage.write() as work:
            instance = unarchived(await find(work.model_instances, ModelInstance, caller, instance_id))
            return await work.model_deployments.add(
                ModelDeployment(
                    id=str(uuid_utils.uuid7()),
                    seq=0,
                    account_id=instance.account_id,
                    instance_id=instance.id,
                    name=name,
                    details=details,
                    created_at=self._clock.now(),
                    created_by=caller.identity,
                )
            )

    async def get(self, caller: Caller, instance_id: str, deployment_id: str) -> ModelDeployment:
        """One deployment of a model, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            return await _deployment(work, caller, instance_id, deployment_id)

    async def list(self, caller: Caller, instance_id: str, page: NumberedPage) -> Slice[ModelDeployment]:
        """A page of a model's deployments that are not archived, newest first. Raises NotFound."""
        async with self._storage.read() as work:
            instance = await find(work.model_instances, ModelInstance, caller, instance_id)
            return await work.model_deployments.list([instance.account_id], page, parent_id=instance.id)

    async def list_all(self, account_ids: Sequence[str], page: NumberedPage) -> Slice[ModelDeployment]:
        """A page of the accounts' deployments that are not archived, newest first."""
        async with self._storage.read() as work:
            return await work.model_deployments.list(account_ids, page)

    async def update(
        self, caller: Caller, instance_id: str, deployment_id: str, *, name: str | None, details: Mapping[str, Any]
    ) -> ModelDeployment:
        """Change the name, unless None, and the details that are named. Raises NotFound, RuleViolation."""
        async with self._storage.write() as work:
            found = unarchived(await _deployment(work, caller, instance_id, deployment_id))
            deployment = replace(found, name=name or found.name, details={**found.details, **details})
            await work.model_deployments.save(deployment)
        return deployment

    async def archive(self, caller: Caller, instance_id: str, deployment_id: str) -> bool:
        """Hide a deployment; whether it was not hidden yet. Raises NotFound."""
        async with self._storage.write() as work:
            found = await _deployment(work, caller, instance_id, deployment_id)
            return await archive(work.model_deployments, ModelDeployment, caller, found.id, self._clock.now())


async def _deployment(work: UnitOfWork, caller: Caller, instance_id: str, deployment_id: str) -> ModelDeployment:
    found = await find(work.model_deployments, ModelDeployment, caller, deployment_id)
    if found.instance_id != instance_id:
        raise NotFound("model deployment", deployment_id)
    return found


async def _check_template(work: UnitOfWork, instance: ModelInstance) -> None:
    template_id = instance.details.get("model_template_id")
    if template_id is not None:
        await find_to_use(work.model_templates, ModelTemplate, instance.account_id, template_id)


async def _shown(work: UnitOfWork, instances: Sequence[ModelInstance], *, deployments: bool) -> list[ShownInstance]:
    counts = await work.model_deployments.counts([each.id for each in instances])
    shown = []
    for each in instances:
        listed = None
        if deployments:
            listed = (await work.model_deployments.list([each.account_id], EVERY, parent_id=each.id)).items
        shown.append(ShownInstance(each, counts.get(each.id, 0), listed))
    return shown
