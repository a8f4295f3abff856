"""Registered models: records of models at the vendors that this server has settings for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

import uuid_utils

from assay.core.errors import Conflict, NotConfigured, NotFound, NotOffered, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import Page, PageRequest
from assay.core.registered_models import ModelType, RegisteredModel
from assay.ports.clock import Clock
from assay.ports.inference import Inference
from assay.ports.storage import Storage, UnitOfWork

DEPLOYING_VENDORS = frozenset({"launch", "llmengine"})
"""The platform's own hosting of models, which Assay leaves out."""


@dataclass(frozen=True, slots=True)
class NewModel:
    """A model to register."""

    vendor: str
    name: str
    type: ModelType
    metadata: Mapping[str, Any] | None = None


class ModelChanges(TypedDict, total=False):
    """What changes of a model: only the keys that are there."""

    name: str
    metadata: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a model can be called. `unavailable`: not with this server's settings, and `reason` says which cures
    it; `unknown`: the settings are good, and nobody asked the vendor; `available`: the vendor lists it."""

    availability: Literal["unknown", "available", "unavailable"]
    reason: str | None = None


class RegisteredModels:
    """The use cases of registered models. A record says that a model is there; calls do not look at it."""

    def __init__(self, storage: Storage, clock: Clock, inference: Inference) -> None:
        self._storage = storage
        self._clock = clock
        self._inference = inference

    def standing(self, model: RegisteredModel) -> Standing:
        """Whether it can be called, by the settings alone."""
        problem = self._inference.problem(model.called)
        return Standing("unknown") if problem is None else Standing("unavailable", problem)

    async def create(self, caller: Caller, new: NewModel, *, update: bool = False) -> RegisteredModel:
        """Register a model, or with `update` change the type and metadata of the one that has its name.

        Raises NotOffered for a vendor that would deploy it, NotConfigured for one that this server has no settings
        for, Conflict for a name that is taken.
        """
        self._check_vendor(new)
        async with self._storage.write() as work:
            await _hold_names(work, caller)
            taken = await work.registered_models.named(caller.account_id, new.vendor, new.name)
            if taken is None:
                return await work.registered_models.add(
                    RegisteredModel(
                        id=str(uuid_utils.uuid7()),
                        seq=0,
                        account_id=caller.account_id,
                        vendor=new.vendor,
                        name=new.name,
                        type=new.type,
                        created_at=self._clock.now(),
                        created_by=caller.identity,
                        metadata=new.metadata,
                    )
                )
            if not update:
                raise _taken(taken)
            changed = replace(taken, type=new.type, metadata=new.metadata)
            await work.registered_models.save(changed)
            return changed

    async def get(self, caller: Caller, model_id: str) -> RegisteredModel:
        """One model. Raises NotFound."""
        async with self._storage.read() as work:
            return await _existing(work, caller, model_id)

    async def list(
        self, caller: Caller, page: PageRequest, *, name: str | None = None, vendor: str | None = None
    ) -> Page[RegisteredModel]:
        """A page of the account's models: `name` is a part of theirs, in any case. Raises InvalidCursor."""
        async with self._storage.read() as work:
            return await work.registered_models.list(caller.account_id, page, name=name, vendor=vendor)

    async def update(
        self, caller: Caller, model_id: str, changes: ModelChanges, *, swap: bool = False
    ) -> RegisteredModel:
        """Change name or metadata. With `swap` a model that has the new name at the same vendor gets the old one.

        Raises NotFound, RuleViolation when nothing changes, Conflict for a name that is taken.
        """
        if not changes:
            raise RuleViolation("nothing to change: send a name or model_metadata")
        async with self._storage.write() as work:
            await _hold_names(work, caller)
            model = await _existing(work, caller, model_id)
            changed = replace(model, **changes)
            if changed.name != model.name:
                other = await work.registered_models.named(caller.account_id, model.vendor, changed.name)
                if other is not None and not swap:
                    raise _taken(other)
                if other is not None:
                    await work.registered_models.swap_names(model, other)
            await work.registered_models.save(changed)
            return changed

    async def delete(self, caller: Caller, model_id: str) -> None:
        """Remove a model's record for good. Raises NotFound."""
        async with self._storage.write() as work:
            await work.registered_models.delete((await _existing(work, caller, model_id)).id)

    def _check_vendor(self, new: NewModel) -> None:
        if new.vendor in DEPLOYING_VENDORS:
            raise NotOffered(
                f"deploying models (model_vendor {new.vendor!r}) is not offered by Assay: serve the model elsewhere, "
                "add its address as a vendor in the server's settings, and register it under that vendor's name"
            )
        if new.vendor not in self._inference.vendors:
            raise NotConfigured(self._inference.problem(f"{new.vendor}/{new.name}") or f"no vendor {new.vendor!r}")


async def _hold_names(work: UnitOfWork, caller: Caller) -> None:
    """Who has which name stays so until the transaction ends: the account is held, before any of its models, so
    that no two wait for each other."""
    await work.accounts.get(caller.account_id)


async def _existing(work: UnitOfWork, caller: Caller, model_id: str) -> RegisteredModel:
    model = await work.registered_models.get(caller.account_id, model_id)
    if model is None:
        raise NotFound("model", model_id)
    return model


def _taken(model: RegisteredModel) -> Conflict:
    return Conflict(f"the model {model.called!r} is registered already, as {model.id}")
