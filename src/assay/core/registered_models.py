"""Models that an account has registered: a name at a vendor, with what is known about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from assay.core.identity import Identity


class ModelType(StrEnum):
    """What a model is for."""

    GENERIC = "generic"
    COMPLETION = "completion"
    CHAT_COMPLETION = "chat_completion"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A record of a model; it is called as `vendor/name`, as an unregistered one is. (vendor, name) is unique in
    an account."""

    id: str
    seq: int
    account_id: str
    vendor: str
    name: str
    type: ModelType
    created_at: datetime
    created_by: Identity
    metadata: Mapping[str, Any] | None = None

    @property
    def called(self) -> str:
        """The name that calls use."""
        return f"{self.vendor}/{self.name}"
