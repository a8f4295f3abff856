"""The contract of `Models`, over real HTTP on loopback, in both wire dialects."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from assay.adapters.models import HttpModels, retries
from assay.adapters.models.gate import Gate
from assay.adapters.models.retries import retry_after
from assay.core.results import ErrorType
from assay.ports.models import AnswerShape, ModelReply
from assay.settings import Settings, VendorSettings
from tests.fakes.model_endpoint import EndpointProcess, FakeEndpoint, Step

KEY = "k-3c9f2b71aa"
DIALECTS = ("openai", "anthropic")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.01)


@pytest.fixture
async def endpoint() -> AsyncIterator[FakeEndpoint]:
    async with FakeEndpoint() as running:
        yield running


class Open:
    """Makes `HttpModels` for an endpoint and closes them after the test."""

    def __init__(self, endpoint: FakeEndpoint, dialect: str) -> None:
        self._endpoint = endpoint
        self._dialect = dialect
        self._opened: list[HttpModels] = []

    def __call__(self, environ: Mapping[str, str] | None = None, **settings: Any) -> HttpModels:
        base_url = self._endpoint.url if self._dialect == "openai" else self._endpoint.root
        given = {"base_url": base_url, "dialect": self._dialect, "api_key_env": "FAKE_KEY", **settings}
        models = HttpModels({"fake": VendorSettings(**given)}, {"FAKE_KEY": KEY} if environ is None else environ)
        self._opened.append(models)
        return models

    async def close(self) -> None:
        for models in self._opened:
            await models.close()


@pytest.fixture(params=DIALECTS)
async def opened(request: pytest.FixtureRequest, endpoint: FakeEndpoint) -> AsyncIterator[Open]:
    make = Open(endpoint, request.param)
    yield make
    await make.close()


@pytest.fixture
async def openai(endpoint: FakeEndpoint) -> AsyncIterator[Open]:
    make = Open(endpoint, "openai")
    yield make
    await make.close()


@pytest.fixture
async def anthropic(endpoint: FakeEndpoint) -> AsyncIterator[Open]:
    make = Open(endpoint, "anthropic")
    yield make
    await make.close()


def ask(text: str = "hello there", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def failure(reply: ModelReply) -> tuple[ErrorType, str]:
    assert reply.error is not None
    assert reply.body is None
    return reply.error.type, reply.error.message


class TestChat:
    async def test_the_answer_comes_in_openais_shape_with_tokens_and_latency(self, opened: Open) -> None:
        reply = await opened().chat("fake/m", ask("what is ü?"))
        assert reply.error is None
        choice = reply.body["choices"][0]
        assert choice["message"] == {"role": "assistant", "content": "what is ü?"}
        assert choice["finish_reason"] == "stop"
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 3)
        assert reply.usage.attempts == 1
        assert 0 < reply.usage.latency < 5

    async def test_the_vendor_is_what_stands_before_the_first_slash(self, opened: Open, endpoint: FakeEndpoint) -> None:
        reply = await opened().chat("fake/meta-llama/Llama-3:8b", ask())
        assert reply.error is None
        assert json.loads(endpoint.last_body)["model"] == "meta-llama/Llama-3:8b"

    async def test_the_key_travels_in_its_header(self, opened: Open, endpoint: FakeEndpoint) -> None:
        await opened().chat("fake/m", ask())
        assert KEY in (endpoint.header("authorization") or endpoint.header("x-api-key") or "")

    async def test_the_settings_own_headers_win(self, opened: Open, endpoint: FakeEndpoint) -> None:
        await opened(headers={"user-agent": "mine", "X-Team": "a"}).chat("fake/m", ask())
        assert endpoint.header("user-agent") == "mine"
        assert endpoint.header("x-team") == "a"
        assert endpoint.last_head.lower().count(b"user-agent") == 1

    async def test_a_base_urls_query_is_kept(self, opened: Open, endpoint: FakeEndpoint) -> None:
        models = opened(base_url=f"{endpoint.root}/deep/v1/?api-version=2")
        assert (await models.chat("fake/m", ask())).error is None
        assert endpoint.calls[0].path.startswith("/deep/v1/")
        assert endpoint.calls[0].path.endswith("?api-version=2")

    async def test_streaming_is_never_asked_for(self, opened: Open, endpoint: FakeEndpoint) -> None:
        await opened().chat("fake/m", ask(stream=True, stream_options={"include_usage": True}))
        assert "stream" not in json.loads(endpoint.last_body)

    async def test_connections_are_used_again(self, opened: Open, endpoint: FakeEndpoint) -> None:
        models = opened()
        for _ in range(5):
            assert (await models.chat("fake/m", ask())).error is None
        assert endpoint.connections == 1

    async def test_a_connection_that_the_vendor_closed_is_replaced(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("close", times=3))
        models = opened()
        for _ in range(4):
            assert (await models.chat("fake/m", ask())).error is None
            await asyncio.sleep(0.01)

    async def test_a_request_that_is_no_json_is_the_items_error(self, opened: Open, endpoint: FakeEndpoint) -> None:
        kind, message = failure(await opened().chat("fake/m", ask(seedling=1 << 80)))
        assert kind == ErrorType.INVALID_INPUT
        assert "JSON" in message
        assert endpoint.calls == []


class TestRetries:
    @pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503, 529])
    async def test_a_status_that_may_pass_is_tried_again(
        self, opened: Open, endpoint: FakeEndpoint, status: int
    ) -> None:
        endpoint.script(Step("status", times=2, status=status))
        reply = await opened().chat("fake/m", ask())
        assert reply.error is None
        assert reply.usage.attempts == 3
        assert len(endpoint.calls) == 3

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
    async def test_another_refusal_is_final_and_says_why(
        self, opened: Open, endpoint: FakeEndpoint, status: int
    ) -> None:
        endpoint.script(Step("status", times=9, status=status, body={"error": {"message": "no such thing"}}))
        reply = await opened().chat("fake/m", ask())
        kind, message = failure(reply)
        assert kind == ErrorType.INFERENCE_ERROR
        assert message == f"fake/m: HTTP {status}: no such thing"
        assert reply.usage.attempts == len(endpoint.calls) == 1

    @pytest.mark.parametrize("kind", ["reset", "truncated"])
    async def test_a_lost_connection_is_tried_again(self, opened: Open, endpoint: FakeEndpoint, kind: str) -> None:
        endpoint.script(Step(kind, times=2))
        reply = await opened().chat("fake/m", ask())
        assert reply.error is None
        assert reply.usage.attempts == 3

    async def test_attempts_end_and_are_counted(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", times=99, status=502))
        reply = await opened(max_attempts=3).chat("fake/m", ask())
        kind, message = failure(reply)
        assert kind == ErrorType.INFERENCE_ERROR
        assert "HTTP 502" in message
        assert message.endswith("(after 3 attempts)")
        assert reply.usage.attempts == len(endpoint.calls) == 3

    async def test_a_hanging_vendor_is_a_timeout(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("hang", times=99))
        reply = await opened(timeout=0.1, max_attempts=2).chat("fake/m", ask())
        kind, message = failure(reply)
        assert kind == ErrorType.TIMEOUT
        assert message == "fake/m: no answer within 0.1 s (after 2 attempts)"
        assert 0.09 < reply.usage.latency < 1

    async def test_nobody_listening_is_an_inference_error(self, opened: Open) -> None:
        kind, message = failure(await opened(base_url="http://127.0.0.1:9", max_attempts=2).chat("fake/m", ask()))
        assert kind == ErrorType.INFERENCE_ERROR
        assert message == "fake/m: cannot connect to 127.0.0.1:9 (ECONNREFUSED) (after 2 attempts)"

    async def test_an_account_without_money_is_not_asked_again(self, openai: Open, endpoint: FakeEndpoint) -> None:
        body = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
        endpoint.script(Step("status", times=9, status=429, body=body))
        _, message = failure(await openai().chat("fake/m", ask()))
        assert "exceeded your current quota" in message
        assert len(endpoint.calls) == 1

    async def test_the_vendors_own_word_on_retrying_decides(self, openai: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(
            Step("status", status=400, headers={"x-should-retry": "true"}),
            Step("status", status=503, headers={"x-should-retry": "false"}),
        )
        _, message = failure(await openai().chat("fake/m", ask()))
        assert "HTTP 503" in message
        assert len(endpoint.calls) == 2

    async def test_the_latency_is_the_last_attempts_alone(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", status=500, seconds=0.3), Step("ok", seconds=0.05))
        reply = await opened().chat("fake/m", ask())
        assert 0.04 < reply.usage.latency < 0.25

    async def test_a_place_is_free_while_a_call_waits_to_be_repeated(
        self, opened: Open, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("assay.adapters.models.calls.backoff", lambda _failures: 0.5)
        endpoint.script(Step("status", status=500))
        models = opened(concurrency=1)
        first = asyncio.create_task(models.chat("fake/m", ask("first")))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        assert (await models.chat("fake/m", ask("second"))).error is None
        assert time.monotonic() - started < 0.3
        assert (await first).error is None


class TestRetryAfter:
    @pytest.mark.parametrize(
        "headers",
        [{"retry-after": "0.3"}, {"retry-after-ms": "300"}, {"retry-after": "9", "retry-after-ms": "300"}],
    )
    async def test_the_wait_that_the_vendor_asks_for_is_kept(
        self, opened: Open, endpoint: FakeEndpoint, headers: dict[str, str]
    ) -> None:
        endpoint.script(Step("status", status=429, headers=headers))
        assert (await opened().chat("fake/m", ask())).error is None
        first, second = endpoint.calls
        assert 0.3 <= second.at - first.at < 1

    async def test_the_whole_vendor_keeps_the_pause(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", status=429, headers={"retry-after": "0.4"}))
        models = opened()
        limited = asyncio.create_task(models.chat("fake/m", ask("limited")))
        await asyncio.sleep(0.1)
        reply = await models.chat("fake/m", ask("another"))
        assert reply.error is None
        assert reply.usage.latency < 0.2
        assert (await limited).error is None
        assert min(call.at for call in endpoint.calls[1:]) - endpoint.calls[0].at >= 0.39

    def test_dates_are_read_and_every_wait_is_bounded(self) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        date = format_datetime(now + timedelta(seconds=12), usegmt=True)
        assert retry_after({"retry-after": date}, now) == pytest.approx(12)
        assert retry_after({"retry-after": format_datetime(now - timedelta(hours=1), usegmt=True)}, now) == 0
        assert retry_after({"retry-after": "86400"}) == 60
        assert retry_after({"retry-after": "-5"}) == 0
        assert retry_after({"retry-after": "soon"}) is None
        assert retry_after({"retry-after": "nan"}) is None
        assert retry_after({}) is None

    def test_the_backoff_doubles_up_to_its_cap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retries, "FIRST_DELAY", 0.5)
        monkeypatch.setattr("random.uniform", lambda _low, high: high)
        assert [retries.backoff(failures) for failures in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 30.0]


class TestHostileEndpoints:
    async def test_a_redirect_is_not_followed(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("redirect"))
        kind, message = failure(await opened().chat("fake/m", ask()))
        assert kind == ErrorType.INFERENCE_ERROR
        assert message == "fake/m: HTTP 302: redirects are not followed"

    async def test_broken_json_names_type_and_status(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("malformed"))
        kind, message = failure(await opened().chat("fake/m", ask()))
        assert kind == ErrorType.INFERENCE_ERROR
        assert message == 'fake/m: HTTP 200 is not JSON: application/json: {"choices": ['

    async def test_a_page_is_quoted_shortly_and_without_the_key(self, opened: Open, endpoint: FakeEndpoint) -> None:
        page = f"denied for {KEY} and team-password "
        endpoint.script(Step("html", body=page), Step("html", status=403, body=page))
        models = opened(headers={"X-Secret": "team-password"})
        for _ in range(2):
            _, message = failure(await models.chat("fake/m", ask()))
            assert "text/html; charset=utf-8: <html><body>denied for [hidden] and [hidden]" in message
            assert len(message) < 350
            assert KEY not in message
            assert "team-password" not in message

    async def test_a_key_in_the_vendors_message_is_hidden(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", status=401, body="echo"))
        _, message = failure(await opened().chat("fake/m", ask()))
        assert message.startswith("fake/m: HTTP 401: refused: ")
        assert len(message) < 350
        assert KEY not in message

    async def test_a_foreign_key_in_the_vendors_message_is_hidden(self, openai: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", status=401, body={"error": "bad key sk-proj-abcdef123456"}))
        _, message = failure(await openai().chat("fake/m", ask()))
        assert message == "fake/m: HTTP 401: bad key [hidden]"

    @pytest.mark.parametrize("kind", ["huge", "huge_chunked"])
    async def test_an_endless_answer_is_cut_off(self, opened: Open, endpoint: FakeEndpoint, kind: str) -> None:
        endpoint.script(Step(kind))
        before = psutil.Process().memory_info().rss
        failed, message = failure(await opened(max_response_bytes=1 << 20).chat("fake/m", ask()))
        assert failed == ErrorType.INFERENCE_ERROR
        assert message == "fake/m: the answer is larger than 1048576 bytes"
        assert endpoint.bytes_sent < 32 << 20
        assert psutil.Process().memory_info().rss - before < 64 << 20
        assert (await opened().chat("fake/m", ask())).error is None

    async def test_an_answer_of_exactly_the_limit_is_read(self, openai: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("json", body="x" * 998), Step("json", body="x" * 999))
        models = openai(max_response_bytes=1000)
        assert (await models.chat("fake/m", ask())).body == "x" * 998
        assert failure(await models.chat("fake/m", ask()))[1].endswith("larger than 1000 bytes")

    async def test_a_large_answer_in_many_pieces_is_whole(self, openai: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("json", body=list(range(300_000))))
        assert (await openai().chat("fake/m", ask())).body == list(range(300_000))

    async def test_what_is_no_http_is_an_error(self, openai: Open) -> None:
        async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 smtp ready\r\n\r\n")
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            kind, message = failure(await openai(base_url=url, max_attempts=2).chat("fake/m", ask()))
        assert kind == ErrorType.INFERENCE_ERROR
        assert message == "fake/m: what came back is not HTTP"


class TestLimits:
    async def test_no_more_calls_than_allowed_are_in_flight_and_latency_leaves_out_the_wait(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        endpoint.latency = 0.05
        models = opened(concurrency=4)
        replies = await asyncio.gather(*(models.chat("fake/m", ask(f"{n}")) for n in range(24)))
        assert endpoint.most_in_flight == 4
        assert max(reply.usage.latency for reply in replies) < 0.2
        assert [int(call.message) for call in endpoint.calls] == sorted(int(call.message) for call in endpoint.calls)

    async def test_a_cancelled_call_ends_at_once_and_frees_its_place(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        endpoint.script(Step("hang"))
        models = opened(concurrency=1)
        hanging = asyncio.create_task(models.chat("fake/m", ask()))
        queued = asyncio.create_task(models.chat("fake/m", ask()))
        await asyncio.sleep(0.05)
        started = time.monotonic()
        for task in (queued, hanging):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert time.monotonic() - started < 0.1
        assert (await models.chat("fake/m", ask())).error is None
        assert endpoint.in_flight == 0

    async def test_a_vendor_that_says_too_many_gets_fewer_and_recovers(self) -> None:
        gate = Gate(8)
        for _ in range(8):
            await gate.enter()
        gate.slow_down()
        gate.slow_down()
        for _ in range(8):
            gate.leave()
        entered = [asyncio.create_task(gate.enter()) for _ in range(8)]
        await asyncio.sleep(0)
        assert sum(task.done() for task in entered) == 4
        for _ in range(80):
            gate.ease()
        gate.leave()
        await asyncio.sleep(0)
        assert all(task.done() for task in entered)

    async def test_a_call_cancelled_as_it_is_let_in_gives_its_place_on(self) -> None:
        gate = Gate(1)
        await gate.enter()
        let_in, next_in_line = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.leave()
        let_in.cancel()
        await asyncio.wait_for(next_in_line, 1)

    async def test_a_vendors_limit_and_pause_hold_for_all_loops_together(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        endpoint.latency = 0.02
        models = opened(concurrency=2)
        thread = asyncio.new_event_loop()
        running = threading.Thread(target=thread.run_forever)
        running.start()

        async def ten() -> None:
            replies = await asyncio.gather(*(models.chat("fake/m", ask()) for _ in range(10)))
            assert all(reply.error is None for reply in replies)

        def there() -> asyncio.Future[None]:
            return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ten(), thread))

        await asyncio.gather(ten(), there())
        assert (endpoint.most_in_flight, len(endpoint.calls)) == (2, 20)
        endpoint.reset()
        endpoint.script(Step("status", status=429, headers={"retry-after": "0.4"}))
        limited = asyncio.create_task(models.chat("fake/m", ask("limited")))
        await asyncio.sleep(0.1)
        await there()
        assert (await limited).error is None
        assert min(call.at for call in endpoint.calls[1:]) - endpoint.calls[0].at >= 0.39
        await models.close()
        thread.call_soon_threadsafe(thread.stop)
        await asyncio.to_thread(running.join)
        thread.close()

    async def test_each_loop_has_its_own_connections_and_any_may_close_them(self, opened: Open) -> None:
        models = opened()
        assert (await models.chat("fake/m", ask())).error is None
        with EndpointProcess() as process:
            elsewhere = HttpModels({"fake": VendorSettings(base_url=process.url)}, {})
            assert (await elsewhere.chat("fake/m", ask())).error is None
            replies: list[ModelReply] = []

            async def call() -> None:
                replies.append(await elsewhere.chat("fake/m", ask("from a thread")))
                await elsewhere.close()

            thread = threading.Thread(target=lambda: asyncio.run(call()))
            thread.start()
            await asyncio.to_thread(thread.join)
            await elsewhere.close()
            await elsewhere.close()
            assert [call.message for call in process.calls()] == ["hello there", "from a thread"]
        assert replies[0].error is None


class TestInference:
    @pytest.mark.parametrize(
        ("args", "path"),
        [
            (ask(), "/v1/chat/completions"),
            ({"prompt": "x"}, "/v1/completions"),
            ({"input": ["x"]}, "/v1/embeddings"),
            ({"anything": 1}, "/v1"),
        ],
    )
    async def test_the_keys_say_where_a_body_goes(
        self, openai: Open, endpoint: FakeEndpoint, args: dict[str, Any], path: str
    ) -> None:
        reply = await openai().infer("fake/m", args)
        assert reply.error is None
        assert endpoint.calls[0].path == path
        assert json.loads(endpoint.last_body) == {**args, "model": "m"}

    async def test_the_vendors_own_body_comes_back(self, anthropic: Open) -> None:
        reply = await anthropic().infer("fake/m", ask("raw", max_tokens=5))
        assert reply.body["content"] == [{"type": "text", "text": "raw"}]
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (1, 1)

    async def test_retries_and_time_can_be_given(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", times=9))
        reply = await opened().infer("fake/m", ask(), num_retries=1)
        assert reply.usage.attempts == len(endpoint.calls) == 2
        endpoint.reset()
        endpoint.script(Step("hang"))
        reply = await opened().infer("fake/m", ask(), num_retries=0, timeout_seconds=0.05)
        assert failure(reply)[0] == ErrorType.TIMEOUT

    async def test_a_stream_is_refused(self, opened: Open, endpoint: FakeEndpoint) -> None:
        kind, _ = failure(await opened().infer("fake/m", ask(stream=True)))
        assert kind == ErrorType.INVALID_INPUT
        assert endpoint.calls == []


class TestAnthropic:
    async def test_a_request_is_translated(self, anthropic: Open, endpoint: FakeEndpoint) -> None:
        picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        request = {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
                {"role": "user", "content": [{"type": "text", "text": "look"}, picture]},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"q":1}'}}],
                },
                {"role": "tool", "tool_call_id": "a", "content": "one"},
                {"role": "tool", "tool_call_id": "b", "content": "two"},
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 3,
            "stop": "END",
            "n": 1,
            "tools": [
                {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
            ],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "user": "u1",
            "thinking": {"type": "disabled"},
        }
        assert (await anthropic().chat("fake/m", request)).error is None
        assert endpoint.calls[0].path == "/v1/messages"
        assert endpoint.header("anthropic-version")
        assert json.loads(endpoint.last_body) == {
            "model": "m",
            "max_tokens": 4096,
            "system": "Be brief.\n\nBe kind.",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "look"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    ],
                },
                {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"q": 1}}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "a", "content": "one"},
                        {"type": "tool_result", "tool_use_id": "b", "content": "two"},
                    ],
                },
            ],
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 3,
            "stop_sequences": ["END"],
            "metadata": {"user_id": "u1"},
            "tools": [{"name": "f", "input_schema": {"type": "object"}, "description": "d"}],
            "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            "thinking": {"type": "disabled"},
        }

    async def test_an_answer_is_translated(self, anthropic: Open, endpoint: FakeEndpoint) -> None:
        body = {
            "id": "msg",
            "model": "m-1",
            "stop_reason": "tool_use",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "let me "},
                {"type": "text", "text": "see"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"q": 1}},
            ],
            "usage": {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 3},
        }
        endpoint.script(Step("json", body=body))
        reply = await anthropic().chat("fake/m", ask())
        choice = reply.body["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["content"] == "let me see"
        assert choice["message"]["tool_calls"] == [
            {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"q":1}'}}
        ]
        assert reply.body["usage"] == {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
        assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (12, 3)

    async def test_what_it_cannot_say_is_refused_not_dropped(self, anthropic: Open, endpoint: FakeEndpoint) -> None:
        kind, message = failure(await anthropic().chat("fake/m", ask(seed=1, n=2, presence_penalty=0)))
        assert kind == ErrorType.INVALID_INPUT
        assert message.endswith("no equivalent of: n, seed")
        assert endpoint.calls == []

    async def test_an_answer_of_another_shape_is_handed_on(self, anthropic: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("json", body={"content": "odd"}))
        assert (await anthropic().chat("fake/m", ask())).body == {"content": "odd"}


class TestProblems:
    @pytest.mark.parametrize("model", ["gpt-4", "/gpt-4", "openai/", ""])
    def test_a_model_without_a_vendor_is_told_how_to_be_written(self, model: str) -> None:
        problem = HttpModels({"openai": VendorSettings(base_url="http://x/v1")}, {}).problem(model)
        assert problem is not None
        assert "vendor/model" in problem
        assert "openai" in problem

    def test_an_unknown_vendor_names_the_settings_that_add_it(self) -> None:
        problem = HttpModels({}, {}).problem("foo/bar")
        assert problem is not None
        assert "[vendors.foo]" in problem
        assert "ASSAY_VENDORS__FOO__BASE_URL" in problem

    async def test_a_missing_key_names_its_variable_and_nothing_is_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        models = HttpModels(Settings().all_vendors(), {})
        assert "OPENAI_API_KEY" in (models.problem("openai/gpt-4o") or "")
        assert "ANTHROPIC_API_KEY" in (models.problem("anthropic/claude") or "")
        kind, message = failure(await models.chat("openai/gpt-4o", ask()))
        assert kind == ErrorType.INFERENCE_ERROR
        assert "OPENAI_API_KEY" in message
        assert HttpModels(Settings().all_vendors(), {"OPENAI_API_KEY": KEY}).problem("openai/gpt-4o") is None

    def test_openai_at_another_address_needs_no_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", "http://models.internal/v1")
        assert HttpModels(Settings().all_vendors(), {}).problem("openai/m") is None

    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.8.8.8"])
    def test_a_vendor_on_loopback_needs_no_key(self, host: str) -> None:
        settings = VendorSettings(base_url=f"http://{host}:11434/v1", api_key_env="LOCAL_KEY")
        assert HttpModels({"local": settings}, {}).problem("local/m") is None

    def test_a_vendor_elsewhere_that_names_a_variable_needs_it(self) -> None:
        settings = VendorSettings(base_url="https://models.example/v1", api_key_env="FAR_KEY")
        assert "FAR_KEY" in (HttpModels({"far": settings}, {}).problem("far/m") or "")

    async def test_a_key_that_cannot_be_a_header_is_a_problem_and_is_not_shown(self) -> None:
        settings = VendorSettings(base_url="http://x/v1", api_key_env="BAD")
        models = HttpModels({"x": settings}, {"BAD": "a\r\nX-Evil: 1"})
        problem = models.problem("x/m")
        assert problem is not None
        assert "BAD" in problem
        assert "Evil" not in problem

    def test_no_key_is_in_any_repr(self) -> None:
        settings = VendorSettings(base_url="http://x/v1", api_key_env="K", headers={"X-Secret": "team-password"})
        models = HttpModels({"x": settings}, {"K": KEY})
        assert KEY not in repr(vars(models.calls))
        assert "team-password" not in repr(vars(models.calls))


class TestVendorSettings:
    def test_the_environment_adds_a_vendor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ASSAY_VENDORS__FOO__BASE_URL", "http://127.0.0.1:1/v1")
        assert Settings().all_vendors()["foo"].base_url == "http://127.0.0.1:1/v1"

    def test_one_setting_of_a_built_in_vendor_can_be_changed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
        monkeypatch.setenv("ASSAY_VENDORS__OPENAI__CONCURRENCY", "7")
        vendor = Settings().all_vendors()["openai"]
        assert vendor.concurrency == 7
        assert vendor.base_url == "https://api.openai.com/v1"

    @pytest.mark.parametrize("url", ["ftp://x", "x/v1", "http://", "http://u:p@x/v1", "http://x/ v1", "http://x:y/"])
    def test_an_address_that_cannot_be_called_is_refused(self, url: str) -> None:
        with pytest.raises(ValueError, match="base_url"):
            VendorSettings(base_url=url)

    @pytest.mark.parametrize("headers", [{"X": "a\r\nb"}, {"a b": "c"}, {"Content-Length": "3"}])
    def test_a_header_that_would_break_the_request_is_refused(self, headers: dict[str, str]) -> None:
        with pytest.raises(ValueError, match="headers"):
            VendorSettings(base_url="http://x", headers=headers)


def test_the_endpoint_process_records_and_obeys() -> None:
    async def twice(models: HttpModels) -> list[ModelReply]:
        try:
            return [await models.chat("fake/m", ask("!status 404")), await models.chat("fake/m", ask("again"))]
        finally:
            await models.close()

    with EndpointProcess() as process:
        process.script(Step("status", status=500))
        replies = asyncio.run(twice(HttpModels({"fake": VendorSettings(base_url=process.url)}, {})))
        assert replies[0].error is not None
        assert replies[1].usage.attempts == 2
        assert [call.message for call in process.calls()] == ["!status 404", "again", "again"]
        assert process.calls(since=time.time() + 1) == []
        process.reset()
        assert process.calls() == []


SHAPE = AnswerShape("verdict", {"type": "object", "properties": {"answer": {"type": "integer"}}}, strict=True)


def content(reply: ModelReply) -> Any:
    assert reply.error is None, reply.error
    return reply.body["choices"][0]["message"]["content"]


class TestAsk:
    """Chats whose answer the endpoint holds to a shape, where it can."""

    async def test_the_endpoint_is_told_the_shape_and_the_answer_is_text(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        reply = await opened().ask("fake/m", ask('[[{"answer":3}]]', temperature=0), SHAPE)
        sent = json.loads(endpoint.last_body)
        assert json.loads(content(reply)) == {"answer": 3}
        assert reply.body["choices"][0]["finish_reason"] == "stop"
        assert sent["temperature"] == 0
        assert (reply.usage.attempts, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (1, 10, 3)

    async def test_openais_dialect_says_it_as_a_response_format(self, openai: Open, endpoint: FakeEndpoint) -> None:
        await openai().ask("fake/m", ask("[[1]]"), SHAPE)
        wanted = {"name": "verdict", "schema": SHAPE.schema, "strict": True}
        assert json.loads(endpoint.last_body)["response_format"] == {"type": "json_schema", "json_schema": wanted}
        await openai().ask("fake/m", ask("[[1]]"), AnswerShape("a", SHAPE.schema))
        assert "strict" not in json.loads(endpoint.last_body)["response_format"]["json_schema"]

    async def test_anthropics_dialect_says_it_as_the_one_tool_to_call(
        self, anthropic: Open, endpoint: FakeEndpoint
    ) -> None:
        reply = await anthropic().ask("fake/m", ask('[[!length {"answer":1}]]'), SHAPE)
        sent = json.loads(endpoint.last_body)
        assert [(tool["name"], tool["input_schema"]) for tool in sent["tools"]] == [("verdict", SHAPE.schema)]
        assert sent["tool_choice"] == {"type": "tool", "name": "verdict"}
        assert reply.body["choices"][0]["finish_reason"] == "length", "a tool's input can be cut off too"
        assert "tool_calls" not in reply.body["choices"][0]["message"]

    async def test_a_shape_that_cannot_be_said_is_left_to_the_prompt(
        self, anthropic: Open, endpoint: FakeEndpoint
    ) -> None:
        reply = await anthropic().ask("fake/m", ask("[[3]]"), AnswerShape("a", {"enum": [3]}))
        assert content(reply) == "3"
        assert "tools" not in json.loads(endpoint.last_body)

    async def test_a_vendor_without_structured_output_is_asked_without_a_shape(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        reply = await opened(structured_output="none").ask("fake/m", ask("[[3]]"), SHAPE)
        assert content(reply) == "3"
        assert not {"tools", "response_format"} & json.loads(endpoint.last_body).keys()

    async def test_an_endpoint_that_refuses_the_shape_is_asked_without_it_from_then_on(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        models = opened()
        first = await models.ask("fake/m", ask("[[!shapeless 3]]"), SHAPE)
        again = await models.ask("fake/m", ask("[[!shapeless 4]]"), SHAPE)
        assert (content(first), content(again)) == ("3", "4")
        assert (first.usage.attempts, again.usage.attempts) == (2, 1), "what it cost is told"
        assert len(endpoint.calls) == 3
        other = AnswerShape("other", {"type": "object"})
        await models.ask("fake/m", ask("[[5]]"), other)
        assert {"tools", "response_format"} & json.loads(endpoint.last_body).keys(), "another shape may be taken"

    async def test_the_log_says_once_for_a_model_that_it_refuses_shapes(self, opened: Open) -> None:
        models = opened()
        with capture_logs() as logs:
            for shape in (SHAPE, AnswerShape("other", {"type": "object"})):
                await models.ask("fake/m", ask("[[!shapeless 3]]"), shape)
        assert [each["model"] for each in logs if "refuses answers" in each["event"]] == ["fake/m"]

    @pytest.mark.parametrize("status", [401, 404, 500])
    async def test_any_other_refusal_says_nothing_about_shapes(
        self, opened: Open, endpoint: FakeEndpoint, status: int
    ) -> None:
        models = opened(max_attempts=1)
        endpoint.script(Step("status", status=status))
        kind, message = failure(await models.ask("fake/m", ask(), SHAPE))
        assert kind is ErrorType.INFERENCE_ERROR
        assert str(status) in message
        assert len(endpoint.calls) == 1

    async def test_a_request_that_is_refused_either_way_is_an_error_and_is_not_remembered(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        models = opened()
        endpoint.script(Step("status", status=400, times=2))
        kind, message = failure(await models.ask("fake/m", ask(), SHAPE))
        assert kind is ErrorType.INFERENCE_ERROR
        assert "400" in message
        await models.ask("fake/m", ask("[[1]]"), SHAPE)
        assert {"tools", "response_format"} & json.loads(endpoint.last_body).keys()

    async def test_a_model_that_cannot_be_called_is_an_error(self, opened: Open) -> None:
        kind, message = failure(await opened().ask("nobody/m", ask(), SHAPE))
        assert kind is ErrorType.INFERENCE_ERROR
        assert "ASSAY_VENDORS__NOBODY__BASE_URL" in message
