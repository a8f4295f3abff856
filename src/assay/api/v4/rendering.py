"""What all of version 4's answers share: who made a thing, and what a deletion says."""

from typing import Any

from fastapi import Response
from pydantic import BaseModel

from assay.api.shared.rendering import json_response
from assay.core.identity import Identity


class Deleted(BaseModel):
    """How many things were deleted: 1, or 0 when it had been deleted before."""

    success: bool
    count: int


def render_creator(creator: Identity) -> dict[str, Any]:
    """Who made it: `created_by_user_id` and `created_by_identity_type`."""
    return {"created_by_user_id": creator.id, "created_by_identity_type": creator.type}


def deleted_answer(count: int) -> Response:
    """What every DELETE answers; True counts as 1 and False as 0."""
    return json_response({"success": True, "count": int(count)})
