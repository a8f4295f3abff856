"""Keyset pages: rows strictly after or before a cursor's row, which cost the same however deep they lie.

A cursor's row need only be in the same account and the same parent: it may have left the list since (been
archived or renamed by the very caller who is paging), and the rest of the list is still well defined.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, literal, tuple_

from assay.adapters.storage.codec import fold, fold_tag
from assay.adapters.storage.dialects import position_in
from assay.adapters.storage.session import Session
from assay.adapters.storage.tables import Moment, Words
from assay.core.errors import InvalidCursor, InvalidInput
from assay.core.paging import PageRequest
from assay.ports.storage import TextFilter

NEVER = datetime.max.replace(tzinfo=UTC)


def null_last(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """A time as a sort key: missing ones come last when ascending, and first when descending."""
    return func.coalesce(column, literal(NEVER, Moment()), type_=Moment())


@dataclass(frozen=True, slots=True)
class Listing:
    """A list to take pages from: every match, the keys by name of their order, and where cursors are found.

    The last key of each order is unique. Of `members`, only where it looks matters, not what it selects.
    `total` is the number of all matches where somebody keeps count; None: they are counted.
    """

    matches: Select[Any]
    members: Select[Any]
    identifier: ColumnElement[str]
    orders: Mapping[str, Sequence[ColumnElement[Any]]]
    total: int | None = None


def unknown_order(sort_by: str, orders: Iterable[str]) -> InvalidInput:
    """There is no such order."""
    return InvalidInput.at(("query", "sort_by"), f"cannot sort by {sort_by!r}; one of: {', '.join(sorted(orders))}")


def page_cursor(page: PageRequest) -> tuple[str, str] | None:
    """The name of the page's cursor and the id that it is."""
    if page.ending_before is not None:
        return "ending_before", page.ending_before
    return None if page.starting_after is None else ("starting_after", page.starting_after)


async def page_rows(session: Session, listing: Listing, page: PageRequest) -> tuple[list[Row[Any]], int, bool]:
    """The rows of a page in sort order, the number of all matches, and whether more lie that way."""
    if page.sort_by not in listing.orders:
        raise unknown_order(page.sort_by, listing.orders)
    keys = listing.orders[page.sort_by]
    backwards = page.ending_before is not None
    ascending = (page.sort_order == "asc") != backwards
    statement = listing.matches
    cursor = page_cursor(page)
    if cursor is not None:
        at = await _cursor_keys(session, listing, keys, *cursor)
        here, there = tuple_(*keys), tuple_(*at)
        statement = statement.where(here > there if ascending else here < there)
    order = [key.asc() if ascending else key.desc() for key in keys]
    found = list(await session.rows(statement.order_by(*order).limit(page.limit + 1)))
    has_more = len(found) > page.limit
    del found[page.limit :]
    if backwards:
        found.reverse()
    if listing.total is not None:
        return found, listing.total, has_more
    if cursor is None and not has_more:
        return found, len(found), False
    total = (await session.rows(listing.matches.with_only_columns(func.count(), maintain_column_froms=True)))[0][0]
    return found, total, has_more


async def _cursor_keys(
    session: Session, listing: Listing, keys: Sequence[ColumnElement[Any]], name: str, cursor: str
) -> list[ColumnElement[Any]]:
    statement = listing.members.with_only_columns(*keys, maintain_column_froms=True)
    found = await session.rows(statement.where(listing.identifier == cursor).limit(1))
    if not found:
        raise InvalidCursor(name, cursor)
    return [literal(value, key.type) for value, key in zip(found[0], keys, strict=True)]


def text_conditions(table: Any, where: TextFilter) -> list[ColumnElement[bool]]:
    """The conditions of a name and tags filter on a table that has both folded."""
    conditions = []
    if where.name:
        conditions.append(position_in(table.c.name_folded, literal(fold(where.name), Words())) > 0)
    for tag in where.tags:
        conditions.append(position_in(table.c.tags_folded, literal(fold_tag(tag), Words())) > 0)
    return conditions
