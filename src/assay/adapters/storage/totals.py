"""The results of an evaluation in numbers: aggregates by alias, made by the database.

The mean and the squares come from two passes, the second around the first's mean and corrected for what
rounding left in it. Numbers are halved enough times before they are added that no sum can overflow, and no
product is made that would be too small for a number, which PostgreSQL holds to be an error.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.types import Double

from assay.adapters.storage.codec import load_json
from assay.adapters.storage.session import Session
from assay.ports.storage import ResultTotals

MOST_VALUES = 20
_SAMPLE = 200
_SCALE = 2.0**64
_SAFE = 1e140

_FIRST_PASS = text(
    "SELECT alias, status, error_type, sandbox, CASE WHEN number IS NULL THEN 0 ELSE 1 END AS numeric_value,"
    " COUNT(*), SUM(CASE WHEN ABS(number) > 1e-200 THEN number * :scale ELSE 0 END), MIN(number), MAX(number),"
    " SUM(CASE WHEN number = 0 OR number = 1 THEN 1 ELSE 0 END),"
    " COUNT(latency), SUM(latency), SUM(attempts), SUM(cached),"
    " COUNT(prompt_tokens), SUM(prompt_tokens), COUNT(completion_tokens), SUM(completion_tokens)"
    " FROM results WHERE evaluation_seq = :evaluation"
    " GROUP BY alias, status, error_type, sandbox, CASE WHEN number IS NULL THEN 0 ELSE 1 END"
).bindparams(bindparam("scale", 1 / _SCALE, type_=Double()))
_SECOND_PASS = text(
    "SELECT SUM(number - :mean),"
    " SUM(CASE WHEN ABS(number - :mean) > 1e-140 THEN (number - :mean) * (number - :mean) ELSE 0 END) FROM results"
    " WHERE evaluation_seq = :evaluation AND alias = :alias AND number IS NOT NULL"
).bindparams(bindparam("mean", type_=Double()))
_LATENCIES = text(
    "SELECT latency FROM results WHERE evaluation_seq = :evaluation AND alias = :alias"
    " AND latency IS NOT NULL ORDER BY latency LIMIT 2 OFFSET :skipped"
)
_WORDS = (
    "FROM results WHERE evaluation_seq = :evaluation AND alias = :alias AND status IN ('completed', 'prefilled')"
    " AND (value LIKE '\"%' OR value LIKE ' \"%' OR value IN ('true', 'false'))"
)
_SOME_WORDS = text(
    f"SELECT COUNT(*) FROM (SELECT DISTINCT value FROM (SELECT value {_WORDS} LIMIT :sample) AS sampled)"  # noqa: S608
    " AS distinct_values"
)
_ALL_WORDS = text(f"SELECT value, COUNT(*) {_WORDS} GROUP BY value LIMIT :most")


@dataclass(slots=True)
class _Tally:
    statuses: dict[str, int] = field(default_factory=dict)
    error_types: dict[str, int] = field(default_factory=dict)
    sandboxes: set[str] = field(default_factory=set)
    cached: int = 0
    others: int = 0
    numbers: int = 0
    scaled_sum: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    zero_or_one: int = 0
    latency_count: int = 0
    latency_sum: float = 0.0
    attempts: int = 0
    prompt_count: int = 0
    prompt_tokens: int = 0
    completion_count: int = 0
    completion_tokens: int = 0

    def add(self, row: Any) -> None:
        """Take in one row of the first pass, without its alias."""
        status, error_type, sandbox, is_number, count, scaled, low, high, binary, *costs = row
        self.statuses[status] = self.statuses.get(status, 0) + count
        if error_type is not None:
            self.error_types[error_type] = self.error_types.get(error_type, 0) + count
        if sandbox is not None:
            self.sandboxes.add(sandbox)
        if is_number:
            self.numbers += count
            self.scaled_sum += scaled
            self.minimum = min(self.minimum, low)
            self.maximum = max(self.maximum, high)
            self.zero_or_one += binary
        elif status in ("completed", "prefilled"):
            self.others += count
        timed, seconds, attempts, cached, prompts, prompt_tokens, completions, completion_tokens = costs
        self.latency_count += timed
        self.latency_sum += seconds or 0.0
        self.attempts += attempts or 0
        self.cached += cached or 0
        self.prompt_count += prompts
        self.prompt_tokens += int(prompt_tokens or 0)
        self.completion_count += completions
        self.completion_tokens += int(completion_tokens or 0)


async def read_totals(session: Session, evaluation_seq: int) -> list[ResultTotals]:
    """The totals of every alias that has results."""
    tallies: dict[str, _Tally] = {}
    for alias, *rest in await session.rows(_FIRST_PASS, {"evaluation": evaluation_seq}):
        tallies.setdefault(alias, _Tally()).add(rest)
    return [await _finish(session, evaluation_seq, alias, tally) for alias, tally in tallies.items()]


async def _finish(session: Session, evaluation_seq: int, alias: str, tally: _Tally) -> ResultTotals:
    where = {"evaluation": evaluation_seq, "alias": alias}
    mean, squares = await _moments(session, where, tally)
    return ResultTotals(
        alias=alias,
        statuses=tally.statuses,
        cached=tally.cached,
        numbers=tally.numbers,
        mean=mean,
        squares=squares,
        minimum=tally.minimum if tally.numbers else None,
        maximum=tally.maximum if tally.numbers else None,
        binary=tally.numbers > 0 and tally.zero_or_one == tally.numbers,
        latency_count=tally.latency_count,
        latency_sum=tally.latency_sum,
        latency_p50=await _percentile(session, where, tally.latency_count, 0.50),
        latency_p95=await _percentile(session, where, tally.latency_count, 0.95),
        attempts=tally.attempts,
        prompt_tokens=tally.prompt_tokens if tally.prompt_count else None,
        completion_tokens=tally.completion_tokens if tally.completion_count else None,
        error_types=tally.error_types or None,
        sandboxes=tuple(sorted(tally.sandboxes)),
        values=await _values(session, where, tally),
    )


async def _moments(session: Session, where: Mapping[str, Any], tally: _Tally) -> tuple[float | None, float]:
    if not tally.numbers:
        return None, 0.0
    mean = tally.scaled_sum / tally.numbers * _SCALE
    if tally.minimum == tally.maximum:
        return tally.minimum, 0.0
    if max(abs(tally.minimum), abs(tally.maximum)) > _SAFE:
        return mean, math.inf
    off, squares = (await session.rows(_SECOND_PASS, {**where, "mean": mean}))[0]
    mean = min(max(mean + off / tally.numbers, tally.minimum), tally.maximum)
    return mean, max(squares - off * off / tally.numbers, 0.0)


async def _percentile(session: Session, where: Mapping[str, Any], count: int, share: float) -> float | None:
    """The value at that share of the ordered latencies, between two of them in proportion."""
    if not count:
        return None
    place = (count - 1) * share
    below = math.floor(place)
    found = [row[0] for row in await session.rows(_LATENCIES, {**where, "skipped": below})]
    return float(found[0] + (found[-1] - found[0]) * (place - below))


async def _values(session: Session, where: Mapping[str, Any], tally: _Tally) -> Mapping[str, int] | None:
    """Counts of texts and booleans; a sample settles the usual case of long answers that all differ."""
    if not tally.others and tally.zero_or_one == 0:
        return None
    sampled = await session.rows(_SOME_WORDS, {**where, "sample": _SAMPLE})
    if not 0 < sampled[0][0] <= MOST_VALUES:
        return None
    rows = await session.rows(_ALL_WORDS, {**where, "most": MOST_VALUES + 1})
    if len(rows) > MOST_VALUES:
        return None
    counts: dict[str, int] = {}
    for value, count in rows:
        word = load_json(value) if '"' in value else value
        counts[word] = counts.get(word, 0) + count
    return counts
