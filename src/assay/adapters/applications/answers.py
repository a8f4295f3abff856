"""What an application's answer is worth: its parsed body, or why it has none and whether the next may."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from assay.adapters.applications.exchange import Answer
from assay.core.endpoints import Endpoint
from assay.core.results import ErrorType

LONGEST_WAIT = 60.0
MOST_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attempt gave no value. `retried`: whether the next attempt may; `wait`: the seconds that were asked
    for; `body`: what came, for an excerpt."""

    kind: ErrorType
    reason: str
    retried: bool = False
    wait: float | None = None
    body: bytes = b""


def judge(endpoint: Endpoint, answer: Answer) -> Any:
    """The parsed body of a good answer (see `ports.applications.ApplicationReply`), or a Refusal."""
    status = answer.status
    if 300 <= status < 400:
        return Refusal(ErrorType.INFERENCE_ERROR, f"HTTP {status}: redirects are not followed", body=answer.body)
    if not 200 <= status < 300:
        waits = status in (429, 503)
        wait = _retry_after(answer) if waits else None
        return Refusal(ErrorType.INFERENCE_ERROR, f"HTTP {status}", retried=waits, wait=wait, body=answer.body)
    form = endpoint.response.format
    try:
        if form == "text":
            return answer.body.decode()
        if form == "sse":
            return list(_events(answer.body.decode()))
        return orjson.loads(answer.body)
    except ValueError:
        return Refusal(ErrorType.INVALID_OUTPUT, f"HTTP {status}: {_looks(answer, form)}", body=answer.body)


def _looks(answer: Answer, form: str) -> str:
    """What an answer that cannot be parsed is instead."""
    wanted = {"json": "JSON", "sse": "server-sent events in UTF-8", "text": "text in UTF-8"}[form]
    start = answer.body[:100].lstrip().lower()
    if not start:
        return f"the answer is empty, not {wanted}"
    if start.startswith((b"<!doctype html", b"<html")) or "html" in answer.headers.get("Content-Type", "").lower():
        return f"the answer is an HTML page, not {wanted}"
    return f"the answer is not {wanted}"


def _events(text: str) -> Iterator[Any]:
    """The data of each server-sent event, parsed where it is JSON; `[DONE]` ends them."""
    data: list[str] = []
    for number, line in enumerate((*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), "")):
        if number > 4 * MOST_EVENTS:
            raise ValueError("too many events")
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            whole = "\n".join(data)
            data = []
            if whole == "[DONE]":
                return
            try:
                yield orjson.loads(whole)
            except orjson.JSONDecodeError:
                yield whole


def _retry_after(answer: Answer) -> float | None:
    """Seconds that the application asks to wait, 0 to 60."""
    text = answer.headers.get("Retry-After")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds = (aware - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds == seconds else None  # noqa: PLR0124 - NaN is unlike itself
