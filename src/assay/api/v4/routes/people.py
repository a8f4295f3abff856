"""Users and accounts: `/user-info`, `/users` and `/accounts`, which have no version in their paths."""

import uuid
from typing import Annotated, Any

from fastapi import Depends, Response

from assay.api.shared.auth import FromCaller
from assay.api.shared.rendering import json_response, render_identity
from assay.api.shared.services import FromServices
from assay.api.shared.versions import version_router
from assay.api.v4.bodies import CreateBody
from assay.api.v4.schemas.people import CreateAccount, CreatedAccount, User, UserInfo
from assay.core.identity import Account, Identity, Profile

router = version_router("", "Users and accounts (v4)")

PROFILES = uuid.UUID("3a0c9f6e-5a4b-4c53-9a3e-2a3f1f2a5b0d")
"""The name space of access profiles' ids, which are made from the identity and the account."""


@router.get("/user-info", response_model=UserInfo)
async def retrieve_user_info(services: FromServices, caller: FromCaller) -> Response:
    """The caller, with the accounts that the key opens, its default first."""
    return json_response({**_render_profile(await services.access.profile(caller)), "assumed_access_profile": None})


@router.get("/users/{user_id}", response_model=User)
async def retrieve_user(user_id: str, services: FromServices, caller: FromCaller) -> Response:
    """Somebody who has a key of one of the caller's accounts, with the accounts that both have."""
    return json_response(_render_profile(await services.access.user(caller, user_id)))


@router.post("/accounts", response_model=CreatedAccount)
async def create_account(
    services: FromServices, caller: FromCaller, body: Annotated[CreateAccount, Depends(CreateBody(CreateAccount))]
) -> Response:
    """Make an account that the caller's key opens from now on."""
    account = await services.access.create_account(caller, body.account_name)
    return json_response({"account_id": account.id})


def _render_profile(profile: Profile) -> dict[str, Any]:
    identity = profile.identity
    return {
        "id": identity.id,
        "email": identity.id if "@" in identity.id else "",
        "access_profiles": [_render_access(identity, account) for account in profile.accounts],
        "first_name": None,
        "last_name": None,
        "organization_id": None,
        "is_organization_admin": False,
        "is_deployment_admin": False,
        "preferences": {},
    }


def _render_access(identity: Identity, account: Account) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(PROFILES, f"{identity.id}\n{account.id}")),
        "role": "admin",
        "account": {"id": account.id, "name": account.name, "status": "active", "organization_id": None},
        "identity": render_identity(identity),
    }
