"""One HTTP exchange with an application: a request, and an answer of bounded size that may be anything."""

import asyncio
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import aiohttp
from yarl import URL

from assay.adapters.applications.lookup import CheckedResolver, Lookup, RefusedAddress, checked_addresses
from assay.adapters.applications.networks import Networks
from assay.core.endpoints import Endpoint

Kind = Literal["timeout", "connection", "refused", "unusable"]

EXCERPT_BYTES = 16 * 1024
CONNECT_SECONDS = 10.0
_LAST_EVENT = b"data: [DONE]"


class Failed(Exception):
    """No usable answer came. `kind`: `connection` may go better next time; `timeout`, `refused` and `unusable`
    (an answer that nobody can take) not."""

    def __init__(self, kind: Kind, reason: str) -> None:
        super().__init__(reason)
        self.kind: Kind = kind
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer; of a status that is no success only the beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it goes over the wire. `body` is None for a GET, whose `query` is part of the URL."""

    endpoint: Endpoint
    headers: Mapping[str, str]
    body: bytes | None
    query: Mapping[str, str]
    seconds: float
    max_bytes: int


class Exchange:
    """The connections of one event loop. Keeps no cookies, follows no redirect, goes through no proxy."""

    def __init__(self, networks: Networks, lookup: Lookup) -> None:
        self._networks = networks
        self._lookup = lookup
        connector = aiohttp.TCPConnector(
            limit=0, keepalive_timeout=15.0, ttl_dns_cache=30, resolver=CheckedResolver(networks, lookup)
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            auto_decompress=False,
            trust_env=False,
        )

    async def send(self, request: Request) -> Answer:
        """Send the request and read the answer. Raises Failed."""
        try:
            async with asyncio.timeout(request.seconds) as deadline:
                return await self._send(request)
        except TimeoutError as error:
            if not deadline.expired():
                raise Failed("connection", f"no connection within {CONNECT_SECONDS:g} s") from error
            raise Failed("timeout", f"no complete answer within {request.seconds:g} s") from error
        except (OSError, aiohttp.ClientError, UnicodeError) as error:
            raise _failed(error) from error

    async def _send(self, request: Request) -> Answer:
        endpoint = request.endpoint
        url = URL(endpoint.url, encoded=True)
        if (url.raw_host or "").lower() != endpoint.host or url.port != endpoint.port or url.user is not None:
            raise Failed("refused", "the URL can be read in two ways")
        if _is_literal(endpoint.host):
            # The connector takes an address that is written out as it is and asks no resolver.
            await checked_addresses(endpoint.host, endpoint.port, self._networks, self._lookup)
        if request.query:
            url = url.extend_query(request.query)
        async with self._session.request(
            endpoint.method, url, headers=request.headers, data=request.body, allow_redirects=False
        ) as response:
            return await _read(response, request)  # what is left unread closes the connection

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        await self._session.close()


def _failed(error: Exception) -> Failed:
    """Why there is no answer, from what the connection raised."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, RefusedAddress):
        return Failed("refused", f"the address {cause}")
    if isinstance(error, UnicodeError | aiohttp.InvalidURL):
        return Failed("refused", "the URL's host is no name")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Failed("refused", "its certificate is not trusted")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failed("connection", "no address found for the name")
    if isinstance(error, aiohttp.ClientConnectorError):
        return Failed("connection", f"cannot connect ({_cause(error)})")
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return Failed("connection", "the connection was closed before the answer was complete")
    if isinstance(error, aiohttp.ClientResponseError):
        return Failed("unusable", "what came back is not HTTP")
    return Failed("connection", f"the connection was lost ({_cause(error)})")


async def _read(response: aiohttp.ClientResponse, request: Request) -> Answer:
    good = 200 <= response.status < 300
    limit = request.max_bytes if good else EXCERPT_BYTES
    too_large = f"the answer is larger than {limit} bytes (setting application_max_response_bytes)"
    if good and response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Failed("unusable", "the answer is compressed though nobody asked for it")
    if good and (response.content_length or 0) > limit:
        raise Failed("unusable", too_large)
    body = bytearray()
    events = request.endpoint.response.format == "sse"
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > limit:
            if good:
                raise Failed("unusable", too_large)
            break
        if events and _LAST_EVENT in body[-len(piece) - len(_LAST_EVENT) :]:
            break
    return Answer(response.status, response.headers, bytes(body[:limit]))


def _is_literal(host: str) -> bool:
    return ":" in host or not host.strip("0123456789.")


def _cause(error: BaseException) -> str:
    """A short word for an operating system's error; never its full text, which may name more than it should."""
    os_error = getattr(error, "os_error", error)
    number = getattr(os_error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return errno.errorcode[number]
    return type(os_error).__name__
