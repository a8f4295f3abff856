"""Users and accounts on the v4 wire."""

from typing import Any, Literal

from pydantic import BaseModel

from assay.api.shared.bodies import BodyModel
from assay.api.v4.schemas.entities import Text


class CreateAccount(BodyModel):
    """A new account."""

    account_name: Text


class CreatedAccount(BaseModel):
    """The new account's id."""

    account_id: str


class ProfileAccount(BaseModel):
    """An account, in an access profile."""

    id: str
    name: str
    status: Literal["active"]
    organization_id: None


class ProfileIdentity(BaseModel):
    """Who has the access profile."""

    id: str
    type: Literal["user", "service_account"]
    object: Literal["identity"]


class AccessProfile(BaseModel):
    """Somebody's access to an account. Assay knows no roles: a key opens an account or does not."""

    id: str
    role: Literal["admin"]
    account: ProfileAccount
    identity: ProfileIdentity


class User(BaseModel):
    """Somebody, and the accounts that they may act in, the default first."""

    id: str
    email: str
    access_profiles: list[AccessProfile]
    first_name: None
    last_name: None
    organization_id: None
    is_organization_admin: bool
    is_deployment_admin: bool
    preferences: dict[str, Any]


class UserInfo(User):
    """The caller."""

    assumed_access_profile: None
