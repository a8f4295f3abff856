"""Version 4's queries: numbered pages and their envelope, lists in all the ways clients send them, sort tokens."""

from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from assay.api.shared.queries import OptionalWord, split_list
from assay.api.shared.rendering import json_response
from assay.core.errors import InvalidInput, Problem
from assay.core.paging import NumberedPage, Slice, SortKey

LARGEST_LIMIT = 10_000
LARGEST_PAGE = 2**31 - 1


def read_page(
    page: Annotated[int, Query(ge=1, le=LARGEST_PAGE, description="The page's number, from 1.")] = 1,
    limit: Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="At most this many items.")] = 100,
) -> NumberedPage:
    """The page that a request asks for."""
    return NumberedPage(page, limit)


FromPage = Annotated[NumberedPage, Depends(read_page)]
"""A route's parameter: `page: FromPage`."""

OptionalText = Annotated[str | None, OptionalWord, Query()]
"""A query parameter that an empty value or `null` leaves out."""


def list_of(name: str, allowed: Collection[str] = ()) -> Any:
    """A list parameter as a tuple: joined by commas, repeated, or as `name[]`.

    `view: Annotated[tuple[str, ...], list_of("view", ("Questions",))]`; a value that is not among `allowed`
    (when there are any) is a 422. Each value comes once, in the order sent.
    """
    return Depends(_list_reader(name, allowed))


def _list_reader(name: str, allowed: Collection[str]) -> Callable[..., tuple[str, ...]]:
    shown = {"enum": sorted(allowed)} if allowed else {}

    def read(
        plain: Annotated[
            list[str] | None,
            Query(alias=name, description="Values joined by commas.", json_schema_extra={"items": shown}),
        ] = None,
        bracketed: Annotated[list[str] | None, Query(alias=f"{name}[]", include_in_schema=False)] = None,
    ) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(split_list([*(plain or ()), *(bracketed or ())])))
        if allowed:
            _refuse_unknown(name, words, allowed)
        return words

    return read


def _refuse_unknown(name: str, words: Sequence[str], allowed: Collection[str]) -> None:
    message = f"unknown value; there are: {', '.join(sorted(allowed))}"
    problems = [Problem(("query", name), message, "enum", word) for word in words if word not in allowed]
    if problems:
        raise InvalidInput(problems)


def sorted_page_of(*fields: str) -> Any:
    """A page whose `sort_by` tokens are `field:asc` and `field:desc` of these fields, the left one first:
    `page: Annotated[NumberedPage, sorted_page_of("name", "created_at")]`."""
    tokens = tuple(f"{field}:{way}" for field in fields for way in ("asc", "desc"))

    def read(
        page: FromPage, sort_by: Annotated[tuple[str, ...], Depends(_list_reader("sort_by", tokens))]
    ) -> NumberedPage:
        order = tuple(SortKey(field, way == "desc") for field, _, way in (token.partition(":") for token in sort_by))
        return NumberedPage(page.number, page.limit, order)

    return Depends(read)


def page_answer(items: Sequence[Any], found: Slice[Any], page: NumberedPage) -> Response:
    """A page in its envelope. `items` are rendered from `found`. Past the end it is empty, which is what ends
    the official client's iteration."""
    return json_response(
        {
            "items": items,
            "total_item_count": found.total,
            "current_page": page.number,
            "items_per_page": page.limit,
        }
    )
