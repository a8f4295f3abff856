"""Answers that come as they are made: server-sent events, and work that ends when nobody waits for it any more."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

import structlog
from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from assay.api.shared.errors import response_to
from assay.api.shared.rendering import to_json
from assay.core.errors import AssayError

T = TypeVar("T")

STALLED_SECONDS = 60.0
"""How long a client may take nothing before its stream is given up: it holds a place at the vendor meanwhile."""

log = structlog.get_logger(__name__)


class EventStream(Response):
    """A stream of JSON values, each a record of server-sent events with data and nothing else: clients of the
    platform drop records with an event's name and fail at a sentinel, so the end is the end of the connection's
    answer.

    `opened` makes the context in which the values come. What it raises before the first of them is an ordinary
    error answer; afterwards the connection is closed in the middle of the answer, which no client takes for its
    end. A client that leaves ends the context.
    """

    media_type = "text/event-stream"

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[AsyncIterator[Any]]]) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no"})
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream until it ends or its reader leaves."""
        await _while_someone_waits(receive, self._serve(scope, receive, send))

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        try:
            async with self._opened() as values:
                async for value in values:
                    if not started:
                        started = True
                        await send(head)
                    await _send_piece(send, b"data: " + to_json(value) + b"\n\n")
                if not started:
                    await send(head)
                await _send_piece(send, b"", more=False)
        except AssayError as error:
            if started:
                log.warning("stream_broken", code=error.code)
                return
            await response_to(error)(scope, receive, send)
        except TimeoutError:
            log.warning("stream_stalled")


async def unless_left(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, which is cancelled when the client leaves. Raises ClientDisconnect then."""
    done, result = await _while_someone_waits(request.receive, work)
    if not done:
        raise ClientDisconnect
    return result  # type: ignore[return-value]


async def _while_someone_waits(receive: Receive, work: Coroutine[Any, Any, T]) -> tuple[bool, T | None]:
    """Whether the work was done before the client left, and its result. The request's body is read already."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return (True, working.result()) if working.done() else (False, None)
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_piece(send: Send, body: bytes, *, more: bool = True) -> None:
    """Send a part of the answer. Raises TimeoutError when the client takes nothing for too long."""
    async with asyncio.timeout(STALLED_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": more})
