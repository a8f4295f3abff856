"""A scriptable model endpoint on loopback: deterministic answers, failures on demand, a record of every call.

It runs inside a test's loop (`FakeEndpoint`) or as a process of its own (`EndpointProcess`, or
`python -m tests.fakes.model_endpoint --port 0 --latency 0.05`), and it is fast enough to be nobody's bottleneck.

Answers: the assistant says what the last user message said. A message that begins with `!` asks for a failure
of its own, whatever the script says: `!status 400`, `!hang`, `!reset`, `!html`, `!tool_calls` and the other
words of `KINDS`. What stands in `[[...]]` in a conversation is answered in turn, see `judge_answers`. A request
with `"stream": true` is answered word by word (`tests.fakes.model_streams`).
Control: `GET /_calls`, `POST /_script` (a list of steps), `POST /_latency`, `POST /_gap`, `POST /_reset`.
"""

import argparse
import asyncio
import contextlib
import hashlib
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

import orjson

from tests.fakes import model_streams
from tests.fakes.judge_answers import Directed, directed, refuses_shape

KINDS = frozenset(
    {
        "ok",
        "status",
        "hang",
        "reset",
        "malformed",
        "html",
        "huge",
        "huge_chunked",
        "redirect",
        "empty_choices",
        "truncated",
        "tool_calls",
        "json",
        "close",
        "stream",
        "stream_breaks",
        "stream_errs",
        "stream_fails",
        "stream_stalls",
    }
)
"""`ok` answers; `close` answers and closes the connection; `huge` sends `size` bytes of a declared body and
`huge_chunked` of an undeclared one; `json` sends `body` as it is with status 200; `stream` streams the lines of
`body` as they are. Half-way through a stream `stream_breaks` drops the connection, `stream_errs` sends an error
and ends, `stream_stalls` falls silent; `stream_fails` sends an error as its first record."""

_HUGE = 1 << 30
_PIECE = b"x" * 65536
_JSON = b"application/json"
_BEARER = b"\r\nauthorization: bearer "


@dataclass(slots=True)
class Step:
    """What the endpoint does with the next `times` calls. `seconds` is waited first, instead of the latency."""

    kind: str = "ok"
    times: int = 1
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    size: int = _HUGE
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such kind of step: {self.kind}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request that reached the endpoint: when (Unix time), where, a hash of its body, its last message, and
    the key that it carried."""

    at: float
    path: str
    body_hash: str
    message: str
    key: str = ""


class FakeEndpoint:
    """The endpoint inside the running loop. `calls` is the record; `script(...)` queues steps."""

    def __init__(self, *, latency: float = 0.0, steps: Sequence[Step] = ()) -> None:
        self.latency = latency
        self.gap = 0.0
        self.steps: deque[Step] = deque(steps)
        self.calls: list[Call] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.hung_up = 0
        self.connections = 0
        self.bytes_sent = 0
        self.last_head = b""
        self.last_body = b""
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def start(self, port: int = 0) -> Self:
        """Listen on 127.0.0.1; `url` is the OpenAI base URL, `root` the address without `/v1`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, loop), "127.0.0.1", port, backlog=2048)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    @property
    def root(self) -> str:
        """The address without a path, as Anthropic's base URL is written."""
        return self.url.removesuffix("/v1")

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._open):
                connection.abort()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def script(self, *steps: Step) -> None:
        """Queue steps; calls beyond them are answered."""
        self.steps.extend(steps)

    def reset(self) -> None:
        """Forget the calls and the steps that are left."""
        self.steps.clear()
        self.calls.clear()
        self.most_in_flight = self.in_flight

    def next_step(self) -> Step | None:
        """The step for this call, if one is queued."""
        if not self.steps:
            return None
        step = self.steps[0]
        step.times -= 1
        if step.times <= 0:
            self.steps.popleft()
        return step

    def header(self, name: str) -> str | None:
        """A header of the last request."""
        for line in self.last_head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return None

    def control(self, method: bytes, target: str, body: bytes) -> bytes:
        """Answer a request to a path that begins with `/_`."""
        path, _, query = target.partition("?")
        if path == "/_calls":
            since = float(parse_qs(query).get("since", ["0"])[0])
            calls = [call for call in self.calls if call.at >= since]
            shown = {"count": len(calls), "calls": calls, "hung_up": self.hung_up, "in_flight": self.in_flight}
            return _response(200, orjson.dumps(shown))
        if method == b"POST" and path == "/_script":
            self.script(*(Step(**step) for step in orjson.loads(body)))
        elif method == b"POST" and path == "/_latency":
            self.latency = float(orjson.loads(body))
        elif method == b"POST" and path == "/_gap":
            self.gap = float(orjson.loads(body))
        elif method == b"POST" and path == "/_reset":
            self.reset()
        else:
            return _response(404, b'{"error":{"message":"no such control"}}')
        return _response(200, b"{}")


class _Connection(asyncio.Protocol):
    """One keep-alive connection: whole requests in, one at a time; answers out, after the latency."""

    __slots__ = ("_buffer", "_busy", "_drained", "_endpoint", "_loop", "_pouring", "_timer", "_transport")

    def __init__(self, endpoint: FakeEndpoint, loop: asyncio.AbstractEventLoop) -> None:
        self._endpoint = endpoint
        self._loop = loop
        self._buffer = b""
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._drained.set()
        self._endpoint.connections += 1
        self._endpoint._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._drained.set()
        self._endpoint._open.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._busy:
            self._busy = False
            self._endpoint.in_flight -= 1
            self._endpoint.hung_up += 1

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._busy:
            self._read_request()

    def _read_request(self) -> None:
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = buffer[:end]
        start = head.lower().find(b"\r\ncontent-length:")
        length = 0 if start < 0 else int(head[start + 17 :].split(b"\r\n", 1)[0])
        if len(buffer) < end + 4 + length:
            return
        body = buffer[end + 4 : end + 4 + length]
        self._buffer = buffer[end + 4 + length :]
        method, target, _ = head.split(b" ", 2)
        if target.startswith(b"/_"):
            assert self._transport is not None
            self._transport.write(self._endpoint.control(method, target.decode(), body))
            return
        self._take(head, target.decode("latin-1"), body)

    def _take(self, head: bytes, target: str, body: bytes) -> None:
        endpoint = self._endpoint
        self._busy = True
        endpoint.in_flight += 1
        endpoint.most_in_flight = max(endpoint.most_in_flight, endpoint.in_flight)
        endpoint.last_head, endpoint.last_body = head, body
        try:
            request = orjson.loads(body)
        except orjson.JSONDecodeError:
            request = None
        message = _last_message(request)
        digest = hashlib.blake2b(body, digest_size=8).hexdigest()
        endpoint.calls.append(Call(time.time(), target, digest, message[:200], _key(head)))
        step = _own_step(message) if message.startswith("!") else endpoint.next_step()
        seconds = endpoint.latency if step is None or step.seconds is None else step.seconds
        if seconds > 0:
            self._timer = self._loop.call_later(seconds, self._answer, step, target, request, message)
        else:
            self._answer(step, target, request, message)

    def _answer(self, step: Step | None, target: str, request: Any, message: str) -> None:
        self._timer = None
        transport = self._transport
        if transport is None:
            return
        if _is_streamed(step, target, request):
            self._pouring = asyncio.ensure_future(self._stream(step, target, request, message))
            return
        if step is None or step.kind in ("ok", "close"):
            transport.write(_answer(target, request, message))
            if step is not None and step.kind == "close":
                transport.close()
        elif step.kind == "hang":
            return
        elif step.kind == "reset":
            self._rest()
            transport.abort()
            return
        elif step.kind in ("huge", "huge_chunked"):
            self._pouring = asyncio.ensure_future(self._pour(step))
            return
        else:
            transport.write(_scripted(step, request, self._endpoint.last_head))
            if step.kind == "truncated":
                transport.close()
        self._rest()

    def _rest(self) -> None:
        self._busy = False
        self._endpoint.in_flight -= 1
        if self._buffer:
            self._read_request()

    async def _stream(self, step: Step | None, target: str, request: Any, message: str) -> None:
        """The records of a stream, each a chunk of the transfer coding, with a gap between them."""
        kind = "ok" if step is None else step.kind
        path = target.partition("?")[0]
        tool = _tool_name(request) if kind == "tool_calls" else None
        records = step.body if step is not None and kind == "stream" else None
        sent = (
            [record.encode() for record in records] if records else model_streams.records(path, request, message, tool)
        )
        half = sent[: max(1, len(sent) // 2)]
        if kind == "stream_fails":
            sent = [model_streams.error_record(path)]
        elif kind == "stream_errs":
            sent = [*half, model_streams.error_record(path)]
        elif kind in ("stream_breaks", "stream_stalls"):
            sent = half
        self._write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n")
        self._write(b"transfer-encoding: chunked\r\n\r\n")
        gap = self._endpoint.gap
        for position, record in enumerate(sent):
            if position:
                await asyncio.sleep(gap)
            if self._transport is None:
                return
            self._write(b"%x\r\n%b\r\n" % (len(record), record))
        if kind == "stream_stalls":
            return
        if kind == "stream_breaks":
            self._transport.close()
            self._rest()
            return
        self._write(b"0\r\n\r\n")
        self._rest()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)
            self._endpoint.bytes_sent += len(data)

    async def _pour(self, step: Step) -> None:
        chunked = step.kind == "huge_chunked"
        framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % step.size
        left = step.size
        if self._transport is not None:
            self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" + framing + b"\r\n\r\n")
        piece = b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE) if chunked else _PIECE
        while left > 0 and self._transport is not None:
            await self._drained.wait()
            if self._transport is None:
                return
            self._transport.write(piece)
            self._endpoint.bytes_sent += len(_PIECE)
            left -= len(_PIECE)
            await asyncio.sleep(0)
        self.abort()


def _is_streamed(step: Step | None, target: str, request: Any) -> bool:
    if not isinstance(request, dict) or request.get("stream") is not True:
        return False
    path = target.partition("?")[0]
    streams = path.endswith(("/chat/completions", "/completions", "/messages"))
    kind = "ok" if step is None else step.kind
    return streams and (kind in ("ok", "tool_calls") or kind.startswith("stream"))


def _tool_name(request: Any) -> str:
    if isinstance(request, dict) and request.get("tools"):
        tool = request["tools"][0]
        return str(tool.get("name") or tool["function"]["name"])
    return "lookup"


def _own_step(message: str) -> Step | None:
    words = message[1:].split()
    if not words or words[0] not in KINDS:
        return None
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 500
    return Step(words[0], status=status)


def _key(head: bytes) -> str:
    start = head.lower().find(_BEARER)
    return "" if start < 0 else head[start + len(_BEARER) :].split(b"\r\n", 1)[0].decode("latin-1").strip()


def _last_message(request: Any) -> str:
    """The text of the last user message, or the prompt, or nothing."""
    if not isinstance(request, dict):
        return ""
    messages = request.get("messages")
    if not isinstance(messages, list):
        prompt = request.get("prompt")
        if isinstance(prompt, list):
            prompt = " ".join(part for part in prompt if isinstance(part, str))
        return prompt if isinstance(prompt, str) else ""
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                parts = (part.get("text") for part in content if isinstance(part, dict))
                return " ".join(part for part in parts if isinstance(part, str))
    return ""


_REASONS = {200: b"OK", 302: b"Found", 400: b"Bad Request", 429: b"Too Many Requests", 500: b"Internal Server Error"}


def _response(status: int, body: bytes, content_type: bytes = _JSON, headers: Mapping[str, str] | None = None) -> bytes:
    extra = b"".join(f"{name}: {value}\r\n".encode() for name, value in (headers or {}).items())
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        status,
        _REASONS.get(status, b"Status"),
        content_type,
        len(body),
        extra,
        body,
    )


def _answer(target: str, request: Any, message: str) -> bytes:
    wanted = directed(request)
    if wanted is not None:
        if refuses_shape(wanted, request):
            return _response(400, b'{"error":{"message":"response_format is not supported"}}')
        return _response(200, orjson.dumps(_directed_body(target, request, wanted)))
    text = orjson.dumps(message)
    tokens = len(message) // 4 + 1
    path = target.partition("?")[0]
    if path.endswith("/chat/completions"):
        count = request.get("n") if isinstance(request, dict) else None
        choices = b",".join(
            b'{"index":%d,"finish_reason":"stop","message":{"role":"assistant","content":%b}}' % (index, text)
            for index in range(count if isinstance(count, int) else 1)
        )
        return _response(
            200,
            b'{"id":"chatcmpl-fake","object":"chat.completion","created":1700000000,"model":"fake","choices":[%b],'
            b'"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}'
            % (choices, tokens, tokens, 2 * tokens),
        )
    if path.endswith("/messages"):
        return _response(
            200,
            b'{"id":"msg_fake","type":"message","role":"assistant","model":"fake","stop_reason":"end_turn",'
            b'"stop_sequence":null,"content":[{"type":"text","text":%b}],"usage":{"input_tokens":%d,"output_tokens":%d}}'
            % (text, tokens, tokens),
        )
    if path.endswith("/completions"):
        usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": 2 * tokens}
        choice = {"index": 0, "text": message, "logprobs": None, "finish_reason": "stop"}
        head = {"id": "cmpl-fake", "object": "text_completion", "created": 1700000000, "model": "fake"}
        return _response(200, orjson.dumps({**head, "choices": [choice], "usage": usage}))
    if path.endswith("/models"):
        return _response(200, orjson.dumps({"object": "list", "data": [{"id": "echo"}, {"id": "org/large:7b"}]}))
    return _response(200, orjson.dumps({"path": path, "received": request}))


def _directed_body(target: str, request: Any, wanted: Directed) -> dict[str, Any]:
    tokens = {"prompt": 10, "completion": 3}
    if target.partition("?")[0].endswith("/messages"):
        block: dict[str, Any] = {"type": "text", "text": wanted.text}
        if request.get("tools"):
            block = {"type": "tool_use", "id": "t", "name": request["tools"][0]["name"], "input": wanted.value}
        stop = {"length": "max_tokens", "content_filter": "refusal"}.get(wanted.finish, "end_turn")
        usage = {"input_tokens": tokens["prompt"], "output_tokens": tokens["completion"]}
        return {"type": "message", "role": "assistant", "content": [block], "stop_reason": stop, "usage": usage}
    message = {"role": "assistant", "content": wanted.text, "refusal": wanted.refusal}
    return {
        "choices": [{"index": 0, "finish_reason": wanted.finish, "message": message}],
        "usage": {"prompt_tokens": tokens["prompt"], "completion_tokens": tokens["completion"]},
    }


def _scripted(step: Step, request: Any, head: bytes) -> bytes:
    if step.kind == "status":
        body = {"error": {"message": f"scripted {step.status}", "type": "scripted"}} if step.body is None else step.body
        if body == "echo":
            body = {"error": {"message": f"refused: {head.decode('latin-1')}"}}
        return _response(step.status, orjson.dumps(body), headers=step.headers)
    if step.kind == "json":
        return _response(200, orjson.dumps(step.body), headers=step.headers)
    if step.kind == "malformed":
        return _response(200, b'{"choices": [')
    if step.kind == "html":
        said = step.body.encode() if isinstance(step.body, str) else b"the gateway says hello "
        page = b"<html><body>" + said * 100 + b"</body></html>"
        return _response(200 if step.status == 500 else step.status, page, b"text/html; charset=utf-8")
    if step.kind == "redirect":
        return _response(302, b"", headers={"location": "http://127.0.0.1:9/stolen", **step.headers})
    if step.kind == "empty_choices":
        return _response(200, b'{"id":"x","object":"chat.completion","created":1,"model":"fake","choices":[]}')
    if step.kind == "truncated":
        return b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"choices"'
    function = {"name": _tool_name(request), "arguments": '{"q":"x"}'}
    call = {"id": "call_1", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return _response(200, orjson.dumps({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]}))


class EndpointProcess:
    """The endpoint as a process: a context manager; `url`, `calls()`, `script()`, `set_latency()`, `reset()`."""

    def __init__(self, *, latency: float = 0.0) -> None:
        self._latency = latency
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.model_endpoint", "--port", "0", "--latency", str(self._latency)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the endpoint did not start: exit code {self._process.wait(5)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process's id, for measuring its CPU."""
        return self._process.pid

    def calls(self, since: float = 0.0) -> list[Call]:
        """The calls since a Unix time, in order of arrival."""
        return [Call(**call) for call in self._control(f"/_calls?since={since!r}")["calls"]]

    def script(self, *steps: Step) -> None:
        """Queue steps; calls beyond them are answered."""
        self._control("/_script", list(steps))

    def set_latency(self, seconds: float) -> None:
        """Change the latency of calls from now on."""
        self._control("/_latency", seconds)

    def set_gap(self, seconds: float) -> None:
        """Change the time between the records of streams from now on."""
        self._control("/_gap", seconds)

    @property
    def hung_up(self) -> int:
        """How many calls ended because the other side closed the connection."""
        return int(self._control("/_calls")["hung_up"])

    @property
    def in_flight(self) -> int:
        """How many calls are being answered."""
        return int(self._control("/_calls")["in_flight"])

    def reset(self) -> None:
        """Forget the calls and the steps that are left."""
        self._control("/_reset", None)

    def _control(self, path: str, *body: Any) -> Any:
        data = orjson.dumps(body[0]) if body else None
        with urllib.request.urlopen(self.url.removesuffix("/v1") + path, data=data, timeout=30) as reply:
            return orjson.loads(reply.read())


async def _serve(port: int, latency: float) -> None:
    endpoint = await FakeEndpoint(latency=latency).start(port)
    print(endpoint.url, flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await endpoint.stop()


def main() -> None:
    """Serve until killed; the first line printed is the URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    arguments = parser.parse_args()
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    with contextlib.suppress(KeyboardInterrupt):
        run(_serve(arguments.port, arguments.latency))


if __name__ == "__main__":
    main()
