"""Selections of evaluations: which, in what order, which page of them; and what comes back."""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.core.filters import Filter


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of an order; missing values come last when ascending and first when descending."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which evaluations of an account, in what order, and which of them to give.

    `sort` is followed by the insertion sequence in the direction of its last key. `offset` counts for pages
    by number; a cursor takes its place otherwise, with `backwards` for the page before it.
    """

    filters: tuple[Filter, ...] = ()
    name: str | None = None
    tags: tuple[str, ...] = ()
    include_archived: bool = False
    sort: tuple[Sort, ...] = (Sort("created_at"),)
    limit: int = 100
    offset: int = 0
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Sequence numbers of a page in its order, the exact number of all matches, and whether more lie that way."""

    seqs: Sequence[int]
    total: int
    has_more: bool
