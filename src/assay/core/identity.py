"""Who asks: accounts, API keys and the identities behind them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

DEFAULT_ACCOUNT_ID = "default"


@dataclass(frozen=True, slots=True)
class Identity:
    """A person or a program, as it is shown in `created_by`."""

    id: str
    type: Literal["user", "service_account"] = "user"


@dataclass(frozen=True, slots=True)
class Account:
    """The owner of evaluations, datasets and groups; every lookup is limited to one."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as stored: never the secret, only its SHA-256 (`secret_hash`, hex).

    `account_ids` is never empty; the first is the key's default account. `hint` is the secret's first
    characters, enough to recognise it in a list.
    """

    id: str
    name: str
    hint: str
    secret_hash: str
    identity: Identity
    account_ids: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated asker and the account that the request is about."""

    account_id: str
    identity: Identity
