"""`HttpInference`: calls for somebody who waits, whole or streamed, over the vendors that `HttpModels` calls."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson

from assay.adapters.models.calls import Call, Refusal, VendorCalls, excerpt, heed, is_final, judge
from assay.adapters.models.chunks import ChunkReader, OpenAIChunks, RawRecords
from assay.adapters.models.dialect import Untranslatable
from assay.adapters.models.retries import backoff
from assay.adapters.models.vendors import Vendor
from assay.core.errors import NotConfigured, RuleViolation, VendorFailed
from assay.core.results import ErrorType
from assay.ports.inference import CallKind, InferenceCall, ModelAnswer

if TYPE_CHECKING:
    from assay.adapters.models.streams import HttpStream

PATIENCE = 10.0
"""Seconds: a vendor that asks to wait longer is not waited for; its word goes to whoever asked."""

LISTING_SECONDS = 5.0
REMEMBERED_SECONDS = 60.0
MOST_LISTED = 5000
LONGEST_NAME = 500


class HttpInference:
    """The `Inference` port over HTTP."""

    def __init__(self, calls: VendorCalls) -> None:
        self._calls = calls
        self._listed: dict[str, tuple[float, Sequence[str] | None]] = {}

    @property
    def vendors(self) -> Sequence[str]:
        return sorted(self._calls.vendors)

    def problem(self, model: str, *, own_key: bool = False) -> str | None:
        return self._calls.problem(model, own_key=own_key)

    async def call(self, call: InferenceCall) -> ModelAnswer:
        from assay.adapters.models.streams import failure

        sent = self._prepared(call, stream=False)
        outcome, usage = await self._calls.send(sent)
        if isinstance(outcome, Refusal):
            raise failure(sent, outcome, usage.attempts)
        body = sent.vendor.dialect.chat_reply(outcome) if call.kind is CallKind.CHAT else outcome
        return ModelAnswer(body, usage)

    @asynccontextmanager
    async def stream(self, call: InferenceCall) -> "AsyncIterator[HttpStream]":
        from assay.adapters.models.streams import failure

        sent = self._prepared(call, stream=True)
        gate = self._calls.gate(sent.vendor)
        attempt = 0
        while True:
            attempt += 1
            async with AsyncExitStack() as stack:
                await gate.enter()
                stack.callback(gate.leave)
                outcome = await self._begin(stack, sent, _reader(sent.vendor, call), attempt)
                if not isinstance(outcome, Refusal):
                    gate.ease()
                    yield outcome
                    await outcome.settle()
                    return
                if outcome.status == 429:
                    heed(gate, sent, outcome)
            if is_final(sent, outcome, attempt):
                raise failure(sent, outcome, attempt)
            await asyncio.sleep(backoff(attempt) if outcome.wait is None else outcome.wait + backoff(1))

    async def listed(self, vendor: str) -> Sequence[str] | None:
        known = self._calls.vendors.get(vendor)
        if known is None or known.problem() is not None:
            return None
        at, names = self._listed.get(vendor, (float("-inf"), None))
        if time.monotonic() - at > REMEMBERED_SECONDS:
            names = await self._ask_for_models(known)
            self._listed[vendor] = (time.monotonic(), names)
        return names

    async def _begin(
        self, stack: AsyncExitStack, call: Call, reader: ChunkReader, attempt: int
    ) -> "HttpStream | Refusal":
        """One attempt: the stream once its first chunk is there, or why there is none."""
        from assay.adapters.models.exchange import ERROR_BODY_BYTES, Failed
        from assay.adapters.models.streams import HttpStream

        here = self._calls.here()
        route = self._calls.route(here, call)
        started = time.perf_counter()
        try:
            incoming = await stack.enter_async_context(here.exchange.open(route, call.body, timeout=call.seconds))
            content_type = incoming.headers.get("Content-Type", "").lower()
            if not 200 <= incoming.status < 300 or not content_type.startswith("text/event-stream"):
                answer = await incoming.start(ERROR_BODY_BYTES)
                refusal = judge(call.vendor, answer)
                if isinstance(refusal, Refusal):
                    return refusal
                return Refusal(ErrorType.INFERENCE_ERROR, f"no stream came but {excerpt(call.vendor, answer)}")
        except Failed as failed:
            return Refusal.of(failed)
        stream = HttpStream(call, incoming, reader, started, attempt)
        return await stream.begin() or stream

    def _prepared(self, call: InferenceCall, *, stream: bool) -> Call:
        """The call as it goes over the wire. Raises NotConfigured, RuleViolation, VendorFailed."""
        problem = self._calls.problem(call.model, own_key=call.key is not None)
        if problem is not None:
            raise NotConfigured(problem)
        vendor_name, _, name = call.model.partition("/")
        vendor = self._calls.vendors[vendor_name]
        try:
            if call.key is not None:
                vendor = vendor.with_key(call.key)
            path, body = _written(vendor, name, call, stream=stream)
            written = orjson.dumps(body)
        except Untranslatable as error:
            raise RuleViolation(f"{call.model}: {error}") from None
        except TypeError as error:
            raise RuleViolation(f"{call.model}: the request cannot be written as JSON: {error}") from None
        self._check_pause(vendor, call)
        return Call(
            vendor,
            call.model,
            path,
            written,
            attempts=vendor.settings.max_attempts if call.num_retries is None else call.num_retries + 1,
            seconds=vendor.settings.timeout if call.timeout_seconds is None else call.timeout_seconds,
            own_key=call.key is not None,
            patience=PATIENCE,
        )

    def _check_pause(self, vendor: Vendor, call: InferenceCall) -> None:
        """Raise for a pause that the vendor asked for and that is too long to wait for: it would say so again."""
        seconds = self._calls.gate(vendor).closed_for()
        if seconds > PATIENCE:
            raise VendorFailed(
                f"{call.model}: the vendor has asked for a pause, of which {seconds:.0f} s are left",
                status=429,
                retry_after=seconds,
                own_key=call.key is not None,
            )

    async def _ask_for_models(self, vendor: Vendor) -> Sequence[str] | None:
        from assay.adapters.models.exchange import Failed

        settings = vendor.settings
        here = self._calls.here()
        url = vendor.dialect.url(settings.base_url, vendor.dialect.models_path())
        route = here.exchange.route(url, vendor.headers(), min(settings.connect_timeout, LISTING_SECONDS), "GET")
        try:
            answer = await here.exchange.post(
                route, b"", timeout=LISTING_SECONDS, max_bytes=settings.max_response_bytes
            )
        except Failed:
            return None
        body = judge(vendor, answer)
        found = body.get("data") if isinstance(body, dict) else None
        if not isinstance(found, list):
            return None
        names = (each.get("id") for each in found if isinstance(each, dict))
        good = (name for name in names if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME)
        return tuple(dict.fromkeys(good))[:MOST_LISTED]


def _written(vendor: Vendor, name: str, call: InferenceCall, *, stream: bool) -> tuple[str, Mapping[str, Any]]:
    """Where the call goes and its body. Raises Untranslatable."""
    dialect = vendor.dialect
    if call.kind is CallKind.CHAT:
        try:
            body = dialect.stream_body(name, call.body) if stream else dialect.chat_body(name, call.body)
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            raise Untranslatable("messages, tools or another part of the request are not OpenAI's") from error
        return dialect.chat_path(), body
    path = dialect.completion_path() if call.kind is CallKind.COMPLETION else dialect.infer_path(call.body)
    return path, {**call.body, "model": name, **({"stream": True} if stream else {})}


def _reader(vendor: Vendor, call: InferenceCall) -> ChunkReader:
    if call.kind is CallKind.CHAT:
        return vendor.dialect.chat_chunks(call.body)
    return OpenAIChunks() if call.kind is CallKind.COMPLETION else RawRecords()
