"""Query parameters: comma-joined lists, words from a fixed set, and pages."""

from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, Literal

from fastapi import Depends, Query
from pydantic import BeforeValidator

from assay.core.errors import InvalidInput, Problem
from assay.core.paging import PageRequest

RawList = Annotated[
    list[str] | None, Query(description="Values joined by commas; repeating the parameter adds to them.")
]
"""A list parameter as FastAPI reads it; pass it through `split_list` or `split_words`."""


def split_list(raw: Sequence[str] | None) -> tuple[str, ...]:
    """Every value of a list parameter: repeats are collected and each is split at commas; empties are dropped."""
    return tuple(part for text in raw or () for part in (piece.strip() for piece in text.split(",")) if part)


def split_words(parameter: str, raw: Sequence[str] | None, allowed: Collection[str]) -> frozenset[str]:
    """A list parameter whose values must be among `allowed`; raises InvalidInput naming the ones that are not."""
    words = split_list(raw)
    choices = ", ".join(sorted(allowed))
    problems = [
        Problem(("query", parameter), f"unknown value; there are: {choices}", "enum", word)
        for word in words
        if word not in allowed
    ]
    if problems:
        raise InvalidInput(problems)
    return frozenset(words)


def _absent_when_blank(value: Any) -> Any:
    return None if value in ("", "null") else value


OptionalWord = BeforeValidator(_absent_when_blank)
"""Makes an empty or `null` parameter an absent one: `Annotated[Literal[...] | None, OptionalWord, Query()]`."""


def page_parameters(
    sort_by: Sequence[str], *, max_limit: int = 10_000, default_order: Literal["asc", "desc"] = "asc"
) -> Callable[..., PageRequest]:
    """A dependency that reads `limit`, the cursors and the sort order: `page: Annotated[PageRequest,
    Depends(page_parameters(("created_at", "name")))]`. The first of `sort_by` is the default."""

    def read(
        limit: Annotated[int, Query(ge=1, le=max_limit, description="At most this many items.")] = 100,
        starting_after: Annotated[
            str | None, OptionalWord, Query(description="The page after the item with this id.")
        ] = None,
        ending_before: Annotated[
            str | None, OptionalWord, Query(description="The page before the item with this id.")
        ] = None,
        sort_column: Annotated[
            str | None, OptionalWord, Query(alias="sort_by", json_schema_extra={"enum": [*sort_by, None]})
        ] = None,
        sort_order: Annotated[Literal["asc", "desc"] | None, OptionalWord, Query()] = None,
    ) -> PageRequest:
        if starting_after is not None and ending_before is not None:
            message = "send starting_after or ending_before, not both"
            raise InvalidInput.at(("query", "ending_before"), message, type="conflicting_cursors")
        if sort_column is not None and sort_column not in sort_by:
            message = f"cannot sort by this; there are: {', '.join(sort_by)}"
            raise InvalidInput([Problem(("query", "sort_by"), message, "enum", sort_column)])
        return PageRequest(limit, starting_after, ending_before, sort_column or sort_by[0], sort_order or default_order)

    return read


def page_of(*sort_by: str, max_limit: int = 10_000) -> Any:
    """`Depends(page_parameters(sort_by, max_limit=...))`, for `page: Annotated[PageRequest, page_of("created_at")]`."""
    return Depends(page_parameters(sort_by, max_limit=max_limit))
