"""`HttpModels`: models over HTTP, with each vendor's limits, retries and accounts of what a call cost."""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from assay.adapters.models.calls import Call, Refusal, VendorCalls
from assay.adapters.models.dialect import Untranslatable
from assay.adapters.models.vendors import Vendor
from assay.core.results import ErrorType, TaskError, Usage
from assay.ports.models import AnswerShape, ModelReply
from assay.settings import VendorSettings

log = structlog.get_logger()

_REFUSED_SHAPE = frozenset({400, 422})
"""Statuses by which an endpoint says that it cannot hold an answer to a shape, among other things."""
_MOST_REMEMBERED = 10_000


class HttpModels:
    """The `Models` port over HTTP. May be used from several event loops; limits hold for all of them together,
    and `close` closes the connections of all of them, as long as they run. `calls` is what it calls with, for
    other ports over the same vendors.

    An attempt that fails by its connection, a timeout or a status that may pass (408, 409, 425, 429, 5xx)
    is tried again after a jittered, doubling wait or the one that the vendor asks for, up to the vendor's
    `max_attempts`; no place is held meanwhile. A 429 pauses the whole vendor for the time it names and
    halves what is in flight. Latency is the last attempt's round trip, without waiting for a place.
    """

    def __init__(self, vendors: Mapping[str, VendorSettings], environ: Mapping[str, str] = os.environ) -> None:
        self.calls = VendorCalls(vendors, environ)
        self._unheld: set[tuple[str, bytes]] = set()

    def problem(self, model: str) -> str | None:
        return self.calls.problem(model)

    async def chat(self, model: str, request: Mapping[str, Any]) -> ModelReply:
        problem = self.calls.problem(model)
        if problem is not None:
            return _error(ErrorType.INFERENCE_ERROR, problem)
        vendor_name, _, name = model.partition("/")
        vendor = self.calls.vendors[vendor_name]
        try:
            body = orjson.dumps(vendor.dialect.chat_body(name, _without_streaming(request)))
        except Untranslatable as error:
            return _error(ErrorType.INVALID_INPUT, f"{model}: {error}")
        except TypeError as error:
            return _error(ErrorType.INVALID_INPUT, f"{model}: the request cannot be written as JSON: {error}")
        outcome, usage = await self.calls.send(_chat_call(vendor, model, body))
        if isinstance(outcome, Refusal):
            return _error(outcome.kind, outcome.message(model, usage.attempts), usage)
        return ModelReply(body=vendor.dialect.chat_reply(outcome), usage=usage)

    async def ask(self, model: str, request: Mapping[str, Any], shape: AnswerShape) -> ModelReply:
        problem = self.calls.problem(model)
        if problem is not None:
            return _error(ErrorType.INFERENCE_ERROR, problem)
        vendor_name, _, name = model.partition("/")
        vendor = self.calls.vendors[vendor_name]
        if vendor.settings.structured_output == "none":
            return await self.chat(model, request)
        try:
            known = (model, hashlib.blake2b(orjson.dumps(shape.schema), digest_size=16).digest())
            if known in self._unheld:
                return await self.chat(model, request)
            body = orjson.dumps(vendor.dialect.held_body(name, _without_streaming(request), shape))
        except (Untranslatable, TypeError):
            return await self.chat(model, request)  # which says what cannot be said, if it cannot be said either
        outcome, usage = await self.calls.send(_chat_call(vendor, model, body))
        if not isinstance(outcome, Refusal):
            return ModelReply(vendor.dialect.held_reply(outcome), usage=usage)
        if outcome.status not in _REFUSED_SHAPE:
            return _error(outcome.kind, outcome.message(model, usage.attempts), usage)
        reply = await self.chat(model, request)
        if reply.error is None and known not in self._unheld and len(self._unheld) < _MOST_REMEMBERED:
            said = any(told == model for told, _ in self._unheld)
            self._unheld.add(known)
            if not said:
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
        problem = self.calls.problem(model)
        if problem is not None:
            return _error(ErrorType.INFERENCE_ERROR, problem)
        if args.get("stream"):
            return _error(ErrorType.INVALID_INPUT, f"{model}: a streamed answer cannot be a result; leave stream out")
        vendor_name, _, name = model.partition("/")
        vendor = self.calls.vendors[vendor_name]
        try:
            body = orjson.dumps({**args, "model": name})
        except TypeError as error:
            return _error(ErrorType.INVALID_INPUT, f"{model}: the arguments cannot be written as JSON: {error}")
        attempts = vendor.settings.max_attempts if num_retries is None else num_retries + 1
        seconds = vendor.settings.timeout if timeout_seconds is None else timeout_seconds
        call = Call(vendor, model, vendor.dialect.infer_path(args), body, attempts, seconds)
        outcome, usage = await self.calls.send(call)
        if isinstance(outcome, Refusal):
            return _error(outcome.kind, outcome.message(model, usage.attempts), usage)
        return ModelReply(outcome, usage=usage)

    async def close(self) -> None:
        await self.calls.close()


def _chat_call(vendor: Vendor, model: str, body: bytes) -> Call:
    settings = vendor.settings
    return Call(vendor, model, vendor.dialect.chat_path(), body, settings.max_attempts, settings.timeout)


def _without_streaming(request: Mapping[str, Any]) -> Mapping[str, Any]:
    if "stream" in request or "stream_options" in request or "model" in request:
        return {key: request[key] for key in request if key not in ("stream", "stream_options", "model")}
    return request


def _error(kind: ErrorType, message: str, usage: Usage | None = None) -> ModelReply:
    return ModelReply(error=TaskError(kind, message[:2000]), usage=usage or Usage(attempts=0))
