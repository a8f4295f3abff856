"""One stream of a vendor: its bytes as chunks, and what each way of breaking off means."""

import asyncio
import contextlib
import time
from collections import deque
from typing import Any, Self

from assay.adapters.models.calls import Call, Refusal
from assay.adapters.models.chunks import ChunkReader, StreamError
from assay.adapters.models.exchange import Failed, Incoming
from assay.adapters.models.retries import is_retried
from assay.adapters.models.sse import Records, RecordTooLarge
from assay.core.errors import VendorFailed
from assay.core.results import ErrorType, Usage

LAST_WORDS = 0.1
"""Seconds that a connection whose stream is over has to end properly, so that it can be used again."""


class HttpStream:
    """Implements `ports.inference.ModelStream`. Each record is bounded by the vendor's `max_response_bytes`, the
    whole is not: nothing of it is kept."""

    def __init__(self, call: Call, incoming: Incoming, reader: ChunkReader, started: float, attempts: int) -> None:
        self._call = call
        self._incoming = incoming
        self._reader = reader
        self._started = started
        self._attempts = attempts
        self._records = Records(call.vendor.settings.max_response_bytes)
        self._ready: deque[Any] = deque()
        self._broken: StreamError | RecordTooLarge | None = None

    @property
    def usage(self) -> Usage:
        """What it has cost so far."""
        seconds = time.perf_counter() - self._started
        return Usage(seconds, self._attempts, self._reader.prompt_tokens, self._reader.completion_tokens)

    async def begin(self) -> Refusal | None:
        """Wait for the first chunk; why there is none, or why no more will follow those that came with it: as
        long as nothing was handed out, the call can be made again."""
        try:
            await self._fill()
        except (Failed, StreamError, RecordTooLarge) as error:
            return self._refusal(error)
        if self._broken is not None:
            return self._refusal(self._broken)
        return None if self._ready else Refusal(ErrorType.INFERENCE_ERROR, "the stream ended before its first chunk")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            await self._fill()
        except (Failed, StreamError, RecordTooLarge) as error:
            raise failure(self._call, self._refusal(error), self._attempts) from error
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    async def settle(self) -> None:
        """Let a connection whose stream is over come to its end."""
        if self._reader.is_over and not self._incoming.is_whole:
            with contextlib.suppress(Failed, TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await self._incoming.piece()

    async def _fill(self) -> None:
        """See to it that a chunk is ready, unless the answer is at its end."""
        while not self._ready and not self._reader.is_over:
            if self._broken is not None:
                raise self._broken
            piece = await self._incoming.piece()
            if piece:
                self._read(piece)
            elif self._incoming.is_whole:
                if not self._reader.is_complete:
                    raise Failed("connection", "the stream broke off")
                return

    def _read(self, piece: bytes) -> None:
        """Read a piece; what is wrong in it counts once the chunks before it are handed out."""
        try:
            for data in self._records.feed(piece):
                self._ready.extend(self._reader.read(data))
        except (StreamError, RecordTooLarge) as error:
            self._broken = error

    def _refusal(self, error: Failed | StreamError | RecordTooLarge) -> Refusal:
        if isinstance(error, Failed):
            return Refusal.of(error)
        if isinstance(error, RecordTooLarge):
            limit = self._call.vendor.settings.max_response_bytes
            return Refusal(ErrorType.INFERENCE_ERROR, f"a record of the stream is larger than {limit} bytes")
        retried = error.status is not None and is_retried(error.status, {})
        said = self._call.vendor.scrub(error.message, 300)
        return Refusal(ErrorType.INFERENCE_ERROR, said, retried=retried, status=error.status)


def failure(call: Call, refusal: Refusal, attempts: int) -> VendorFailed:
    """A final refusal as the error that it is."""
    return VendorFailed(
        refusal.message(call.model, attempts),
        status=refusal.status,
        retry_after=refusal.wait,
        timed_out=refusal.kind is ErrorType.TIMEOUT,
        may_pass=refusal.retried,
        own_key=call.own_key,
    )
