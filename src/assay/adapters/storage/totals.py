"""The results of an evaluation in numbers: aggregates by alias, made by the database.

Each question is one pass over the evaluation's rows that keeps no more than its answer: grouping all rows by
alias at once would have SQLite sort them first, which takes three times as long. The mean and the squares come
from two passes, the second around the first's mean and corrected for what rounding left in it. Numbers are made
so small before they are added that no sum can overflow, and no product is made that would be too small for a
number, which PostgreSQL holds to be an error.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.types import Double

from assay.adapters.storage.codec import load_json
from assay.adapters.storage.session import Session
from assay.adapters.storage.tables import ValueKind
from assay.ports.storage import ResultTotals

MOST_VALUES = 20
_SAMPLE = 200
_SCALE = 2.0**64
_SAFE = 1e140

_VARIETIES = text(
    "SELECT DISTINCT alias, status, kind, error_type, sandbox FROM results WHERE evaluation_seq = :evaluation"
)
_COUNTS = text(
    "SELECT status, error_type, COUNT(*) FROM results WHERE evaluation_seq = :evaluation AND alias = :alias"
    " GROUP BY status, error_type"
)
_SUMS = text(
    "SELECT COUNT(*) AS results, COUNT(number) AS numbers,"
    " SUM(CASE WHEN ABS(number) > 1e-200 THEN number * :scale ELSE 0 END) AS scaled,"
    " MIN(number) AS minimum, MAX(number) AS maximum,"
    " SUM(CASE WHEN number = 0 OR number = 1 THEN 1 ELSE 0 END) AS binaries,"
    " COUNT(latency) AS latencies, SUM(latency) AS seconds, SUM(attempts) AS attempts, SUM(cached) AS cached,"
    " SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens,"
    " SUM(cost) AS cost"
    " FROM results WHERE evaluation_seq = :evaluation AND alias = :alias"
).bindparams(bindparam("scale", 1 / _SCALE, type_=Double()))
_SECOND_PASS = text(
    "SELECT SUM(number - :mean),"
    " SUM(CASE WHEN ABS(number - :mean) > 1e-140 THEN (number - :mean) * (number - :mean) ELSE 0 END) FROM results"
    " WHERE evaluation_seq = :evaluation AND alias = :alias AND number IS NOT NULL"
).bindparams(bindparam("mean", type_=Double()))
_LATENCY = "SELECT latency FROM results WHERE evaluation_seq = :evaluation AND alias = :alias AND latency IS NOT NULL"
_LATENCIES = {
    "ASC": text(f"{_LATENCY} ORDER BY latency ASC LIMIT 2 OFFSET :skipped"),
    "DESC": text(f"{_LATENCY} ORDER BY latency DESC LIMIT 2 OFFSET :skipped"),
}
_WORDS = (
    "FROM results WHERE evaluation_seq = :evaluation AND alias = :alias"
    f" AND kind IN ({ValueKind.BOOLEAN:d}, {ValueKind.TEXT:d})"
)
_SOME_WORDS = text(
    f"SELECT COUNT(*) FROM (SELECT DISTINCT value FROM (SELECT value {_WORDS} LIMIT :sample) AS sampled)"  # noqa: S608
    " AS distinct_values"
)
_ALL_WORDS = text(f"SELECT value, COUNT(*) {_WORDS} GROUP BY value LIMIT :most")


async def read_totals(session: Session, evaluation_seq: int) -> list[ResultTotals]:
    """The totals of every alias that has results."""
    varieties: dict[str, list[Sequence[Any]]] = {}
    for alias, *variety in await session.rows(_VARIETIES, {"evaluation": evaluation_seq}):
        varieties.setdefault(alias, []).append(variety)
    return [await _of_alias(session, evaluation_seq, alias, each) for alias, each in varieties.items()]


async def _of_alias(
    session: Session, evaluation_seq: int, alias: str, varieties: Sequence[Sequence[Any]]
) -> ResultTotals:
    where = {"evaluation": evaluation_seq, "alias": alias}
    (sums,) = await session.rows(_SUMS, where)
    statuses, error_types = await _counts(session, where, varieties, sums.results)
    mean, squares = await _moments(session, where, sums)
    has_words = any(kind in (ValueKind.BOOLEAN, ValueKind.TEXT) for _, kind, _, _ in varieties)
    return ResultTotals(
        alias=alias,
        statuses=statuses,
        cached=int(sums.cached or 0),
        numbers=sums.numbers,
        mean=mean,
        squares=squares,
        minimum=sums.minimum,
        maximum=sums.maximum,
        binary=sums.numbers > 0 and sums.binaries == sums.numbers,
        latency_count=sums.latencies,
        latency_sum=sums.seconds or 0.0,
        latency_p50=await _percentile(session, where, sums.latencies, 0.50),
        latency_p95=await _percentile(session, where, sums.latencies, 0.95),
        attempts=int(sums.attempts or 0),
        prompt_tokens=None if sums.prompt_tokens is None else int(sums.prompt_tokens),
        completion_tokens=None if sums.completion_tokens is None else int(sums.completion_tokens),
        cost=sums.cost,
        error_types=error_types or None,
        sandboxes=tuple(sorted({sandbox for *_, sandbox in varieties if sandbox is not None})),
        values=await _values(session, where) if has_words else None,
    )


async def _counts(
    session: Session, where: Mapping[str, Any], varieties: Sequence[Sequence[Any]], results: int
) -> tuple[dict[str, int], dict[str, int]]:
    """How many results there are by status and by error type."""
    kinds = {(status, error_type) for status, _, error_type, _ in varieties}
    if len(kinds) == 1:
        rows: Sequence[Any] = [(*kinds.pop(), results)]
    else:
        rows = await session.rows(_COUNTS, where)
    statuses: dict[str, int] = {}
    error_types: dict[str, int] = {}
    for status, error_type, count in rows:
        statuses[status] = statuses.get(status, 0) + count
        if error_type is not None:
            error_types[error_type] = error_types.get(error_type, 0) + count
    return statuses, error_types


async def _moments(session: Session, where: Mapping[str, Any], sums: Any) -> tuple[float | None, float]:
    """The mean, and the sum of squared deviations from it."""
    if not sums.numbers:
        return None, 0.0
    if sums.minimum == sums.maximum:
        return float(sums.minimum), 0.0
    mean = sums.scaled / sums.numbers * _SCALE
    if max(abs(sums.minimum), abs(sums.maximum)) > _SAFE:
        return mean, math.inf
    off, squares = (await session.rows(_SECOND_PASS, {**where, "mean": mean}))[0]
    mean = min(max(mean + off / sums.numbers, sums.minimum), sums.maximum)
    return mean, max(squares - off * off / sums.numbers, 0.0)


async def _percentile(session: Session, where: Mapping[str, Any], count: int, share: float) -> float | None:
    """The value at that share of the ordered latencies, between two of them in proportion; found from the
    nearer end."""
    if not count:
        return None
    place = (count - 1) * share
    below = math.floor(place)
    if below + 1 >= count:
        order, skipped = "DESC", 0
    elif share > 0.5:
        order, skipped = "DESC", count - 2 - below
    else:
        order, skipped = "ASC", below
    found = [row[0] for row in await session.rows(_LATENCIES[order], {**where, "skipped": skipped})]
    low, high = min(found), max(found)
    if below + 1 >= count:
        low = high
    return float(low + (high - low) * (place - below))


async def _values(session: Session, where: Mapping[str, Any]) -> Mapping[str, int] | None:
    """Counts of texts and booleans; a sample settles the usual case of long answers that all differ."""
    sampled = await session.rows(_SOME_WORDS, {**where, "sample": _SAMPLE})
    if sampled[0][0] > MOST_VALUES:
        return None
    rows = await session.rows(_ALL_WORDS, {**where, "most": MOST_VALUES + 1})
    if len(rows) > MOST_VALUES:
        return None
    counts: dict[str, int] = {}
    for value, count in rows:
        word = load_json(value) if '"' in value else value
        counts[word] = counts.get(word, 0) + count
    return counts
