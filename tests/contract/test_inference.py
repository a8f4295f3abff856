"""The contract of `Inference`, over real HTTP on loopback, in both wire dialects: whole answers and streams."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from assay.adapters.models import HttpInference, HttpModels, retries
from assay.adapters.models import inference as adapter
from assay.core.errors import NotConfigured, RuleViolation, VendorFailed
from assay.ports.inference import CallKind, InferenceCall, ModelStream
from assay.settings import VendorSettings
from tests.fakes.model_endpoint import FakeEndpoint, Step

KEY = "k-3c9f2b71aa"
OWN_KEY = "own-77aa01bb"
DIALECTS = ("openai", "anthropic")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.01)


@pytest.fixture
async def endpoint() -> AsyncIterator[FakeEndpoint]:
    async with FakeEndpoint() as running:
        yield running


class Open:
    """Makes `HttpInference` for an endpoint and closes it after the test."""

    def __init__(self, endpoint: FakeEndpoint, dialect: str) -> None:
        self.dialect = dialect
        self._endpoint = endpoint
        self._opened: list[HttpModels] = []

    def models(self, environ: Mapping[str, str] | None = None, **settings: Any) -> HttpModels:
        base_url = self._endpoint.url if self.dialect == "openai" else self._endpoint.root
        given = {"base_url": base_url, "dialect": self.dialect, "api_key_env": "FAKE_KEY", **settings}
        models = HttpModels({"fake": VendorSettings(**given)}, {"FAKE_KEY": KEY} if environ is None else environ)
        self._opened.append(models)
        return models

    def __call__(self, environ: Mapping[str, str] | None = None, **settings: Any) -> HttpInference:
        return HttpInference(self.models(environ, **settings).calls)

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


def chat(text: str = "hello there", *, key: str | None = None, **more: Any) -> InferenceCall:
    return InferenceCall(CallKind.CHAT, "fake/m", {"messages": [{"role": "user", "content": text}], **more}, key=key)


async def chunks_of(inference: HttpInference, call: InferenceCall) -> list[Any]:
    async with inference.stream(call) as stream:
        return [chunk async for chunk in stream]


async def chunks_left(stream: ModelStream) -> list[Any]:
    return [chunk async for chunk in stream]


def text_of(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def refused(inference: HttpInference, call: InferenceCall) -> VendorFailed:
    """The failure of a stream that never began; the whole answer's must be the same."""
    with pytest.raises(VendorFailed) as caught:
        await chunks_of(inference, call)
    return caught.value


class TestWholeAnswers:
    async def test_a_chat_comes_in_openais_shape_with_its_usage(self, opened: Open) -> None:
        answer = await opened().call(chat("what is ü?"))
        assert answer.body["object"] == "chat.completion"
        assert answer.body["choices"][0]["message"] == {"role": "assistant", "content": "what is ü?"}
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.attempts) == (3, 3, 1)

    async def test_a_completion_is_openais_and_another_wire_refuses_it(
        self, openai: Open, anthropic: Open, endpoint: FakeEndpoint
    ) -> None:
        call = InferenceCall(CallKind.COMPLETION, "fake/m", {"prompt": "once upon", "max_tokens": 3})
        answer = await openai().call(call)
        assert answer.body["choices"][0]["text"] == "once upon"
        assert endpoint.calls[0].path == "/v1/completions"
        assert json.loads(endpoint.last_body) == {"prompt": "once upon", "max_tokens": 3, "model": "m"}
        with pytest.raises(RuleViolation, match="ask for a chat"):
            await anthropic().call(call)

    async def test_a_vendors_own_request_comes_back_as_it_is(self, anthropic: Open) -> None:
        body = {"messages": [{"role": "user", "content": "raw"}], "max_tokens": 5}
        answer = await anthropic().call(InferenceCall(CallKind.GENERIC, "fake/m", body))
        assert answer.body["content"] == [{"type": "text", "text": "raw"}]

    async def test_a_model_without_a_vendor_or_with_an_unknown_one_is_a_matter_of_settings(self, opened: Open) -> None:
        for model, named in (("gpt-4", "vendor/model"), ("nobody/x", r"\[vendors.nobody\]")):
            with pytest.raises(NotConfigured, match=named):
                await opened().call(InferenceCall(CallKind.CHAT, model, {"messages": []}))

    @pytest.mark.parametrize("status", [400, 404, 422, 451])
    async def test_a_refusal_says_the_vendors_status_and_words(
        self, opened: Open, endpoint: FakeEndpoint, status: int
    ) -> None:
        endpoint.script(Step("status", times=2, status=status, body={"error": {"message": "no such thing"}}))
        inference = opened()
        with pytest.raises(VendorFailed) as caught:
            await inference.call(chat())
        for error in (caught.value, await refused(inference, chat())):
            assert (error.status, error.message) == (status, f"fake/m: HTTP {status}: no such thing")
        assert len(endpoint.calls) == 2

    @pytest.mark.parametrize("messages", [[{"content": "no role"}], ["text"], "text", [{"role": "user", "content": 5}]])
    async def test_messages_that_are_none_are_refused_not_fallen_over(
        self, anthropic: Open, messages: Any, endpoint: FakeEndpoint
    ) -> None:
        call = InferenceCall(CallKind.CHAT, "fake/m", {"messages": messages})
        with pytest.raises(RuleViolation, match="OpenAI's"):
            await anthropic().call(call)
        with pytest.raises(RuleViolation, match="OpenAI's"):
            await chunks_of(anthropic(), call)
        assert endpoint.calls == []


class TestRetries:
    async def test_what_may_pass_is_tried_again_before_the_first_chunk(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        endpoint.script(Step("status", status=503), Step("reset"), Step("stream_fails"))
        inference = opened()
        async with inference.stream(chat("one two")) as stream:
            chunks = [chunk async for chunk in stream]
            assert stream.usage.attempts == 4
        assert text_of(chunks) == "one two"
        endpoint.script(Step("status", times=2, status=500))
        assert (await inference.call(chat())).usage.attempts == 3

    async def test_attempts_end_and_are_counted(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", times=99, status=502))
        error = await refused(opened(max_attempts=3), chat())
        assert error.status == 502
        assert error.message.endswith("(after 3 attempts)")
        assert len(endpoint.calls) == 3

    @pytest.mark.parametrize("first", ["call", "stream"])
    async def test_a_vendor_that_asks_for_a_long_wait_is_not_waited_for(
        self, opened: Open, endpoint: FakeEndpoint, first: str
    ) -> None:
        endpoint.script(Step("status", times=2, status=429, headers={"retry-after": "30"}))
        inference = opened()
        with pytest.raises(VendorFailed) as caught:
            await (inference.call(chat()) if first == "call" else chunks_of(inference, chat()))
        assert (caught.value.status, caught.value.retry_after) == (429, 30)
        for again in (inference.call(chat()), chunks_of(inference, chat())):
            with pytest.raises(VendorFailed, match="asked for a pause") as caught:
                await asyncio.wait_for(again, 1)
            assert caught.value.status == 429
            assert 28 < (caught.value.retry_after or 0) <= 30
        assert len(endpoint.calls) == 1

    async def test_a_short_wait_is_kept_and_the_whole_vendor_keeps_it(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        endpoint.script(Step("status", status=429, headers={"retry-after": "0.3"}))
        models = opened.models()
        streamed = asyncio.create_task(chunks_of(HttpInference(models.calls), chat("streamed")))
        await asyncio.sleep(0.1)
        reply = await models.chat("fake/m", {"messages": [{"role": "user", "content": "a task's"}]})
        assert reply.error is None
        assert text_of(await streamed) == "streamed"
        assert min(call.at for call in endpoint.calls[1:]) - endpoint.calls[0].at >= 0.29

    async def test_a_vendor_that_never_answers_is_a_timeout(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("hang", times=9))
        error = await refused(opened(timeout=0.1, max_attempts=2), chat())
        assert (error.timed_out, error.status) == (True, None)
        assert error.message == "fake/m: no answer within 0.1 s (after 2 attempts)"


class TestStreams:
    async def test_a_chat_comes_word_by_word_and_says_why_it_ended(self, opened: Open, endpoint: FakeEndpoint) -> None:
        chunks = await chunks_of(opened(), chat("one two ü"))
        assert [text_of([chunk]) for chunk in chunks] == ["", "one ", "two ", "ü", ""]
        assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 4 + ["stop"]
        assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
        assert len({(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks}) == 1
        sent = json.loads(endpoint.last_body)
        assert sent["stream"] is True
        assert "stream_options" not in sent

    async def test_the_usage_comes_last_when_it_is_asked_for(self, opened: Open) -> None:
        inference = opened()
        async with inference.stream(chat("four", stream_options={"include_usage": True})) as stream:
            chunks = [chunk async for chunk in stream]
            usage = stream.usage
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"] == {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}
        assert (usage.prompt_tokens, usage.completion_tokens) == (2, 2)
        assert not any(chunk.get("usage") for chunk in chunks[:-1])

    async def test_calls_of_tools_come_in_parts_that_add_up(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("tool_calls"))
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
        chunks = await chunks_of(opened(), chat(tools=tools))
        parts = [part for chunk in chunks for part in chunk["choices"][0]["delta"].get("tool_calls", [])]
        assert (parts[0]["index"], parts[0]["type"], parts[0]["function"]["name"]) == (0, "function", "f")
        assert parts[0]["id"]
        assert {part["index"] for part in parts} == {0}
        assert json.loads("".join(part["function"]["arguments"] for part in parts)) == {"q": "x"}
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"

    async def test_a_completion_is_streamed_too(self, openai: Open) -> None:
        call = InferenceCall(CallKind.COMPLETION, "fake/m", {"prompt": "a b"})
        chunks = await chunks_of(openai(), call)
        assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "a b"
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"

    async def test_a_vendors_own_records_are_handed_on(self, anthropic: Open) -> None:
        body = {"messages": [{"role": "user", "content": "raw"}], "max_tokens": 5}
        records = await chunks_of(anthropic(), InferenceCall(CallKind.GENERIC, "fake/m", body))
        assert [record["type"] for record in records][:2] == ["message_start", "content_block_start"]
        assert records[-1] == {"type": "message_stop"}

    async def test_chunks_are_there_before_the_answer_is_whole(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.gap = 0.05
        async with opened().stream(chat("one two three four five six")) as stream:
            started = time.monotonic()
            await anext(stream)
            assert time.monotonic() - started < 0.04
            assert endpoint.in_flight == 1

    async def test_a_connection_is_used_again_after_a_stream(self, opened: Open, endpoint: FakeEndpoint) -> None:
        inference = opened()
        for _ in range(4):
            await chunks_of(inference, chat())
        assert endpoint.connections == 1


class TestStreamsThatGoWrong:
    @pytest.mark.parametrize(
        ("kind", "said"),
        [("stream_breaks", "the answer broke off"), ("stream_errs", "fell over|Overloaded")],
    )
    async def test_one_that_breaks_off_gives_what_came_and_then_fails(
        self, opened: Open, endpoint: FakeEndpoint, kind: str, said: str
    ) -> None:
        endpoint.gap = 0.02
        endpoint.script(Step(kind))
        async with opened().stream(chat("one two three four")) as stream:
            got = [await anext(stream) for _ in range(3)]
            with pytest.raises(VendorFailed, match=said):
                await chunks_left(stream)
        assert text_of(got).startswith("one ")
        assert len(endpoint.calls) == 1

    async def test_chunks_that_came_together_with_an_error_are_handed_out_first(
        self, openai: Open, endpoint: FakeEndpoint
    ) -> None:
        chunk = 'data: {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": null}]}\n\n'
        endpoint.gap = 0.02
        endpoint.script(Step("stream", body=[chunk, chunk + chunk + 'data: {"error": "fell over"}\n\n']))
        async with openai().stream(chat()) as stream:
            assert text_of([await anext(stream) for _ in range(3)]) == "xxx"
            with pytest.raises(VendorFailed, match="fell over"):
                await anext(stream)

    async def test_one_that_breaks_before_anything_was_handed_out_is_tried_again(
        self, openai: Open, endpoint: FakeEndpoint
    ) -> None:
        chunk = 'data: {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": null}]}\n\n'
        failing = 'data: {"error": {"message": "busy", "code": 503}}\n\n'
        endpoint.script(Step("stream", body=[chunk + failing]))
        assert text_of(await chunks_of(openai(), chat("again"))) == "again"

    async def test_one_that_falls_silent_is_a_timeout(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("stream_stalls"))
        with pytest.raises(VendorFailed, match=r"nothing more came within 0.2 s") as caught:
            await chunks_of(opened(timeout=0.2), chat("one two three four"))
        assert caught.value.timed_out

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (["data: {}\n\n"], "neither a chunk nor an error"),
            (["data: {broken\n\n"], "not JSON"),
            (["data: [DONE]\n\n"], "before its first chunk"),
            ([": only a comment\n\n"], "broke off"),
            (['data: {"error": "no such key sk-abcdef123456"}\n\n'], r"no such key \[hidden\]"),
        ],
    )
    async def test_a_first_record_that_is_no_chunk_is_a_failure_before_anything_came(
        self, openai: Open, endpoint: FakeEndpoint, body: list[str], said: str
    ) -> None:
        endpoint.script(Step("stream", times=9, body=body))
        error = await refused(openai(max_attempts=1), chat())
        assert error.status is None
        assert said.replace("\\", "") in error.message

    async def test_a_stream_without_an_end_of_its_own_broke_off(self, openai: Open, endpoint: FakeEndpoint) -> None:
        chunk = 'data: {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": null}]}\n\n'
        endpoint.script(Step("stream", body=[chunk]))
        with pytest.raises(VendorFailed, match="the stream broke off"):
            await chunks_of(openai(), chat())

    async def test_a_stream_may_leave_out_the_sentinel(self, openai: Open, endpoint: FakeEndpoint) -> None:
        chunk = 'data: {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}\n\n'
        endpoint.script(Step("stream", body=[chunk]))
        assert text_of(await chunks_of(openai(), chat())) == "x"

    async def test_a_vendor_that_does_not_stream_is_said_to(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("json", body={"choices": []}))
        error = await refused(opened(), chat())
        assert "no stream came but application/json" in error.message

    async def test_a_record_without_an_end_is_cut_off(self, openai: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("stream", body=["data: " + "x" * 200_000]))
        error = await refused(openai(max_response_bytes=100_000), chat())
        assert error.message == "fake/m: a record of the stream is larger than 100000 bytes"

    async def test_a_page_is_quoted_without_the_key(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("html", status=403, body=f"denied for {KEY} "))
        error = await refused(opened(), chat())
        assert error.status == 403
        assert "[hidden]" in error.message
        assert KEY not in error.message


class TestLeavingEarly:
    @pytest.mark.parametrize("after", [0, 1, 3])
    async def test_whoever_leaves_a_stream_ends_the_vendors_call_and_frees_the_place(
        self, opened: Open, endpoint: FakeEndpoint, after: int
    ) -> None:
        endpoint.gap = 0.02
        inference = opened(concurrency=1)
        async with inference.stream(chat(" ".join(["word"] * 200))) as stream:
            for _ in range(after):
                await anext(stream)
        endpoint.gap = 0.0
        assert text_of(await asyncio.wait_for(chunks_of(inference, chat("next")), 2)) == "next"
        assert (endpoint.in_flight, endpoint.hung_up) == (0, 1)

    async def test_a_cancelled_wait_for_the_first_chunk_frees_the_place(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        endpoint.script(Step("hang"))
        inference = opened(concurrency=1)
        waiting = asyncio.create_task(chunks_of(inference, chat()))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert text_of(await chunks_of(inference, chat("next"))) == "next"
        assert endpoint.in_flight == 0

    async def test_streams_and_tasks_share_the_vendors_places(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.gap = 0.01
        models = opened.models(concurrency=3)
        inference = HttpInference(models.calls)
        body = {"messages": [{"role": "user", "content": "a task's"}]}
        streams = [chunks_of(inference, chat("one two three")) for _ in range(6)]
        await asyncio.gather(*streams, *(models.chat("fake/m", body) for _ in range(6)))
        assert (endpoint.most_in_flight, len(endpoint.calls)) == (3, 12)


class TestOwnKeys:
    async def test_a_callers_key_goes_instead_of_the_servers_and_only_with_that_call(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        inference = opened()
        await inference.call(chat(key=OWN_KEY))
        assert OWN_KEY.encode() in endpoint.last_head
        assert KEY.encode() not in endpoint.last_head
        await chunks_of(inference, chat(key=OWN_KEY))
        assert OWN_KEY.encode() in endpoint.last_head
        await inference.call(chat())
        assert KEY.encode() in endpoint.last_head
        assert OWN_KEY.encode() not in endpoint.last_head

    async def test_a_callers_key_replaces_a_header_of_the_settings_that_carries_one(
        self, openai: Open, endpoint: FakeEndpoint
    ) -> None:
        inference = openai(headers={"authorization": "Bearer team-password", "x-team": "a"})
        await inference.call(chat(key=OWN_KEY))
        assert endpoint.header("authorization") == f"Bearer {OWN_KEY}"
        assert endpoint.header("x-team") == "a"

    async def test_a_callers_key_stands_in_for_a_missing_one(self, opened: Open) -> None:
        inference = opened({}, api_key_required=True)
        assert inference.problem("fake/m") is not None
        assert inference.problem("fake/m", own_key=True) is None
        assert (await inference.call(chat("ok", key=OWN_KEY))).body["choices"][0]["message"]["content"] == "ok"

    async def test_a_callers_key_is_in_no_message(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", status=401, body={"error": {"message": f"bad key {OWN_KEY} here"}}))
        error = await refused(opened(), chat(key=OWN_KEY))
        assert (error.status, error.own_key) == (401, True)
        assert error.message == "fake/m: HTTP 401: bad key [hidden] here"
        assert OWN_KEY not in repr(chat(key=OWN_KEY))
        assert "hello there" not in repr(chat("hello there"))

    @pytest.mark.parametrize("key", ["", "a\r\nX-Evil: 1", "schlüssel"])
    async def test_what_is_no_key_is_refused_without_being_shown(
        self, opened: Open, endpoint: FakeEndpoint, key: str
    ) -> None:
        with pytest.raises(RuleViolation) as caught:
            await opened().call(chat(key=key))
        assert "Evil" not in caught.value.message
        assert endpoint.calls == []

    async def test_a_limit_on_a_callers_key_slows_nobody_else(self, opened: Open, endpoint: FakeEndpoint) -> None:
        endpoint.script(Step("status", status=429, headers={"retry-after": "30"}))
        inference = opened()
        with pytest.raises(VendorFailed):
            await inference.call(chat(key=OWN_KEY))
        await asyncio.wait_for(inference.call(chat()), 1)


class TestListing:
    async def test_a_vendors_own_list_is_asked_for_once_a_minute(
        self, opened: Open, endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inference = opened()
        assert inference.vendors == ["fake"]
        for _ in range(2):
            assert await inference.listed("fake") == ("echo", "org/large:7b")
        assert [(call.path, endpoint.last_head[:4]) for call in endpoint.calls] == [("/v1/models", b"GET ")]
        assert KEY.encode() in endpoint.last_head
        monkeypatch.setattr(adapter, "REMEMBERED_SECONDS", -1.0)
        await inference.listed("fake")
        assert len(endpoint.calls) == 2

    @pytest.mark.parametrize(
        "step",
        [
            Step("status", status=404),
            Step("html"),
            Step("json", body={"data": "x"}),
            Step("json", body=[1]),
            Step("reset"),
            Step("hang"),
        ],
        ids=lambda step: step.kind,
    )
    async def test_a_vendor_that_cannot_be_asked_has_no_list(
        self, opened: Open, endpoint: FakeEndpoint, step: Step, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adapter, "LISTING_SECONDS", 0.1)
        endpoint.script(step)
        assert await opened().listed("fake") is None

    async def test_an_unknown_vendor_or_one_without_its_key_has_no_list(
        self, opened: Open, endpoint: FakeEndpoint
    ) -> None:
        assert await opened().listed("nobody") is None
        assert await opened({}, api_key_required=True).listed("fake") is None
        assert endpoint.calls == []

    async def test_odd_names_are_left_out(self, openai: Open, endpoint: FakeEndpoint) -> None:
        names = [{"id": "a"}, {"id": "a"}, {"id": 5}, {"id": ""}, {"id": "x" * 501}, "b", {"name": "c"}]
        endpoint.script(Step("json", body={"data": names}))
        assert await openai().listed("fake") == ("a",)
