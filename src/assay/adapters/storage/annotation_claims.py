"""Claiming a task: a few looks at the first entries of partial indexes, and one update.

A claim sees what the caller has, what others have let lapse, and what is free. On PostgreSQL rows that another claim
has locked are passed over, so that claims do not queue up behind each other; on SQLite writers take turns anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, Row, TextClause, text

from assay.adapters.storage.codec import to_micros
from assay.adapters.storage.session import Session
from assay.ports.annotation import Claiming

ATTEMPTS = 100
"""Times that a claim looks again because somebody else was faster with what it had found."""

_ALLOWED = (
    " AND (SELECT COUNT(*) FROM annotation_tasks o WHERE o.item_seq = t.item_seq AND o.queue_id = t.queue_id"
    " AND o.assigned_to = :me AND o.seq <> t.seq AND (t.level = 0 OR o.level <> t.level)) = 0"
    " AND (SELECT COUNT(*) FROM annotation_skips s WHERE s.task_seq = t.seq AND s.identity_id = :me) = 0"
)
"""`core.annotation.may_work`, and that the caller has not skipped it. Counts, not NOT EXISTS: no database makes
another plan of those than one look per row, and the first row is nearly always the one."""
_BEST = " ORDER BY t.priority DESC, t.seq LIMIT 1"
_SHOWN = "SELECT {place} AS place, t.seq AS seq, t.priority AS priority FROM annotation_tasks t WHERE "

_HELD, _MINE, _LAPSED, _FREE = range(4)


def _taken(place: int, holder: str, lease: str, extra: str = "") -> str:
    query = (
        _SHOWN.format(place=place)
        + f"t.account_id = :account AND t.open = 1 AND {holder} AND {lease} AND t.kind = :kind"
        + " AND t.id <> :passing{scope}"
        + extra
        + _BEST
    )
    return f"SELECT * FROM ({query}) AS found_{place}"  # noqa: S608


# COALESCE keeps databases from the index of all that is taken, where reserved tasks may lie by the thousand: what is
# leased is found by its time, among as many as there are people at work.
_TAKEN = " UNION ALL ".join(
    [
        _taken(_HELD, "COALESCE(t.assigned_to, '') = :me", "t.lease_until > :now"),
        _taken(_MINE, "t.assigned_to = :me", "(t.lease_until IS NULL OR t.lease_until <= :now)"),
        _taken(_LAPSED, "COALESCE(t.assigned_to, '') <> :me AND t.reserved = 0", "t.lease_until <= :now", _ALLOWED),
    ]
)
_FREE_ONE = (
    _SHOWN.format(place=_FREE)
    + "{scope} AND t.kind = :kind AND t.open = 1 AND t.assigned_to IS NULL AND t.id <> :passing"
    + _ALLOWED
    + _BEST
)
_QUEUE = "t.account_id = :account AND t.queue_id = :queue"
_EVALUATION = "t.evaluation_seq = :evaluation"
_EVALUATION_QUEUE = "t.evaluation_seq = :evaluation AND t.queue_id = :queue"


@dataclass(frozen=True, slots=True)
class _Candidate:
    place: int
    seq: int
    priority: int

    @property
    def rank(self) -> tuple[bool, int, int]:
        """What comes first: what the caller holds, then the highest priority, then the oldest."""
        return (self.place != _HELD, -self.priority, self.seq)


async def claim_row(session: Session, claiming: Claiming, take: Executable) -> Row[Any] | None:
    """What `take` returns of a task that is now the claimant's; None when there is none for them."""
    await session.one_at_a_time(f"claim {claiming.account_id} {claiming.identity_id}")
    parameters = {
        "account": claiming.account_id,
        "me": claiming.identity_id,
        "kind": str(claiming.kind),
        "queue": claiming.queue_id,
        "evaluation": claiming.evaluation_seq,
        "passing": claiming.passing or "",
        "now": to_micros(claiming.at),
    }
    for _ in range(ATTEMPTS):
        best = min(await _candidates(session, claiming, parameters), key=lambda each: each.rank, default=None)
        if best is None:
            return None
        changes = {"holder": claiming.identity_id, "until": claiming.lease_until, "at": claiming.at, "at_seq": best.seq}
        taken = await session.rows(take, changes)
        if taken:
            found: Row[Any] = taken[0]
            return found
    return None


async def _candidates(session: Session, claiming: Claiming, parameters: dict[str, Any]) -> Sequence[_Candidate]:
    by_queue, by_evaluation = claiming.queue_id is not None, claiming.evaluation_seq is not None
    scope = (_EVALUATION_QUEUE if by_queue else _EVALUATION) if by_evaluation else _QUEUE
    taken = await session.rows(_statement(_TAKEN.format(scope=f" AND {scope}")), parameters)
    found = [_Candidate(*row) for row in taken]
    if any(each.place == _HELD for each in found):
        return found
    free = session.dialect.unlocked(_FREE_ONE.format(scope=scope))
    return [*found, *(_Candidate(*row) for row in await session.rows(_statement(free), parameters))]


@lru_cache(maxsize=32)
def _statement(sql: str) -> TextClause:
    """The statement of a text, made once: reading a text costs more than running it."""
    return text(sql)
