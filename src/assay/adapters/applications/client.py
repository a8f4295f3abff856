"""`HttpApplications`: applications over HTTP, with bounds on everything that they may do to the server."""

import asyncio
import os
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import orjson

from assay.adapters.applications.networks import Networks
from assay.adapters.applications.secrets import Secrets, excerpt, without
from assay.core.endpoints import Endpoint, url_problem
from assay.core.locators import render
from assay.core.results import ErrorType, TaskError, Usage
from assay.ports.applications import ApplicationReply, EndpointProblem
from assay.settings import Settings

if TYPE_CHECKING:
    from assay.adapters.applications.answers import Refusal
    from assay.adapters.applications.exchange import Exchange, Request
    from assay.adapters.applications.lookup import Lookup

LOOKUP_SECONDS = 3.0
FIRST_DELAY = 0.25
LONGEST_DELAY = 10.0


@dataclass(slots=True)
class _Here:
    """What belongs to one event loop."""

    exchange: "Exchange"
    places: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    turns: dict[str, asyncio.Semaphore] = field(default_factory=dict)


class HttpApplications:
    """The `Applications` port over HTTP. May be used from several event loops; the bound on calls to a host holds
    within each.

    An attempt that cannot connect, or whose connection breaks, and the statuses 429 and 503 are tried again, after
    the wait that `Retry-After` asks for or a jittered, doubling one; no place is held meanwhile. Nothing else is:
    an application may have done something. `lookup` is for tests.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str] = os.environ, lookup: "Lookup | None" = None
    ) -> None:
        self._settings = settings
        self._networks = Networks(settings.application_networks)
        self._secrets = Secrets(settings.secrets, environ)
        self._given_lookup = lookup
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Here] = WeakKeyDictionary()

    async def problems(self, endpoint: Endpoint) -> Sequence[EndpointProblem]:
        from assay.adapters.applications.lookup import RefusedAddress, checked_addresses

        problem = url_problem(endpoint.url)
        if problem is not None:
            return [EndpointProblem(("url",), problem)]
        problems = list(self._secrets.problems(endpoint))
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                await checked_addresses(endpoint.host, endpoint.port, self._networks, self._lookup())
        except RefusedAddress as refused:
            problems.append(EndpointProblem(("url",), f"names a host that may not be called: {refused}"))
        except OSError:  # a timeout is one
            pass  # it may be there when it is called
        return problems

    async def call(self, endpoint: Endpoint, body: Any, *, timeout: float | None = None) -> ApplicationReply:
        problem = url_problem(endpoint.url)
        if problem is not None:
            error = TaskError(ErrorType.INFERENCE_ERROR, f"the endpoint's URL {problem}")
            return ApplicationReply(error=error, usage=Usage(attempts=0))
        problem = next((each.message for each in self._secrets.problems(endpoint)), None)
        if problem is not None:
            return _error(endpoint, ErrorType.INFERENCE_ERROR, problem, Usage(attempts=0))
        seconds = endpoint.timeout_seconds or self._settings.application_timeout
        try:
            request = self._request(endpoint, body, seconds if timeout is None else min(seconds, timeout))
        except TypeError as error:
            message = f"the request cannot be written as JSON: {error}"
            return _error(endpoint, ErrorType.INVALID_INPUT, message, Usage(attempts=0))
        attempts = endpoint.max_attempts or self._settings.application_max_attempts
        attempt = 0
        while True:
            attempt += 1
            body, refusal, latency = await self._attempt(request)
            usage = Usage(latency, attempt)
            hidden = self._secrets.hidden(endpoint)
            if refusal is None:
                return ApplicationReply(without(body, hidden), usage=usage)
            if not refusal.retried or attempt >= attempts:
                tries = "" if attempt == 1 else f" (after {attempt} attempts)"
                reply = _error(endpoint, refusal.kind, f"{refusal.reason}{tries}", usage)
                return replace(reply, raw=excerpt(refusal.body, hidden) or None)
            await asyncio.sleep(_backoff(attempt) if refusal.wait is None else refusal.wait + _backoff(1))

    def turn(self, endpoint: Endpoint) -> AbstractAsyncContextManager[None]:
        return self._place(self._here().turns, endpoint)

    def _place(self, places: dict[str, asyncio.Semaphore], endpoint: Endpoint) -> asyncio.Semaphore:
        return places.setdefault(endpoint.where, asyncio.Semaphore(self._settings.application_concurrency))

    async def _attempt(self, request: "Request") -> tuple[Any, "Refusal | None", float]:
        """An attempt's parsed answer, or why there is none, and the seconds it took."""
        from assay.adapters.applications.answers import Refusal, judge
        from assay.adapters.applications.exchange import Failed

        here = self._here()
        async with self._place(here.places, request.endpoint):
            started = time.perf_counter()
            try:
                outcome = judge(request.endpoint, await here.exchange.send(request))
            except Failed as failed:
                kinds = {"timeout": ErrorType.TIMEOUT, "unusable": ErrorType.INVALID_OUTPUT}
                kind = kinds.get(failed.kind, ErrorType.INFERENCE_ERROR)
                outcome = Refusal(kind, failed.reason, retried=failed.kind == "connection")
            latency = time.perf_counter() - started
        return (None, outcome, latency) if isinstance(outcome, Refusal) else (outcome, None, latency)

    def _request(self, endpoint: Endpoint, body: Any, seconds: float) -> "Request":
        from assay.adapters.applications.exchange import Request

        given = self._secrets.headers(endpoint)
        names = {name.lower() for name in given}
        ours = {"Accept": _ACCEPT[endpoint.response.format], "Accept-Encoding": "identity", "User-Agent": "assay"}
        query: dict[str, str] = {}
        content: bytes | None = None
        if endpoint.method == "GET":
            query = {key: render(value) for key, value in body.items() if value is not None}
        else:
            ours["Content-Type"] = "application/json"
            content = orjson.dumps(body)
        headers = {**{name: value for name, value in ours.items() if name.lower() not in names}, **given}
        return Request(endpoint, headers, content, query, seconds, self._settings.application_max_response_bytes)

    def _lookup(self) -> "Lookup":
        if self._given_lookup is None:
            from assay.adapters.applications.lookup import SystemLookup

            self._given_lookup = SystemLookup()
        return self._given_lookup

    def _here(self) -> _Here:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            from assay.adapters.applications.exchange import Exchange

            here = self._loops[loop] = _Here(Exchange(self._networks, self._lookup()))
        return here

    async def close(self) -> None:
        loops, self._loops = dict(self._loops), WeakKeyDictionary()
        current = asyncio.get_running_loop()
        for loop, here in loops.items():
            if loop is current:
                await here.exchange.close()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(here.exchange.close(), loop)
                await asyncio.wrap_future(closing)
        closes = getattr(self._given_lookup, "close", None)
        if closes is not None:
            closes()


_ACCEPT = {"json": "application/json", "text": "text/plain, */*", "sse": "text/event-stream"}


def _backoff(failures: int) -> float:
    """Seconds to wait after so many failed attempts: anything up to a bound that doubles (full jitter)."""
    return random.uniform(0.0, min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (failures - 1)))  # noqa: S311


def _error(endpoint: Endpoint, kind: ErrorType, reason: str, usage: Usage) -> ApplicationReply:
    return ApplicationReply(error=TaskError(kind, f"{endpoint.where}: {reason}"[:2000]), usage=usage)
