"""Pages, by cursor and by number: what is asked for and what comes back."""

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


@dataclass(frozen=True, slots=True)
class SortKey:
    """One part of an order: a field's name, and which way."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class NumberedPage:
    """A page asked for by its number, from 1. `order` is empty for the list's own order; a unique tiebreaker
    always follows it, so that no row is on two pages."""

    number: int = 1
    limit: int = 100
    order: tuple[SortKey, ...] = ()

    @property
    def offset(self) -> int:
        """How many rows lie before this page."""
        return (self.number - 1) * self.limit


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """A numbered page: its rows, none past the end, and the exact number of all matches."""

    items: Sequence[T]
    total: int
