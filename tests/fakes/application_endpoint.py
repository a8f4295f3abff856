"""An application under evaluation, on loopback, that does by its path what applications do, the bad ones too.

It runs inside a test's loop (`FakeApplication`) or as a process of its own (`ApplicationProcess`, or
`python -m tests.fakes.application_endpoint --port 0`). `GET /_calls` gives the calls so far.

`/answer` says `{"answer": <the question in capitals>, "sent": <the body>, "trace": [...], "usage": {...}}` after
`latency`; the question is `inputs.question`, or the V0 form's. A question that begins with `!` names one of the
paths below instead.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

_PIECE = b"x" * 65536


@dataclass(frozen=True, slots=True)
class Call:
    """One request that came: its path with its query, its headers by lower-case name, its parsed body."""

    path: str
    method: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass
class FakeApplication:
    """The application as an asynchronous context manager; `busy` are the 429s and 503s that `/busy` gives first."""

    latency: float = 0.0
    port: int = 0
    busy: int = 2
    calls: list[Call] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    sent_bytes: int = 0
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    _seen: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        self._tasks.discard(task)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        content = await reader.readexactly(int(headers.get("content-length", 0)))
        body = orjson.loads(content) if content else None
        if path == "/_calls":
            shown = [{"path": call.path, "body": call.body, "headers": call.headers} for call in self.calls]
            return await self._json(writer, shown)
        self.calls.append(Call(path, method, headers, body, time.time()))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._act(path.partition("?")[0], body, writer)
        finally:
            self.in_flight -= 1

    async def _act(self, path: str, body: Any, writer: asyncio.StreamWriter) -> bool:
        question = _question(body)
        if path == "/answer" and question.startswith("!"):
            path = "/" + question[1:]
        if path.startswith("/status/"):
            return await self._raw(writer, int(path[8:]), b"no, and the word is sesame", b"text/plain")
        if path == "/answer":
            await asyncio.sleep(self.latency)
            return await self._json(writer, _answer(question, body))
        act: Callable[[asyncio.StreamWriter], Awaitable[bool]] = getattr(self, "_do_" + path[1:].replace("-", "_"))
        return await act(writer)

    async def _json(self, writer: asyncio.StreamWriter, value: Any) -> bool:
        return await self._raw(writer, 200, orjson.dumps(value), b"application/json")

    async def _raw(
        self, writer: asyncio.StreamWriter, status: int, body: bytes, kind: bytes, more: bytes = b""
    ) -> bool:
        head = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n" % (status, kind, len(body), more)
        writer.write(head + body)
        await writer.drain()
        return True

    async def _do_hang(self, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(3600)
        return False

    async def _do_redirect(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 302, b"", b"text/plain", b"Location: /answer\r\n")

    async def _do_html(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, b"<!DOCTYPE html><p>Sign in, sesame</p>", b"text/html")

    async def _do_malformed(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, b'{"answer": "cut', b"application/json")

    async def _do_empty(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, b"", b"application/json")

    async def _do_wrong_shape(self, writer: asyncio.StreamWriter) -> bool:
        return await self._json(writer, {"reply": {"text": "elsewhere"}})

    async def _do_deep(self, writer: asyncio.StreamWriter) -> bool:
        body = b'{"answer": ' + b"[" * 900 + b"]" * 900 + b"}"
        return await self._raw(writer, 200, body, b"application/json")

    async def _do_deep_elsewhere(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, b"[" * 900 + b"]" * 900, b"application/json")

    async def _do_nul(self, writer: asyncio.StreamWriter) -> bool:
        body = b'{"answer": "a\\u0000b", "sources": {"\\u0000": 1e308}, "trace": {"spans": [{"name": "\\u0000"}]}}'
        return await self._raw(writer, 200, body, b"application/json")

    async def _do_surrogate(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, b'{"answer": "\\ud800"}', b"application/json")

    async def _do_long_number(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, b'{"answer": 1' + b"0" * 500 + b"}", b"application/json")

    async def _do_nan(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, b'{"answer": NaN}', b"application/json")

    async def _do_declared_gigabyte(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
        return await self._pour(writer, lambda piece: piece)

    async def _do_endless(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        return await self._pour(writer, lambda piece: b"%x\r\n%b\r\n" % (len(piece), piece))

    async def _pour(self, writer: asyncio.StreamWriter, framed: Callable[[bytes], bytes]) -> bool:
        while True:
            writer.write(framed(_PIECE))
            self.sent_bytes += len(_PIECE)
            await writer.drain()

    async def _do_drip(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def _do_garbage(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        await writer.drain()
        return False

    async def _do_reset(self, writer: asyncio.StreamWriter) -> bool:
        return False

    async def _do_short(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        return False

    async def _do_headers(self, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 X\r\n")
        while True:
            writer.write(b"X-More: " + b"y" * 4000 + b"\r\n")
            await writer.drain()

    async def _do_compressed(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, b"\x1f\x8b", b"application/json", b"Content-Encoding: gzip\r\n")

    async def _do_busy(self, writer: asyncio.StreamWriter) -> bool:
        self._seen["busy"] += 1
        if self._seen["busy"] <= self.busy:
            status = 429 if self._seen["busy"] % 2 else 503
            return await self._raw(writer, status, b"{}", b"application/json", b"Retry-After: 0.2\r\n")
        return await self._json(writer, {"answer": "AT LAST"})

    async def _do_flaky(self, writer: asyncio.StreamWriter) -> bool:
        self._seen["flaky"] += 1
        return self._seen["flaky"] > 1 and await self._json(writer, {"answer": "AGAIN"})

    async def _do_secretive(self, writer: asyncio.StreamWriter) -> bool:
        headers = self.calls[-1].headers
        return await self._json(
            writer, {"answer": headers.get("authorization"), headers.get("x-token", "-"): [headers]}
        )

    async def _do_secretive_error(self, writer: asyncio.StreamWriter) -> bool:
        headers = self.calls[-1].headers
        said = f"bad token {headers.get('authorization')}, or {headers.get('x-token')}".encode()
        return await self._raw(writer, 401, said, b"text/plain")

    async def _do_text(self, writer: asyncio.StreamWriter) -> bool:
        return await self._raw(writer, 200, "plain and fünf".encode(), b"text/plain")

    async def _do_events(self, writer: asyncio.StreamWriter) -> bool:
        events = [{"delta": "one "}, {"delta": "two", "note": 7}, {"usage": {"out": 3}}]
        said = b"".join(b"event: x\ndata: %b\n\n" % orjson.dumps(event) for event in events)
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n: hello\n\n" + said)
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        await asyncio.sleep(3600)  # some keep the connection open after the last event
        return False

    async def _do_plain_query(self, writer: asyncio.StreamWriter) -> bool:
        return await self._json(writer, {"answer": self.calls[-1].path})


def _question(body: Any) -> str:
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if isinstance(inputs, dict):
        node = inputs.get("input_node")
        question = node.get("input-text") if isinstance(node, dict) else inputs.get("question")
        return question if isinstance(question, str) else ""
    return ""


def _answer(question: str, body: Any) -> dict[str, Any]:
    span = {
        "name": "retrieve",
        "type": "KB_RETRIEVAL",
        "input": {"query": question},
        "output": {"found": 2},
        "start_timestamp": "2026-01-02T03:04:05Z",
        "end_timestamp": "2026-01-02T03:04:06Z",
    }
    return {
        "answer": question.upper(),
        "output-text": question.upper(),
        "sent": body,
        "sources": ["a", "b"],
        "trace": {"spans": [span, {**span, "name": "generate", "type": "COMPLETION"}]},
        "usage": {"in": 11, "out": 4},
    }


class ApplicationProcess:
    """The application as a process of its own, so that it outlives a killed server and slows nobody's loop."""

    def __init__(self, latency: float = 0.0) -> None:
        self._latency = latency
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.fakes.application_endpoint", "--latency", str(self._latency)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def calls(self) -> list[dict[str, Any]]:
        """Every call so far."""
        with urllib.request.urlopen(f"{self.url}/_calls", timeout=10) as reply:
            found: list[dict[str, Any]] = orjson.loads(reply.read())
            return found


async def _run(port: int, latency: float) -> None:
    async with FakeApplication(latency=latency, port=port) as application:
        print(application.url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    asyncio.run(_run(given.port, given.latency))
