"""API keys: who they are for, which accounts they open, and how they are made and revoked."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence

import uuid_utils

from assay.core.errors import InvalidInput, NotFound, Unauthenticated
from assay.core.identity import DEFAULT_ACCOUNT_ID, Account, ApiKey, Caller, Identity, Profile, Role
from assay.ports.clock import Clock
from assay.ports.storage import Storage

PREFIX = "assay_"
HINT_LENGTH = 10
REMEMBERED_SECONDS = 3.0
"""How long a good key is remembered without asking the database: revocation takes effect within this time."""

SHORTEST_SECRET = 16


class Access:
    """Keys and who is behind them. A secret is shown once and kept as its SHA-256: 256 random bits need no
    slower hash."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._remembered: dict[str, tuple[ApiKey, float]] = {}

    async def authenticate(self, secret: str, selected_account: str | None = None) -> Caller:
        """The caller behind a key, acting in `selected_account` or in the key's first account.

        Raises Unauthenticated for an unknown or revoked key, Forbidden for an account that the key does not
        open (whether or not there is such an account).
        """
        key = await self._find(hash_secret(secret))
        caller = Caller(key.account_ids[0], key.identity, key.account_ids, key.id, role=key.role)
        return caller.within(selected_account or None)

    async def create_key(
        self,
        name: str,
        *,
        account_ids: Sequence[str] = (DEFAULT_ACCOUNT_ID,),
        identity: Identity | None = None,
        role: Role = "member",
    ) -> tuple[ApiKey, str]:
        """Make a key; returns it with its secret, which is nowhere else afterwards. Accounts that do not exist
        are made. Without an identity the key is one of its own."""
        secret = PREFIX + secrets.token_urlsafe(32)
        return await self._add(name, secret, account_ids, identity, role), secret

    async def ensure_key(self, name: str, secret: str, *, account_ids: Sequence[str] = (DEFAULT_ACCOUNT_ID,)) -> ApiKey:
        """The key with a secret that somebody chose (ASSAY_API_KEY); added unless it is there.

        Raises InvalidInput for a secret of fewer than 16 characters, Unauthenticated for a revoked one.
        """
        if len(secret) < SHORTEST_SECRET:
            message = f"an API key of one's own needs at least {SHORTEST_SECRET} characters"
            raise InvalidInput.at(("api_key",), message, type="too_short")
        async with self._storage.read() as unit:
            found = await unit.api_keys.get_by_hash(hash_secret(secret))
        if found is None:
            return await self._add(name, secret, account_ids, None)
        if found.revoked_at is not None:
            raise Unauthenticated(f"the API key {found.hint}... was revoked; choose another")
        return found

    async def create_account(self, caller: Caller, name: str) -> Account:
        """Make an account that the caller's key opens from now on."""
        account = Account(str(uuid_utils.uuid7()), name, self._clock.now())
        async with self._storage.write() as unit:
            await unit.accounts.ensure(account)
            await unit.api_keys.add_account(caller.key_id, account.id)
        self._remembered.clear()
        return account

    async def profile(self, caller: Caller) -> Profile:
        """Who the caller is, and the accounts that the caller's key opens."""
        async with self._storage.read() as unit:
            found = [await unit.accounts.get(account_id) for account_id in caller.account_ids]
        return Profile(caller.identity, tuple(account for account in found if account is not None))

    async def user(self, caller: Caller, identity_id: str) -> Profile:
        """Who somebody is, and which of the caller's accounts they have an unrevoked key of. Raises NotFound
        when there is none."""
        async with self._storage.read() as unit:
            keys = [key for key in await unit.api_keys.list() if key.identity.id == identity_id]
            theirs = {each for key in keys if key.revoked_at is None for each in key.account_ids}
            shared = [await unit.accounts.get(each) for each in caller.account_ids if each in theirs]
        if not shared:
            raise NotFound("user", identity_id)
        return Profile(keys[-1].identity, tuple(account for account in shared if account is not None))

    async def list_keys(self) -> Sequence[ApiKey]:
        """All keys, oldest first, revoked ones too."""
        async with self._storage.read() as unit:
            return await unit.api_keys.list()

    async def revoke_key(self, key_id: str) -> None:
        """Revoke a key, at once in this process and within seconds in others. Raises NotFound when it is
        unknown or revoked already."""
        async with self._storage.write() as unit:
            if not await unit.api_keys.revoke(key_id, self._clock.now()):
                raise NotFound("unrevoked API key", key_id)
        self._remembered.clear()

    async def _add(
        self, name: str, secret: str, account_ids: Sequence[str], identity: Identity | None, role: Role = "member"
    ) -> ApiKey:
        now = self._clock.now()
        key_id = str(uuid_utils.uuid7())
        key = ApiKey(
            id=key_id,
            name=name,
            hint=secret[:HINT_LENGTH] if secret.startswith(PREFIX) else secret[:3],
            secret_hash=hash_secret(secret),
            identity=identity or Identity(key_id, "service_account"),
            account_ids=tuple(account_ids),
            created_at=now,
            role=role,
        )
        async with self._storage.write() as unit:
            for account_id in account_ids:
                await unit.accounts.ensure(Account(account_id, account_id, now))
            await unit.api_keys.add(key)
        return key

    async def _find(self, secret_hash: str) -> ApiKey:
        remembered = self._remembered.get(secret_hash)
        now = self._clock.monotonic()
        if remembered is not None and now < remembered[1]:
            return remembered[0]
        async with self._storage.read() as unit:
            key = await unit.api_keys.get_by_hash(secret_hash)
        if key is None or key.revoked_at is not None or not hmac.compare_digest(key.secret_hash, secret_hash):
            self._remembered.pop(secret_hash, None)
            raise Unauthenticated("this API key is unknown or revoked")
        self._remembered[secret_hash] = (key, now + REMEMBERED_SECONDS)
        return key


def hash_secret(secret: str) -> str:
    """Hex SHA-256 of a key's secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
