"""Cursor pages: what is asked for and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A page asked for: at most `limit` rows strictly after or before the row with the cursor's id.

    Rows are ordered by (`sort_by`, insertion sequence); missing sort values come last when ascending. With
    `ending_before` the page is the rows immediately before the cursor, still in normal order.
    At most one of the two cursors is set.
    """

    limit: int = 100
    starting_after: str | None = None
    ending_before: str | None = None
    sort_by: str = "created_at"
    sort_order: Literal["asc", "desc"] = "asc"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page: its rows in sort order, the exact number of all matches, and whether more lie that way."""

    items: Sequence[T]
    total: int
    has_more: bool
