"""What several of version 4's answers and requests share: pages, creators, times."""

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field

Item = TypeVar("Item")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


Text = Annotated[str, Field(min_length=1)]
"""Text that is not empty."""

Time = Annotated[datetime, Field(strict=False), AfterValidator(_aware)]
"""A time in a request; one without a zone is UTC."""


class Numbered(BaseModel, Generic[Item]):
    """A page: `items`, the exact number of all matches, and the page's own number and size."""

    items: list[Item]
    total_item_count: int
    current_page: int
    items_per_page: int


class Entity(BaseModel):
    """What every stored thing shows: its id, its account, who made it and when, and since when it is archived."""

    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: Literal["user", "service_account"]
    archived_at: datetime | None
