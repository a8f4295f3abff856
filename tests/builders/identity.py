"""Builds accounts, identities, API keys and times."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import uuid_utils

from assay.core.identity import DEFAULT_ACCOUNT_ID, Account, ApiKey, Identity

NOW = datetime(2026, 3, 14, 15, 9, 26, 535897, tzinfo=UTC)
ALICE = Identity("alice")


def new_id() -> str:
    """A fresh identifier; later ones sort after earlier ones."""
    return str(uuid_utils.uuid7())


def make_account(account_id: str = DEFAULT_ACCOUNT_ID, **changes: Any) -> Account:
    """An account named after its id."""
    return Account(**{"id": account_id, "name": account_id.title(), "created_at": NOW, **changes})


def make_key(secret: str = "secret-of-a-key", **changes: Any) -> ApiKey:
    """A key of the default account, stored as the hash of `secret`."""
    defaults = {
        "id": new_id(),
        "name": "laptop",
        "hint": secret[:8],
        "secret_hash": hashlib.sha256(secret.encode()).hexdigest(),
        "identity": ALICE,
        "account_ids": (DEFAULT_ACCOUNT_ID,),
        "created_at": NOW,
    }
    return ApiKey(**{**defaults, **changes})
