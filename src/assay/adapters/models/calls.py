"""Calls over the wire, as every port over models makes them: a vendor's connections, its gate and its retries."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import orjson

from assay.adapters.models.gate import Gate
from assay.adapters.models.retries import backoff, is_retried, retry_after
from assay.adapters.models.vendors import Vendor
from assay.core.results import ErrorType, Usage
from assay.settings import VendorSettings

if TYPE_CHECKING:
    from assay.adapters.models.exchange import Answer, Exchange, Failed, Route

_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it goes over the wire. `seconds` bounds each attempt (of a stream: each silence).

    `own_key`: the vendor's key here is the caller's own, so that what its limits are says nothing about the
    server's. `patience`: a vendor that asks to wait longer is not waited for.
    """

    vendor: Vendor
    model: str
    path: str
    body: bytes
    attempts: int
    seconds: float
    own_key: bool = False
    patience: float = float("inf")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attempt gave no value, and whether the next may. `status`: the vendor's answer, if it gave one;
    `wait`: what the vendor asked for."""

    kind: ErrorType
    reason: str
    retried: bool = False
    wait: float | None = None
    status: int | None = None

    @classmethod
    def of(cls, failed: "Failed") -> "Refusal":
        """An attempt without a complete answer."""
        kind = ErrorType.TIMEOUT if failed.kind == "timeout" else ErrorType.INFERENCE_ERROR
        return cls(kind, failed.reason, retried=failed.kind != "refused")

    def message(self, model: str, attempts: int) -> str:
        """The refusal in words."""
        tries = "" if attempts == 1 else f" (after {attempts} attempts)"
        return f"{model}: {self.reason}{tries}"


@dataclass(slots=True)
class Here:
    """What belongs to one event loop."""

    exchange: "Exchange"
    routes: dict[tuple[str, str], "Route"] = field(default_factory=dict)


class VendorCalls:
    """The configured vendors and the calls to them. May be used from several event loops: each has connections
    of its own, a vendor's gate is the process's. `close` closes the connections of all loops that still run."""

    def __init__(self, vendors: Mapping[str, VendorSettings], environ: Mapping[str, str]) -> None:
        self.vendors = {name: Vendor.configure(name, settings, environ) for name, settings in vendors.items()}
        self._gates = {name: Gate(settings.concurrency) for name, settings in vendors.items()}
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, Here] = WeakKeyDictionary()

    def problem(self, model: str, *, own_key: bool = False) -> str | None:
        """Why `vendor/model` cannot be called, naming the setting that cures it; a caller's own key stands in
        for a missing one."""
        vendor, slash, name = model.partition("/")
        if not (vendor and slash and name):
            known = ", ".join(sorted(self.vendors)) or "none"
            return f"{model!r} names no vendor: write vendor/model (configured vendors: {known})"
        if vendor not in self.vendors:
            return (
                f"no vendor {vendor!r}: add [vendors.{vendor}] with base_url = ... to assay.toml "
                f"or set ASSAY_VENDORS__{vendor.upper()}__BASE_URL"
            )
        return None if own_key else self.vendors[vendor].problem()

    def gate(self, vendor: Vendor) -> Gate:
        """The vendor's gate."""
        return self._gates[vendor.name]

    def here(self) -> Here:
        """What the running loop has."""
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            from assay.adapters.models.exchange import Exchange

            here = self._loops[loop] = Here(Exchange())
        return here

    def route(self, here: Here, call: Call) -> "Route":
        """Where the call goes; kept for the next one, unless it carries a caller's key."""
        route = here.routes.get((call.vendor.name, call.path))
        if route is None or call.own_key:
            settings = call.vendor.settings
            url = call.vendor.dialect.url(settings.base_url, call.path)
            route = here.exchange.route(url, call.vendor.headers(), settings.connect_timeout)
            if not call.own_key:
                here.routes[call.vendor.name, call.path] = route
        return route

    async def send(self, call: Call) -> tuple[Any, Usage]:
        """Attempt the call until it succeeds, may not be repeated, or has been tried often enough: the parsed
        body or the last Refusal, and what it took. No place is held between attempts."""
        from assay.adapters.models.exchange import Failed

        here = self.here()
        gate = self._gates[call.vendor.name]
        route = self.route(here, call)
        max_bytes = call.vendor.settings.max_response_bytes
        attempt = 0
        while True:
            attempt += 1
            await gate.enter()
            started = time.perf_counter()
            try:
                answer = await here.exchange.post(route, call.body, timeout=call.seconds, max_bytes=max_bytes)
            except Failed as failed:
                outcome: Any = Refusal.of(failed)
            else:
                outcome = judge(call.vendor, answer)
                if answer.status == 429:
                    heed(gate, call, outcome)
            finally:
                gate.leave()
            seconds = time.perf_counter() - started
            if not isinstance(outcome, Refusal):
                gate.ease()
                prompt, completion = call.vendor.dialect.tokens(outcome)
                return outcome, Usage(seconds, attempt, prompt, completion)
            if is_final(call, outcome, attempt):
                return outcome, Usage(seconds, attempt)
            await asyncio.sleep(backoff(attempt) if outcome.wait is None else outcome.wait + backoff(1))

    async def close(self) -> None:
        """Close connections. Idempotent."""
        loops, self._loops = dict(self._loops), WeakKeyDictionary()
        current = asyncio.get_running_loop()
        for loop, here in loops.items():
            if loop is current:
                await here.exchange.close()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(here.exchange.close(), loop)
                await asyncio.wrap_future(closing)


def is_final(call: Call, refusal: Refusal, attempt: int) -> bool:
    """Whether a refused call is not tried again."""
    return not refusal.retried or attempt >= call.attempts or (refusal.wait or 0.0) > call.patience


def heed(gate: Gate, call: Call, refusal: Refusal) -> None:
    """What a 429 means to the vendor's other calls; one that passes no more, or for a caller's own key, nothing."""
    if refusal.retried and not call.own_key:
        gate.slow_down()
        if refusal.wait is not None:
            gate.pause(refusal.wait)


def judge(vendor: Vendor, answer: "Answer") -> Any:
    """The parsed body of a good answer, or the Refusal that it is."""
    status = answer.status
    if 200 <= status < 300:
        try:
            return orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            return Refusal(ErrorType.INFERENCE_ERROR, f"HTTP {status} is not JSON: {excerpt(vendor, answer)}")
    if 300 <= status < 400:
        return Refusal(ErrorType.INFERENCE_ERROR, f"HTTP {status}: redirects are not followed")
    said, spent = vendors_words(answer.body)
    words = vendor.scrub(said, 300) if said else excerpt(vendor, answer)
    return Refusal(
        ErrorType.INFERENCE_ERROR,
        f"HTTP {status}: {words}",
        retried=is_retried(status, answer.headers) and not spent,
        wait=retry_after(answer.headers),
        status=status,
    )


def excerpt(vendor: Vendor, answer: "Answer") -> str:
    """What a body that cannot be read looks like: its type and its first characters, without keys."""
    content_type = vendor.scrub(answer.headers.get("Content-Type", "no content type"), 80)
    start = vendor.scrub(answer.body[:4000].decode("utf-8", "replace"), 200)
    return f"{content_type}: {start}" if start else f"{content_type}, empty body"


def vendors_words(body: bytes) -> tuple[str | None, bool]:
    """The message in an error body, wherever vendors put it, and whether it says that no money is left."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None, False
    if not isinstance(parsed, dict):
        return None, False
    error = parsed.get("error")
    inner = error if isinstance(error, dict) else parsed
    said = error if isinstance(error, str) else inner.get("message") or parsed.get("detail")
    spent = any(isinstance(code, str) and code in _SPENT for code in (inner.get("code"), inner.get("type")))
    return (said if isinstance(said, str) else None), spent
