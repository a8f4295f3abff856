"""Which account a version 4 request is about: named in the query or body, else by header, else the key's own."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends

from assay.api.shared.auth import FromCaller
from assay.api.v4.paging import OptionalText
from assay.core.errors import NotFound
from assay.core.identity import Caller

T = TypeVar("T")


def listed_accounts(caller: FromCaller, account_id: OptionalText = None) -> tuple[str, ...]:
    """The accounts that a list covers: the one that is named by `account_id` or the header, else all of the
    key's. 403 for one that the key does not open."""
    acting = caller.within(account_id)
    return (acting.account_id,) if acting.selected else acting.accounts


FromAccounts = Annotated[tuple[str, ...], Depends(listed_accounts)]
"""A list route's parameter: `accounts: FromAccounts`; it documents and reads `account_id`."""


async def in_its_account(caller: Caller, act: Callable[[Caller], Awaitable[T]]) -> T:
    """Do something to a thing that is in one of the caller's accounts, acting in that account.

    For services that look in `caller.account_id` only. `act` raises NotFound, having changed nothing, when the
    thing is not in the account of the caller that it gets; NotFound when it is in none.
    """
    missing: NotFound | None = None
    for account_id in caller.accounts:
        try:
            return await act(caller.within(account_id))
        except NotFound as error:
            missing = missing or error
    assert missing is not None
    raise missing
