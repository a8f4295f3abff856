"""Accounts and API keys."""

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update

from assay.adapters.storage.session import Session
from assay.adapters.storage.tables import accounts, api_key_accounts, api_keys
from assay.core.identity import Account, ApiKey, Identity


class SqlAccounts:
    """Implements `ports.storage.AccountRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ensure(self, account: Account) -> None:
        """Add the account unless one with its id exists."""
        statement = self._session.dialect.insert_unless_exists(accounts)
        await self._session.run(statement.values(id=account.id, name=account.name, created_at=account.created_at))

    async def get(self, account_id: str) -> Account | None:
        """The account with that id."""
        row = await self._session.row(select(accounts).where(accounts.c.id == account_id))
        return None if row is None else Account(row.id, row.name, row.created_at)

    async def list(self) -> Sequence[Account]:
        """All accounts, oldest first."""
        rows = await self._session.rows(select(accounts).order_by(accounts.c.created_at, accounts.c.id))
        return [Account(row.id, row.name, row.created_at) for row in rows]


class SqlApiKeys:
    """Implements `ports.storage.ApiKeyRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, key: ApiKey) -> None:
        """Add a key and its accounts, which exist."""
        seq = await self._session.added(
            insert(api_keys).values(
                id=key.id,
                name=key.name,
                hint=key.hint,
                secret_hash=key.secret_hash,
                identity_id=key.identity.id,
                identity_type=key.identity.type,
                created_at=key.created_at,
                revoked_at=key.revoked_at,
                role=key.role,
            )
        )
        links = [
            {"api_key_seq": seq, "position": position, "account_id": account_id}
            for position, account_id in enumerate(key.account_ids)
        ]
        await self._session.run(insert(api_key_accounts), links)

    async def get_by_hash(self, secret_hash: str) -> ApiKey | None:
        """The key with that hash, revoked ones too."""
        found = await self._read(api_keys.c.secret_hash == secret_hash)
        if found and hmac.compare_digest(found[0].secret_hash.encode(), secret_hash.encode()):
            return found[0]
        return None

    async def list(self) -> Sequence[ApiKey]:
        """All keys, oldest first."""
        return await self._read()

    async def add_account(self, key_id: str, account_id: str) -> None:
        """Let an existing key open one more existing account, its last."""
        key = await self._session.row(select(api_keys.c.seq).where(api_keys.c.id == key_id))
        assert key is not None
        links = api_key_accounts
        held = await self._session.rows(select(links).where(links.c.api_key_seq == key.seq))
        if account_id not in {each.account_id for each in held}:
            position = 1 + max((each.position for each in held), default=-1)
            await self._session.run(insert(links).values(api_key_seq=key.seq, position=position, account_id=account_id))

    async def revoke(self, key_id: str, at: datetime) -> bool:
        """Mark it revoked; False when unknown or revoked already."""
        statement = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        return (await self._session.run(statement.values(revoked_at=at))).rowcount > 0

    async def _read(self, *conditions: Any) -> Sequence[ApiKey]:
        joined = api_keys.join(api_key_accounts, api_key_accounts.c.api_key_seq == api_keys.c.seq)
        statement = select(api_keys, api_key_accounts.c.account_id).select_from(joined).where(*conditions)
        statement = statement.order_by(api_keys.c.created_at, api_keys.c.seq, api_key_accounts.c.position)
        keys: dict[int, list[Row[Any]]] = {}
        for row in await self._session.rows(statement):
            keys.setdefault(row.seq, []).append(row)
        return [_api_key(rows) for rows in keys.values()]


def _api_key(rows: Sequence[Row[Any]]) -> ApiKey:
    row = rows[0]
    return ApiKey(
        id=row.id,
        name=row.name,
        hint=row.hint,
        secret_hash=row.secret_hash,
        identity=Identity(row.identity_id, row.identity_type),
        account_ids=tuple(each.account_id for each in rows),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        role=row.role or "member",
    )
