"""Which account a version 4 request is about: named in the query or body, else by header, else the key's own."""

from typing import Annotated

from fastapi import Depends

from assay.api.shared.auth import FromCaller
from assay.api.v4.paging import OptionalText


def listed_accounts(caller: FromCaller, account_id: OptionalText = None) -> tuple[str, ...]:
    """The accounts that a list covers: the one that is named by `account_id` or the header, else all of the
    key's. 403 for one that the key does not open."""
    acting = caller.within(account_id)
    return (acting.account_id,) if acting.selected else acting.accounts


FromAccounts = Annotated[tuple[str, ...], Depends(listed_accounts)]
"""A list route's parameter: `accounts: FromAccounts`; it documents and reads `account_id`."""
