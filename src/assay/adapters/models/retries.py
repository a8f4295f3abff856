"""When a call is tried again, and how long to wait before."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
LONGEST_RETRY_AFTER = 60.0

_RETRIED = frozenset({408, 409, 425, 429})


def is_retried(status: int, headers: Mapping[str, str]) -> bool:
    """Whether a status may be better next time; the vendor's own `x-should-retry` decides when it is there."""
    told = headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    return status in _RETRIED or status >= 500


def backoff(failures: int) -> float:
    """Seconds to wait after so many failed attempts: anything up to a bound that doubles (full jitter)."""
    return random.uniform(0.0, min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (failures - 1)))  # noqa: S311


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the vendor asks to wait, 0 to 60: `retry-after-ms`, or `retry-after` as seconds or as an
    HTTP date; None when it asks nothing that can be read."""
    seconds = _number(headers.get("retry-after-ms"), 1000.0)
    text = headers.get("retry-after")
    if seconds is None and text is not None:
        seconds = _number(text, 1.0)
        if seconds is None:
            seconds = _until(text, now or datetime.now(UTC))
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _number(text: str | None, divisor: float) -> float | None:
    try:
        number = float(text or "") / divisor
    except ValueError:
        return None
    return None if number != number else number  # noqa: PLR0124 - NaN is the only number unlike itself


def _until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()
