"""Registered models on the v5 wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from assay.api.shared.bodies import BodyModel

Word = Literal["generic", "completion", "chat_completion"]


def _plain(name: str) -> str:
    if not name.isprintable() or name != name.strip():
        raise ValueError("a model's name holds no control characters and no blanks at its ends")
    return name


PlainName = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]


class CreateModel(BodyModel):
    """A model to register. `vendor_configuration` belongs to vendors that deploy models, which Assay leaves out."""

    model_config = ConfigDict(protected_namespaces=())

    name: PlainName
    model_vendor: Annotated[str, Field(min_length=1, max_length=100)]
    model_type: Word | None = None
    model_metadata: dict[str, Any] | None = None
    vendor_configuration: dict[str, Any] | None = None
    on_conflict: Literal["error", "update"] | None = None


class UpdateModel(BodyModel):
    """Changes to a model: only what is sent changes."""

    model_config = ConfigDict(protected_namespaces=())

    name: PlainName | None = None
    on_conflict: Literal["error", "swap"] | None = None
    model_metadata: dict[str, Any] | None = None
    vendor_configuration: dict[str, Any] | None = None

    @field_validator("name")
    @classmethod
    def _named(cls, name: str | None) -> str:
        if name is None:
            raise ValueError("a model needs a name")
        return name


class Model(BaseModel):
    """A registered model. `status` is always `ready`: nothing is deployed; `model_availability` and `status_reason`
    say when this server's settings cannot call it."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["model"]
    name: str
    model_type: Word
    model_vendor: str
    model_availability: Literal["unknown", "available", "unavailable"]
    model_metadata: dict[str, Any] | None
    status: Literal["ready"]
    status_reason: str | None
    vendor_configuration: None
    created_at: datetime
    created_by_identity_type: Literal["user", "service_account"]
    created_by_user_id: str


class ModelPage(BaseModel):
    """A page of registered models."""

    object: Literal["list"]
    items: list[Model]
    total: int
    has_more: bool
    limit: int


class DeletedModel(BaseModel):
    """Says that a model's record is gone."""

    id: str
    object: Literal["model"]
    deleted: Literal[True]
