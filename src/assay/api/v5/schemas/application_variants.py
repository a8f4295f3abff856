"""Application variants on the v5 wire: an extension of Assay's."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from assay.api.shared.bodies import BodyModel
from assay.api.v5.schemas.entities import Identity, Name
from assay.core.applications import VariantVersion

Endpoint = Annotated[
    dict[str, Any],
    Field(
        description="`url`; `method`, `headers`, `request`, `response`, `protocol`, `timeout_seconds`, `max_attempts`."
    ),
]


class RegisterVariant(BodyModel):
    """A new variant that can be called. Without an `application_spec_id` an application of the same name is made."""

    name: Name
    endpoint: Endpoint
    description: str | None = None
    application_spec_id: Annotated[str, Field(min_length=1)] | None = None


class ChangeVariant(BodyModel):
    """Changes to a variant: only what is sent changes. An `endpoint` replaces the one that is there as a whole."""

    name: Name | None = None
    endpoint: Endpoint | None = None
    description: str | None = None

    @field_validator("name", "endpoint")
    @classmethod
    def _is_there(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("cannot be null")
        return value


class RegisteredVariant(BaseModel):
    """One configuration of an application, whichever version of the API made it. Headers show their secrets' names."""

    id: str
    object: Literal["application_variant"]
    application_spec_id: str
    name: str
    version: VariantVersion
    description: str | None
    endpoint: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    created_by: Identity
    archived_at: datetime | None


class RegisteredVariantPage(BaseModel):
    """A page of application variants."""

    object: Literal["list"]
    items: list[RegisteredVariant]
    total: int
    has_more: bool
    limit: int


class DeletedVariant(BaseModel):
    """Says that a variant was archived."""

    id: str
    object: Literal["application_variant"]
    deleted: Literal[True]


class DryRunApplication(BodyModel):
    """What a variant is to be called with, once."""

    inputs: dict[str, Any]
    history: list[dict[str, Any]] | None = None
    operation_metadata: dict[str, Any] | None = None
    overrides: dict[str, Any] | None = None


class ApplicationFault(BaseModel):
    """Why there is no output, as an item's task error would say."""

    type: str
    message: str


class ApplicationUsage(BaseModel):
    """What the call cost; tokens are null where the mapping finds none."""

    latency: float
    attempts: int
    prompt_tokens: int | None
    completion_tokens: int | None


class ApplicationDryRun(BaseModel):
    """What was sent (the body, never the headers), and what the response mapping made of the answer; `raw` is the
    beginning of an answer that could not be used."""

    object: Literal["application_variant.dry_run"]
    request: Any
    output: Any
    extra_info: Any
    spans: list[dict[str, Any]]
    ignored: str | None
    usage: ApplicationUsage
    error: ApplicationFault | None
    raw: str | None
