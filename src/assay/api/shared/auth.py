"""Who asks: turns the `x-api-key` and `x-selected-account-id` headers into a Caller."""

from typing import Annotated

from fastapi import Depends, Header, Security
from fastapi.security import APIKeyHeader

from assay.api.shared.services import FromServices
from assay.core.errors import Forbidden, Unauthenticated
from assay.core.identity import Caller

_api_key = APIKeyHeader(
    name="x-api-key", scheme_name="ApiKey", description="Made by `assay keys create`.", auto_error=False
)


async def authenticate_anybody(
    services: FromServices,
    key: Annotated[str | None, Security(_api_key)] = None,
    account: Annotated[
        str | None,
        Header(alias="x-selected-account-id", description="The account to act in; by default the key's own."),
    ] = None,
) -> Caller:
    """The caller behind the request's key. 401 without a good key, 403 for an account it may not see."""
    if not key:
        raise Unauthenticated("send an API key in the x-api-key header")
    return await services.access.authenticate(key, account or None)


FromAnybody = Annotated[Caller, Depends(authenticate_anybody)]
"""A route's parameter: a route that has it takes any key, a contributor's too."""


async def authenticate(caller: FromAnybody) -> Caller:
    """The caller behind the request's key. 403 also for a contributor's key, which is for annotation tasks alone."""
    if caller.role == "contributor":
        raise Forbidden("this key is a contributor's: it can claim and do annotation tasks, and nothing else")
    return caller


FromCaller = Annotated[Caller, Depends(authenticate)]
"""A route's parameter: `caller: FromCaller`; a route that has it needs a member's key."""
