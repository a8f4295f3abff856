"""Application specs and their variants: made, changed, archived, restored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import uuid_utils

from assay.core.applications import ApplicationSpec, ApplicationVariant, VariantVersion, check_configuration
from assay.core.endpoints import Endpoint, Protocol, read_endpoint
from assay.core.errors import InvalidInput, Problem, RuleViolation
from assay.core.identity import Caller
from assay.core.paging import NumberedPage, Page, PageRequest, Slice
from assay.ports.applications import Applications
from assay.ports.clock import Clock
from assay.ports.storage import Storage
from assay.services.catalogue import archive, find, find_to_use, restore, unarchived

CONFIGURATION = ("body", "configuration")


def endpoint_of(variant: ApplicationVariant, protocol: Protocol) -> Endpoint:
    """The endpoint of a variant that is to be called. Raises RuleViolation, naming what is missing."""
    given = variant.configuration.get("endpoint")
    if given is None:
        if variant.version is VariantVersion.OFFLINE:
            missing = "is OFFLINE: its outputs are uploaded, it cannot be called"
        else:
            missing = "has no endpoint: give it one in configuration.endpoint, with at least a url"
        raise RuleViolation(f"application variant {variant.id} {missing}")
    try:
        endpoint = read_endpoint(given, ("configuration", "endpoint"))
    except InvalidInput as invalid:
        raise RuleViolation(f"application variant {variant.id}: {invalid.message}") from invalid
    if endpoint.protocol != protocol:
        message = f"its endpoint speaks the protocol {endpoint.protocol!r}, and {protocol!r} is needed"
        raise RuleViolation(f"application variant {variant.id}: {message} (configuration.endpoint.protocol)")
    return endpoint


@dataclass(frozen=True, slots=True)
class NewSpec:
    """An application spec to make."""

    name: str
    description: str
    run_online_evaluation: bool | None = None
    theme_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewVariant:
    """An application variant to make, of a spec in the same account."""

    application_spec_id: str
    name: str
    version: VariantVersion
    configuration: Mapping[str, Any]
    description: str | None = None
    draft: bool = False
    published_at: datetime | None = None


class ApplicationSpecs:
    """The use cases of application specs."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, new: NewSpec) -> ApplicationSpec:
        """Make a spec in the caller's account."""
        spec = ApplicationSpec(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            name=new.name,
            description=new.description,
            created_at=self._clock.now(),
            created_by=caller.identity,
            run_online_evaluation=new.run_online_evaluation,
            theme_id=new.theme_id,
        )
        async with self._storage.write() as work:
            return await work.application_specs.add(spec)

    async def get(self, caller: Caller, spec_id: str) -> ApplicationSpec:
        """One spec in any of the caller's accounts, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            return await find(work.application_specs, ApplicationSpec, caller, spec_id)

    async def list(
        self, account_ids: Sequence[str], page: NumberedPage, *, include_archived: bool = False
    ) -> Slice[ApplicationSpec]:
        """A page of the accounts' specs, newest first."""
        async with self._storage.read() as work:
            return await work.application_specs.list(account_ids, page, include_archived=include_archived)

    async def update(self, caller: Caller, spec_id: str, changes: Mapping[str, Any]) -> ApplicationSpec:
        """Change the fields named in `changes`: name, description, run_online_evaluation, theme_id.

        Raises NotFound, and RuleViolation for an archived one.
        """
        async with self._storage.write() as work:
            found = await find(work.application_specs, ApplicationSpec, caller, spec_id)
            spec = replace(unarchived(found), **changes)
            await work.application_specs.save(spec)
        return spec

    async def restore(self, caller: Caller, spec_id: str) -> ApplicationSpec:
        """Show an archived spec again. Raises NotFound."""
        async with self._storage.write() as work:
            return await restore(work.application_specs, ApplicationSpec, caller, spec_id)

    async def archive(self, caller: Caller, spec_id: str) -> bool:
        """Hide a spec; what belongs to it stays. Whether it was not hidden yet. Raises NotFound."""
        async with self._storage.write() as work:
            return await archive(work.application_specs, ApplicationSpec, caller, spec_id, self._clock.now())


class ApplicationVariants:
    """The use cases of application variants."""

    def __init__(self, storage: Storage, clock: Clock, applications: Applications) -> None:
        self._storage = storage
        self._clock = clock
        self._applications = applications

    async def create(self, caller: Caller, new: NewVariant) -> ApplicationVariant:
        """Make a variant in the caller's account.

        Raises InvalidInput for a configuration that its version cannot have and an endpoint that may not be
        called, NotFound for a spec that is not
        in the account, RuleViolation for an archived one.
        """
        await self._check(new.version, new.configuration)
        at = self._clock.now()
        async with self._storage.write() as work:
            spec = await find_to_use(
                work.application_specs, ApplicationSpec, caller.account_id, new.application_spec_id
            )
            return await work.application_variants.add(
                ApplicationVariant(
                    id=str(uuid_utils.uuid7()),
                    seq=0,
                    account_id=caller.account_id,
                    application_spec_id=spec.id,
                    name=new.name,
                    version=new.version,
                    configuration=new.configuration,
                    created_at=at,
                    created_by=caller.identity,
                    updated_at=at,
                    description=new.description,
                    draft=new.draft,
                    published_at=new.published_at,
                )
            )

    async def register(self, caller: Caller, new: NewVariant) -> ApplicationVariant:
        """Make a variant that can be called, of the spec that it names or, where that is empty, of a new one with
        its own name. Errors as in `create`."""
        await self._check(new.version, new.configuration)
        if not new.application_spec_id:
            specs = ApplicationSpecs(self._storage, self._clock)
            spec = await specs.create(caller, NewSpec(new.name, new.description or ""))
            new = replace(new, application_spec_id=spec.id)
        return await self.create(caller, new)

    async def page(
        self,
        caller: Caller,
        page: PageRequest,
        *,
        include_archived: bool = False,
        application_spec_id: str | None = None,
    ) -> Page[ApplicationVariant]:
        """A page of the account's variants by cursor."""
        async with self._storage.read() as work:
            return await work.application_variants.page(
                caller.account_id, page, include_archived=include_archived, application_spec_id=application_spec_id
            )

    async def get(self, caller: Caller, variant_id: str) -> ApplicationVariant:
        """One variant in any of the caller's accounts, archived or not. Raises NotFound."""
        async with self._storage.read() as work:
            return await find(work.application_variants, ApplicationVariant, caller, variant_id)

    async def list(
        self, account_ids: Sequence[str], page: NumberedPage, *, application_spec_id: str | None = None
    ) -> Slice[ApplicationVariant]:
        """A page of the accounts' variants that are not archived, newest first; of one spec if it is named."""
        async with self._storage.read() as work:
            return await work.application_variants.list(account_ids, page, parent_id=application_spec_id)

    async def update(self, caller: Caller, variant_id: str, changes: Mapping[str, Any]) -> ApplicationVariant:
        """Change the fields named in `changes`: name, description, configuration.

        The keys of a new configuration replace those of the old one; keys that it does not name stay. Raises
        NotFound, RuleViolation for an archived one, InvalidInput for a configuration that does not fit.
        """
        if "configuration" in changes:
            # Before anything is locked: a name is looked up. Nobody changes a variant's version.
            found = await self.get(caller, variant_id)
            await self._check(found.version, {**found.configuration, **changes["configuration"]})
        async with self._storage.write() as work:
            found = unarchived(await find(work.application_variants, ApplicationVariant, caller, variant_id))
            if not changes:
                return found
            configuration = {**found.configuration, **changes.get("configuration", {})}
            if "configuration" in changes:
                check_configuration(found.version, configuration, CONFIGURATION)
            variant = replace(found, **{**changes, "configuration": configuration, "updated_at": self._clock.now()})
            await work.application_variants.save(variant)
        return variant

    async def _check(self, version: VariantVersion, configuration: Mapping[str, Any]) -> None:
        check_configuration(version, configuration, CONFIGURATION)
        if configuration.get("endpoint") is None:
            return
        loc = (*CONFIGURATION, "endpoint")
        problems = await self._applications.problems(read_endpoint(configuration["endpoint"], loc))
        if problems:
            raise InvalidInput([Problem((*loc, *each.loc), each.message, "invalid_endpoint") for each in problems])

    async def archive(self, caller: Caller, variant_id: str) -> bool:
        """Hide a variant; evaluations of it stay, and its id keeps its meaning. Whether it was not hidden yet.
        Raises NotFound."""
        async with self._storage.write() as work:
            return await archive(work.application_variants, ApplicationVariant, caller, variant_id, self._clock.now())
