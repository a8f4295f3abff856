"""What changed of each account's evaluations: exact counters and a log, written as a transaction's last act.

The counter's row stays locked from then until the commit, so the versions of an account become visible in their
order and without gaps on every database; since it is the last lock taken, and in one order, it cannot deadlock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, text

from assay.adapters.storage.tables import evaluation_changes, evaluation_counts, evaluations

if TYPE_CHECKING:
    from assay.adapters.storage.session import Session

KEPT_VERSIONS = 20_000
"""Versions of an account that the log keeps at least; an index that is older is built anew."""
PRUNE_EVERY = 1_000

_COUNT = text(
    "INSERT INTO evaluation_counts (account_id, version, pruned, active, archived)"
    " VALUES (:account, 1, 0, :active, :archived) ON CONFLICT (account_id) DO UPDATE SET"
    " version = evaluation_counts.version + 1, active = evaluation_counts.active + :active,"
    " archived = evaluation_counts.archived + :archived RETURNING version"
)
_PRUNE = text("DELETE FROM evaluation_changes WHERE account_id = :account AND version <= :version")
_PRUNED = text("UPDATE evaluation_counts SET pruned = :version WHERE account_id = :account")
_RECOUNT = text(
    "INSERT INTO evaluation_counts (account_id, version, pruned, active, archived)"
    " SELECT account_id, 1, 1, COUNT(*) - COUNT(archived_at), COUNT(archived_at) FROM evaluations"
    " WHERE 1 = 1 GROUP BY account_id ON CONFLICT (account_id) DO UPDATE SET version = evaluation_counts.version + 1,"
    " pruned = evaluation_counts.version + 1, active = excluded.active, archived = excluded.archived"
)


@dataclass(slots=True)
class Changes:
    """The evaluations that one transaction adds or changes, by account once it is known."""

    accounts: dict[int, str | None] = field(default_factory=dict)
    deltas: dict[str, list[int]] = field(default_factory=dict)

    def note(self, seq: int, account_id: str | None = None, *, active: int = 0, archived: int = 0) -> None:
        """An evaluation was added or changed, and so many more are active and archived."""
        self.accounts[seq] = account_id or self.accounts.get(seq)
        if active or archived:
            assert account_id is not None
            delta = self.deltas.setdefault(account_id, [0, 0])
            delta[0] += active
            delta[1] += archived


@dataclass(frozen=True, slots=True)
class Counts:
    """An account's state: its version, the last version that the log no longer has, and how many there are."""

    version: int = 0
    pruned: int = 0
    active: int = 0
    archived: int = 0


async def record(session: "Session") -> None:
    """Write what the transaction changed; the last thing before its commit."""
    changes = session.changes
    if not changes.accounts:
        return
    unknown = [seq for seq, account_id in changes.accounts.items() if account_id is None]
    if unknown:
        found = select(evaluations.c.seq, evaluations.c.account_id).where(evaluations.c.seq.in_(unknown))
        changes.accounts.update(dict(await session.pairs(found)))
    by_account: dict[str, list[int]] = {}
    for seq, account_id in changes.accounts.items():
        if account_id is not None:
            by_account.setdefault(account_id, []).append(seq)
    for account_id in sorted(by_account):
        active, archived = changes.deltas.get(account_id, (0, 0))
        counted = await session.run(_COUNT, {"account": account_id, "active": active, "archived": archived})
        version = counted.scalar_one()
        rows = [{"account_id": account_id, "version": version, "evaluation_seq": seq} for seq in by_account[account_id]]
        await session.run(insert(evaluation_changes), rows)
        if version % PRUNE_EVERY == 0 and version > KEPT_VERSIONS:
            where = {"account": account_id, "version": version - KEPT_VERSIONS}
            await session.run(_PRUNE, where)
            await session.run(_PRUNED, where)


_COUNTS = select(
    evaluation_counts.c.version, evaluation_counts.c.pruned, evaluation_counts.c.active, evaluation_counts.c.archived
).where(evaluation_counts.c.account_id == bindparam("account"))
_SINCE = (
    select(evaluation_changes.c.evaluation_seq)
    .where(
        evaluation_changes.c.account_id == bindparam("account"),
        evaluation_changes.c.version > bindparam("after"),
    )
    .order_by(evaluation_changes.c.evaluation_seq)
    .distinct()
)


async def read_counts(session: "Session", account_id: str) -> Counts:
    """An account's state as this transaction sees it."""
    found = await session.rows(_COUNTS, {"account": account_id})
    return Counts(*found[0]) if found else Counts()


async def read_sizes(session: "Session") -> Sequence[tuple[str, int]]:
    """How many evaluations each account has, archived ones too, the largest first."""
    size = evaluation_counts.c.active + evaluation_counts.c.archived
    return await session.pairs(select(evaluation_counts.c.account_id, size).order_by(size.desc()))


async def changed_since(session: "Session", account_id: str, version: int) -> Sequence[int]:
    """The evaluations that changed after a version, by sequence number."""
    return [row[0] for row in await session.rows(_SINCE, {"account": account_id, "after": version})]


async def recount(session: "Session") -> None:
    """Count every account's evaluations, and have every index built anew: after rows were written past `record`."""
    await session.run(_RECOUNT)
