"""Who asks: accounts, API keys and the identities behind them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from assay.core.errors import Forbidden

DEFAULT_ACCOUNT_ID = "default"

Role = Literal["member", "contributor"]
"""What a key may do: everything, or only annotation tasks."""


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
    role: Role = "member"


@dataclass(frozen=True, slots=True)
class Profile:
    """Who somebody is, and the accounts that they may act in, the default first."""

    identity: Identity
    accounts: tuple[Account, ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated asker and the account that the request is about.

    `account_ids` are all accounts that the key opens, its default first; empty stands for `account_id` alone.
    `selected` says that the request named the account (in a header or by `within`), so that it is no default.
    """

    account_id: str
    identity: Identity
    account_ids: tuple[str, ...] = ()
    key_id: str = ""
    selected: bool = False
    role: Role = "member"

    @property
    def accounts(self) -> tuple[str, ...]:
        """Every account that the caller may see, the one that the request is about first."""
        return (self.account_id, *(each for each in self.account_ids if each != self.account_id))

    def narrowed(self) -> "Caller":
        """The caller seeing nothing but the account that the request is about."""
        return replace(self, account_ids=())

    def within(self, account_id: str | None) -> "Caller":
        """The caller acting in another of its accounts; None: as it is.

        Raises Forbidden for an account that the key does not open, whether or not there is such an account.
        """
        if account_id is None:
            return self
        if account_id not in self.accounts:
            raise Forbidden(f"this key has no access to the account {account_id[:100]!r}")
        return replace(self, account_id=account_id, selected=True)
