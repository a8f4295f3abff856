"""One HTTP exchange: a POST of bytes, an answer of bounded size, over aiohttp's connections.

It uses aiohttp's connector (pool, name resolution, TLS) and its response parser, and writes the request
itself from a head prepared once for each address: the session's own request path costs twice the CPU of all
the rest of a call.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.helpers import TimerNoop
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from yarl import URL

ERROR_BODY_BYTES = 64 * 1024

Kind = Literal["timeout", "connection", "refused"]

_BROKEN = (OSError, aiohttp.ClientError, HttpProcessingError)


class Failed(Exception):
    """No complete answer came. `kind`: `timeout` and `connection` may go better next time, `refused` not."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; the body of an error status is cut at `ERROR_BODY_BYTES`."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Route:
    """An address and how it is asked: the request's head up to its length, and what the connector needs."""

    __slots__ = ("connect_timeout", "head", "limits", "request", "where")

    def __init__(
        self,
        url: URL,
        headers: Mapping[str, str],
        connect_timeout: float,
        loop: asyncio.AbstractEventLoop,
        method: str = "POST",
    ) -> None:
        self.request = ClientRequest(method, url, headers=headers, loop=loop)
        self.request.headers.popall("Content-Length", None)
        self.request.headers.popall("Transfer-Encoding", None)
        lines = [f"{method} {url.raw_path_qs} HTTP/1.1"]
        lines.extend(f"{name}: {value}" for name, value in self.request.headers.items())
        self.head = ("\r\n".join(lines) + "\r\nContent-Length: ").encode("latin-1")
        self.limits = aiohttp.ClientTimeout(total=None, connect=connect_timeout)
        self.connect_timeout = connect_timeout
        self.where = f"{url.host}:{url.port}"


class Incoming:
    """An answer whose body is still on its way. Silence for longer than `timeout` seconds is a Failed."""

    def __init__(self, status: int, headers: Mapping[str, str], payload: StreamReader, timeout: float) -> None:
        self.status = status
        self.headers = headers
        self._payload = payload
        self._timeout = timeout

    @property
    def is_whole(self) -> bool:
        """Whether nothing more will come."""
        return self._payload.at_eof()

    async def piece(self) -> bytes:
        """The next bytes; none at the end. Raises Failed."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._payload.readany()
        except TimeoutError as error:
            raise Failed("timeout", f"nothing more came within {self._timeout:g} s") from error
        except _BROKEN as error:
            raise _failed(error) from error

    async def start(self, limit: int) -> Answer:
        """The answer with at most `limit` bytes of its body. Raises Failed."""
        body = b""
        while len(body) < limit and (piece := await self.piece()):
            body += piece
        return Answer(self.status, self.headers, body[:limit])


class Exchange:
    """The connections of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0, ttl_dns_cache=60)
        self._timer = TimerNoop()

    def route(self, url: str, headers: Mapping[str, str], connect_timeout: float, method: str = "POST") -> Route:
        """Prepare an address."""
        return Route(URL(url), headers, connect_timeout, self._loop, method)

    async def post(self, route: Route, body: bytes, *, timeout: float, max_bytes: int) -> Answer:
        """Post JSON bytes and read the answer, following no redirect. Raises Failed."""
        try:
            async with asyncio.timeout(timeout):
                return await self._post(route, body, max_bytes)
        except TimeoutError as error:
            raise Failed("timeout", f"no answer within {timeout:g} s") from error

    @asynccontextmanager
    async def open(self, route: Route, body: bytes, *, timeout: float) -> AsyncIterator[Incoming]:
        """Post JSON bytes and hand out the answer as it comes; unless all of it was read by the end of the block,
        the connection is closed, so that the other side stops. Raises Failed."""
        incoming = None
        connection: Connection | None = None
        try:
            try:
                async with asyncio.timeout(timeout):
                    connection = await self._connect(route)
                    message, payload = await self._ask(connection, route, body)
            except TimeoutError as error:
                raise Failed("timeout", f"no answer within {timeout:g} s") from error
            except _BROKEN as error:
                raise _failed(error) from error
            incoming = Incoming(message.code, message.headers, payload, timeout)
            yield incoming
        finally:
            if connection is not None:
                transport = connection.protocol.transport if connection.protocol is not None else None
                sent = transport is not None and not transport.get_write_buffer_size()
                if sent and incoming is not None and incoming.is_whole:
                    connection.release()
                else:
                    connection.close()

    async def _ask(self, connection: Connection, route: Route, body: bytes) -> tuple[RawResponseMessage, StreamReader]:
        """Write the request; the head of the final answer, and where its body comes."""
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            raise Failed("connection", "the connection was closed before the request")
        protocol.set_response_params(timer=self._timer, read_until_eof=True)
        protocol.transport.write(b"%b%d\r\n\r\n%b" % (route.head, len(body), body))
        while True:
            message, payload = await protocol.read()
            if message.code >= HTTPStatus.OK:
                return message, payload

    async def _post(self, route: Route, body: bytes, max_bytes: int) -> Answer:
        connection = await self._connect(route)
        protocol = connection.protocol
        done = False
        try:
            if protocol is None or protocol.transport is None:
                raise Failed("connection", "the connection was closed before the request")
            protocol.set_response_params(timer=self._timer, read_until_eof=True)
            protocol.transport.write(b"%b%d\r\n\r\n%b" % (route.head, len(body), body))
            answer, whole = await self._read(protocol, max_bytes)
            done = whole and protocol.transport is not None and not protocol.transport.get_write_buffer_size()
        except _BROKEN as error:
            raise _failed(error) from error
        else:
            return answer
        finally:
            if done:
                connection.release()
            else:
                connection.close()

    async def _connect(self, route: Route) -> Connection:
        try:
            return await self._connector.connect(route.request, traces=[], timeout=route.limits)
        except TimeoutError as error:
            raise Failed("timeout", f"no connection to {route.where} within {route.connect_timeout:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise Failed("refused", f"the certificate of {route.where} is not trusted") from error
        except aiohttp.ClientConnectorDNSError as error:
            raise Failed("connection", f"no address found for {route.where}") from error
        except (OSError, aiohttp.ClientError) as error:
            raise Failed("connection", f"cannot connect to {route.where} ({_cause(error)})") from error

    @staticmethod
    async def _read(protocol: ResponseHandler, max_bytes: int) -> tuple[Answer, bool]:
        """The final answer, and whether all of its body was read."""
        while True:
            message, payload = await protocol.read()
            if message.code >= HTTPStatus.OK:
                break
        failed = message.code >= HTTPStatus.MULTIPLE_CHOICES
        limit = min(max_bytes, ERROR_BODY_BYTES) if failed else max_bytes
        declared = message.headers.get("Content-Length", "")
        if not failed and declared.isdigit() and int(declared) > limit:
            raise Failed("refused", f"the answer is larger than {limit} bytes")
        body, whole = await _take(payload, limit)
        if not whole and not failed:
            raise Failed("refused", f"the answer is larger than {limit} bytes")
        return Answer(message.code, message.headers, body), whole

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._connector.close()


async def _take(payload: StreamReader, limit: int) -> tuple[bytes, bool]:
    piece = await payload.readany()
    if payload.at_eof() and len(piece) <= limit:
        return piece, True
    pieces = [piece]
    size = len(piece)
    while size <= limit:
        piece = await payload.readany()
        if not piece and payload.at_eof():
            return b"".join(pieces), True
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)[:limit], False


def _failed(error: BaseException) -> Failed:
    """What a connection's error means."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return Failed("connection", "the answer broke off")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return Failed("connection", "the connection was closed before an answer")
    if isinstance(error, HttpProcessingError):
        return Failed("refused", "what came back is not HTTP")
    return Failed("connection", f"the connection was lost ({_cause(error)})")


def _cause(error: BaseException) -> str:
    """A short word for an operating system's error; never its full text, which may name more than it should."""
    os_error = getattr(error, "os_error", error)
    number = getattr(os_error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return errno.errorcode[number]
    return type(os_error).__name__
