"""What several answers show: identities, datasets, tags, and the text rules that requests share."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema


def _without_comma(tag: str) -> str:
    if "," in tag:
        raise ValueError("a tag must not contain a comma: lists of tags travel joined by commas")
    if not tag.strip():
        raise ValueError("a tag must not be blank")
    return tag


def _true(value: bool) -> bool:
    if not value:
        raise ValueError("restore can only be true; DELETE archives")
    return value


Restore = Annotated[bool, AfterValidator(_true), WithJsonSchema({"const": True, "type": "boolean"})]
"""`true` and nothing else. (A literal would do, were 1 not equal to it.)"""

Name = Annotated[str, Field(min_length=1, max_length=500)]
Tag = Annotated[str, Field(max_length=200), AfterValidator(_without_comma)]
Tags = Annotated[list[Tag], Field(max_length=200)]


class Identity(BaseModel):
    """Who made a thing."""

    id: str
    type: Literal["user", "service_account"]
    object: Literal["identity"]


class Dataset(BaseModel):
    """A named list of rows; every change of rows makes a new version."""

    id: str
    object: Literal["dataset"]
    name: str
    description: str | None
    tags: list[str]
    current_version_num: int
    created_at: datetime
    created_by: Identity
    archived_at: datetime | None
