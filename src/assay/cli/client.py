"""A client of Assay's own API for the commands: the standard library's HTTP, and patience while a server restarts."""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

FIRST_PATIENCE = 3.0
"""Seconds for which a server that has never answered is waited for: it may be a wrong address."""
_WORTH_ANOTHER_TRY = frozenset({408, 429, 502, 503, 504})


class Unreachable(Exception):
    """No server answered, for as long as the client's patience lasted."""


class Refused(Exception):
    """The server answered with an error. `problems` are (loc, message) pairs, one with an empty loc at least."""

    def __init__(self, status: int, problems: list[tuple[list[Any], str]]) -> None:
        super().__init__("; ".join(_said(loc, message) for loc, message in problems))
        self.status = status
        self.problems = problems


class Client:
    """Calls one server with one key.

    Once the server has answered, reading is tried again for `patience` seconds while it is away; before each
    further try `on_lost` is called, with whether it is the first, and may bring the server back. Writing is
    tried again only when it surely did not arrive.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        account: str | None = None,
        patience: float = 60.0,
        on_lost: Callable[[bool], None] = lambda first: None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http or https address: {base_url}")
        if not api_key.isascii() or not api_key.isprintable():
            raise ValueError("the API key holds a character that no key has")
        self.base_url = base_url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self._headers = {"x-api-key": api_key, "accept": "application/json"}
        if account:
            self._headers["x-selected-account-id"] = account
        self._patience = patience
        self._on_lost = on_lost
        self._has_answered = False
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Read. Raises Refused or Unreachable."""
        return self._send("GET", path, query, None)

    def post(self, path: str, body: Any = None) -> Any:
        """Write. Raises Refused or Unreachable."""
        return self._send("POST", path, None, body)

    def items(self, path: str, query: Mapping[str, Any], *, page: int = 1000) -> Iterator[dict[str, Any]]:
        """Every row of a paged list, in order."""
        cursor: dict[str, Any] = {}
        while True:
            answer = self.get(path, {**query, "limit": page, **cursor})
            yield from answer["items"]
            if not answer["has_more"] or not answer["items"]:
                return
            cursor = {"starting_after": answer["items"][-1]["id"]}

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, method: str, path: str, query: Mapping[str, Any] | None, body: Any) -> Any:
        target = f"{self._prefix}{quote(path)}" + (f"?{urlencode(query)}" if query else "")
        payload = None if body is None else json.dumps(body, allow_nan=False).encode()
        reading = method == "GET"
        if not reading:
            self.close()  # a kept connection may be dead, and a write must not be sent twice to find out
        give_up = time.monotonic() + (self._patience if self._has_answered else FIRST_PATIENCE)
        first, pause = True, 0.1
        while True:
            try:
                status, answer = self._once(method, target, payload)
                if not (reading and status in _WORTH_ANOTHER_TRY):
                    return _read(status, answer)
                lost: Exception = _refusal(status, answer)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if not reading and not isinstance(error, ConnectionRefusedError):
                    raise Unreachable(f"{self.base_url} broke off: {error or type(error).__name__}") from error
                lost = Unreachable(f"{self.base_url} does not answer: {error or type(error).__name__}")
            if time.monotonic() + pause > give_up:
                raise lost
            self._on_lost(first)
            time.sleep(pause)
            first, pause = False, min(pause * 2, 1.0)

    def _once(self, method: str, target: str, payload: bytes | None) -> tuple[int, bytes]:
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._connection = kind(self._host, self._port, timeout=60 if payload is None else 600)
        headers = self._headers if payload is None else {**self._headers, "content-type": "application/json"}
        self._connection.request(method, target, payload, headers)
        response = self._connection.getresponse()
        answer = response.read()
        self._has_answered = True
        return response.status, answer


def _read(status: int, answer: bytes) -> Any:
    if status >= 400:
        raise _refusal(status, answer)
    try:
        return json.loads(answer)
    except ValueError as error:
        raise Refused(status, [([], "the answer is not JSON: is this an Assay server?")]) from error


def _refusal(status: int, answer: bytes) -> Refused:
    try:
        detail = json.loads(answer)["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"HTTP {status}"
    if isinstance(detail, list):
        found = [(list(one.get("loc", [])), str(one.get("msg", ""))) for one in detail if isinstance(one, dict)]
        if found:
            return Refused(status, found)
    return Refused(status, [([], str(detail))])


def _said(loc: list[Any], message: str) -> str:
    where = ".".join(str(part) for part in loc if part != "body")
    return f"{where}: {message}" if where else message
