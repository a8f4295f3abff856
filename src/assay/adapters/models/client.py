"""`HttpModels`: models over HTTP, with each vendor's limits, retries and accounts of what a call cost."""

import asyncio
import hashlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import orjson
import structlog

from assay.adapters.models.dialect import Untranslatable
from assay.adapters.models.gate import Gate
from assay.adapters.models.retries import backoff, is_retried, retry_after
from assay.adapters.models.vendors import Vendor
from assay.core.results import ErrorType, TaskError, Usage
from assay.ports.models import AnswerShape, ModelReply
from assay.settings import VendorSettings

if TYPE_CHECKING:
    from assay.adapters.models.exchange import Answer, Exchange, Route

log = structlog.get_logger()

_REFUSED_SHAPE = frozenset({400, 422})
"""Statuses by which an endpoint says that it cannot hold an answer to a shape, among other things."""
_MOST_REMEMBERED = 10_000
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


@dataclass(slots=True)
class _Here:
    """What belongs to one event loop."""

    exchange: "Exchange"
    gates: dict[str, Gate] = field(default_factory=dict)
    routes: dict[tuple[str, str], "Route"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call as it goes over the wire. `seconds` bounds each attempt."""

    vendor: Vendor
    model: str
    path: str
    body: bytes
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why an attempt gave no value, and whether the next may. `wait`: what the vendor asked for."""

    kind: ErrorType
    reason: str
    retried: bool = False
    wait: float | None = None
    status: int | None = None


class HttpModels:
    """The `Models` port over HTTP. May be used from several event loops; limits hold within each, and `close`
    closes the connections of all of them, as long as they run.

    An attempt that fails by its connection, a timeout or a status that may pass (408, 409, 425, 429, 5xx)
    is tried again after a jittered, doubling wait or the one that the vendor asks for, up to the vendor's
    `max_attempts`; no place is held meanwhile. A 429 pauses the whole vendor for the time it names and
    halves what is in flight. Latency is the last attempt's round trip, without waiting for a place.
    """

    def __init__(self, vendors: Mapping[str, VendorSettings], environ: Mapping[str, str] = os.environ) -> None:
        self._vendors = {name: Vendor.configure(name, settings, environ) for name, settings in vendors.items()}
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Here] = WeakKeyDictionary()
        self._unheld: set[tuple[str, bytes]] = set()

    def problem(self, model: str) -> str | None:
        vendor, slash, name = model.partition("/")
        if not (vendor and slash and name):
            known = ", ".join(sorted(self._vendors)) or "none"
            return f"{model!r} names no vendor: write vendor/model (configured vendors: {known})"
        if vendor not in self._vendors:
            return (
                f"no vendor {vendor!r}: add [vendors.{vendor}] with base_url = ... to assay.toml "
                f"or set ASSAY_VENDORS__{vendor.upper()}__BASE_URL"
            )
        return self._vendors[vendor].problem()

    async def chat(self, model: str, request: Mapping[str, Any]) -> ModelReply:
        problem = self.problem(model)
        if problem is not None:
            return _error(ErrorType.INFERENCE_ERROR, problem)
        vendor_name, _, name = model.partition("/")
        vendor = self._vendors[vendor_name]
        try:
            body = orjson.dumps(vendor.dialect.chat_body(name, _without_streaming(request)))
        except Untranslatable as error:
            return _error(ErrorType.INVALID_INPUT, f"{model}: {error}")
        except TypeError as error:
            return _error(ErrorType.INVALID_INPUT, f"{model}: the request cannot be written as JSON: {error}")
        reply = await self._send(_chat_call(vendor, model, body))
        if reply.error is None:
            return ModelReply(body=vendor.dialect.chat_reply(reply.body), usage=reply.usage)
        return reply

    async def ask(self, model: str, request: Mapping[str, Any], shape: AnswerShape) -> ModelReply:
        problem = self.problem(model)
        if problem is not None:
            return _error(ErrorType.INFERENCE_ERROR, problem)
        vendor_name, _, name = model.partition("/")
        vendor = self._vendors[vendor_name]
        if vendor.settings.structured_output == "none":
            return await self.chat(model, request)
        try:
            known = (model, hashlib.blake2b(orjson.dumps(shape.schema), digest_size=16).digest())
            if known in self._unheld:
                return await self.chat(model, request)
            body = orjson.dumps(vendor.dialect.held_body(name, _without_streaming(request), shape))
        except (Untranslatable, TypeError):
            return await self.chat(model, request)  # which says what cannot be said, if it cannot be said either
        outcome, usage = await self._attempted(_chat_call(vendor, model, body))
        if not isinstance(outcome, _Refusal):
            return ModelReply(vendor.dialect.held_reply(outcome), usage=usage)
        if outcome.status not in _REFUSED_SHAPE:
            return _refused(model, outcome, usage)
        reply = await self.chat(model, request)
        if reply.error is None and known not in self._unheld and len(self._unheld) < _MOST_REMEMBERED:
            self._unheld.add(known)
            log.warning("an endpoint refuses answers by a schema; it is asked without", model=model)
        return ModelReply(reply.body, reply.error, usage.plus(reply.usage))

    async def infer(
        self,
        model: str,
        args: Mapping[str, Any],
        *,
        num_retries: int | None = None,
        timeout_seconds: float | None = None,
    ) -> ModelReply:
        problem = self.problem(model)
        if problem is not None:
            return _error(ErrorType.INFERENCE_ERROR, problem)
        if args.get("stream"):
            return _error(ErrorType.INVALID_INPUT, f"{model}: a streamed answer cannot be a result; leave stream out")
        vendor_name, _, name = model.partition("/")
        vendor = self._vendors[vendor_name]
        try:
            body = orjson.dumps({**args, "model": name})
        except TypeError as error:
            return _error(ErrorType.INVALID_INPUT, f"{model}: the arguments cannot be written as JSON: {error}")
        attempts = vendor.settings.max_attempts if num_retries is None else num_retries + 1
        seconds = vendor.settings.timeout if timeout_seconds is None else timeout_seconds
        return await self._send(_Call(vendor, model, vendor.dialect.infer_path(args), body, attempts, seconds))

    async def close(self) -> None:
        loops, self._loops = dict(self._loops), WeakKeyDictionary()
        current = asyncio.get_running_loop()
        for loop, here in loops.items():
            if loop is current:
                await here.exchange.close()
            elif loop.is_running():
                closing = asyncio.run_coroutine_threadsafe(here.exchange.close(), loop)
                await asyncio.wrap_future(closing)

    def _here(self) -> _Here:
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            from assay.adapters.models.exchange import Exchange

            here = self._loops[loop] = _Here(Exchange())
        return here

    def _gate(self, here: _Here, vendor: Vendor) -> Gate:
        gate = here.gates.get(vendor.name)
        if gate is None:
            gate = here.gates[vendor.name] = Gate(vendor.settings.concurrency, asyncio.get_running_loop())
        return gate

    def _route(self, here: _Here, vendor: Vendor, path: str) -> "Route":
        route = here.routes.get((vendor.name, path))
        if route is None:
            settings = vendor.settings
            url = vendor.dialect.url(settings.base_url, path)
            route = here.exchange.route(url, vendor.headers(), settings.connect_timeout)
            here.routes[vendor.name, path] = route
        return route

    async def _send(self, call: _Call) -> ModelReply:
        """Attempt the call until it succeeds, may not be repeated, or has been tried often enough."""
        outcome, usage = await self._attempted(call)
        if isinstance(outcome, _Refusal):
            return _refused(call.model, outcome, usage)
        return ModelReply(outcome, usage=usage)

    async def _attempted(self, call: _Call) -> tuple[Any, Usage]:
        """The parsed body of the answer, or the last attempt's refusal; and what it cost."""
        from assay.adapters.models.exchange import Failed

        here = self._here()
        gate = self._gate(here, call.vendor)
        route = self._route(here, call.vendor, call.path)
        max_bytes = call.vendor.settings.max_response_bytes
        attempt = 0
        while True:
            attempt += 1
            await gate.enter()
            started = time.perf_counter()
            try:
                answer = await here.exchange.post(route, call.body, timeout=call.seconds, max_bytes=max_bytes)
            except Failed as failed:
                kind = ErrorType.TIMEOUT if failed.kind == "timeout" else ErrorType.INFERENCE_ERROR
                outcome: Any = _Refusal(kind, failed.reason, retried=failed.kind != "refused")
            else:
                outcome = _judge(call.vendor, answer)
                if answer.status == 429 and outcome.retried:
                    gate.slow_down()
                    if outcome.wait is not None:
                        gate.pause(outcome.wait)
            finally:
                gate.leave()
            seconds = time.perf_counter() - started
            if not isinstance(outcome, _Refusal):
                gate.ease()
                prompt, completion = call.vendor.dialect.tokens(outcome)
                return outcome, Usage(seconds, attempt, prompt, completion)
            if not outcome.retried or attempt >= call.attempts:
                return outcome, Usage(seconds, attempt)
            await asyncio.sleep(backoff(attempt) if outcome.wait is None else outcome.wait + backoff(1))


def _chat_call(vendor: Vendor, model: str, body: bytes) -> _Call:
    settings = vendor.settings
    return _Call(vendor, model, vendor.dialect.chat_path(), body, settings.max_attempts, settings.timeout)


def _refused(model: str, refusal: _Refusal, usage: Usage) -> ModelReply:
    tries = "" if usage.attempts == 1 else f" (after {usage.attempts} attempts)"
    return _error(refusal.kind, f"{model}: {refusal.reason}{tries}", usage)


def _without_streaming(request: Mapping[str, Any]) -> Mapping[str, Any]:
    if "stream" in request or "stream_options" in request or "model" in request:
        return {key: request[key] for key in request if key not in ("stream", "stream_options", "model")}
    return request


def _error(kind: ErrorType, message: str, usage: Usage | None = None) -> ModelReply:
    return ModelReply(error=TaskError(kind, message[:2000]), usage=usage or Usage(attempts=0))


def _judge(vendor: Vendor, answer: "Answer") -> Any:
    """The parsed body of a good answer, or the refusal that it is."""
    status = answer.status
    if 200 <= status < 300:
        try:
            return orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            return _Refusal(ErrorType.INFERENCE_ERROR, f"HTTP {status} is not JSON: {_excerpt(vendor, answer)}")
    if 300 <= status < 400:
        return _Refusal(ErrorType.INFERENCE_ERROR, f"HTTP {status}: redirects are not followed")
    said, spent = _vendors_words(answer.body)
    words = vendor.scrub(said, 300) if said else _excerpt(vendor, answer)
    return _Refusal(
        ErrorType.INFERENCE_ERROR,
        f"HTTP {status}: {words}",
        retried=is_retried(status, answer.headers) and not spent,
        wait=retry_after(answer.headers),
        status=status,
    )


def _excerpt(vendor: Vendor, answer: "Answer") -> str:
    """What a body that cannot be read looks like: its type and its first characters, without keys."""
    content_type = vendor.scrub(answer.headers.get("Content-Type", "no content type"), 80)
    start = vendor.scrub(answer.body[:4000].decode("utf-8", "replace"), 200)
    return f"{content_type}: {start}" if start else f"{content_type}, empty body"


def _vendors_words(body: bytes) -> tuple[str | None, bool]:
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
