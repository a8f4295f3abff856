"""Application specs and variants on the v4 wire."""

from datetime import datetime
from typing import Annotated, Any, ClassVar

from pydantic import Field

from assay.api.shared.bodies import BodyModel
from assay.api.v4.bodies import Changes, PartialChanges
from assay.api.v4.schemas.entities import Entity, Text, Time
from assay.core.applications import VariantVersion


class CreateApplicationSpec(BodyModel):
    """A new application spec."""

    account_id: str | None = None
    name: Text
    description: str
    run_online_evaluation: bool | None = None
    theme_id: str | None = None


class UpdateApplicationSpec(Changes):
    """Changes to an application spec, or `restore`."""

    clearable: ClassVar[frozenset[str]] = frozenset({"run_online_evaluation", "theme_id"})

    name: Text | None = None
    description: str | None = None
    run_online_evaluation: bool | None = None
    theme_id: str | None = None


class ApplicationSpec(Entity):
    """An application, as a grouping of evaluations."""

    name: str
    description: str
    run_online_evaluation: bool | None
    theme_id: str | None
    parent_application_spec_id: str | None


class CreateApplicationVariant(BodyModel):
    """A new application variant; `configuration` is as `version` wants it."""

    account_id: str | None = None
    application_spec_id: str
    name: Text
    version: Annotated[VariantVersion, Field(strict=False)]
    configuration: dict[str, Any]
    description: str | None = None
    draft: bool = False
    published_at: Time | None = None


class UpdateApplicationVariant(PartialChanges):
    """Changes to an application variant. The keys of `configuration` replace those that are there."""

    clearable: ClassVar[frozenset[str]] = frozenset({"description"})

    name: Text | None = None
    description: str | None = None
    configuration: dict[str, Any] | None = None


class ProcessInputs(BodyModel):
    """A run of a variant: its inputs (of V0 by node first), and what else its endpoint's request mapping passes on."""

    inputs: dict[str, Any]
    history: list[dict[str, Any]] | None = None
    operation_metadata: dict[str, Any] | None = None
    overrides: dict[str, Any] | None = None
    stream: bool | None = None


class ApplicationVariant(Entity):
    """One configuration of an application."""

    application_spec_id: str
    name: str
    version: VariantVersion
    configuration: dict[str, Any]
    description: str | None
    draft: bool
    published_at: datetime | None
    updated_at: datetime
