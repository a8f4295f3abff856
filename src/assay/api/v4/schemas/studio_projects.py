"""Studio projects on the v4 wire."""

from typing import Annotated

from pydantic import Field, SecretStr

from assay.api.shared.bodies import BodyModel
from assay.api.v4.bodies import PartialChanges
from assay.api.v4.schemas.entities import Entity, Text

Key = Annotated[SecretStr, Field(min_length=1, strict=False, description="Asked for by clients; not kept.")]


class CreateStudioProject(BodyModel):
    """A new studio project."""

    account_id: str | None = None
    name: Text
    description: str
    studio_api_key: Key


class UpdateStudioProject(PartialChanges):
    """Changes to a studio project."""

    name: Text | None = None
    description: str | None = None
    studio_api_key: Key | None = None


class StudioProject(Entity):
    """A studio project, without its key."""

    name: str
    description: str
