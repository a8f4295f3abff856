"""Chats, completions and generic inference over HTTP: the official client in strict mode, failures, hostile input."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from scale_gp_beta import APIStatusError, BadRequestError, NotFoundError, RateLimitError

from assay.adapters.models import retries
from assay.api.shared import streaming
from assay.api.v5.schemas import inference as schemas
from tests.builders.inferring import SERVERS_KEY, inferring_api
from tests.fakes.model_endpoint import Step

OWN_KEY = "own-77aa01bb"
SECRET = "my very own prompt"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.01)


@pytest.fixture
async def api(tmp_path):
    async with inferring_api(tmp_path) as inferring:
        yield inferring


def _chat(text: str = "hello there", model: str = "openai/echo", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


async def _post(api, path: str, body: Any, **headers: str) -> httpx.Response:
    return await api.served.raw.post(
        path, json=body, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


def _records(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("\n\n")
    found = answer.text.removesuffix("\n\n").split("\n\n")
    assert all(record.startswith("data: ") and "\n" not in record for record in found)
    return [json.loads(record.removeprefix("data: ")) for record in found]


@pytest.mark.parametrize("model", ["openai/echo", "anthropic/claude"])
async def test_a_chat_is_what_the_document_and_the_official_client_say(api, model):
    answer = await _post(api, "/v5/chat/completions", _chat("what is ü?", model))
    assert answer.headers["content-type"] == "application/json"
    schemas.ChatCompletion.model_validate_json(answer.content)
    client = api.served.official
    found = await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}], top_k=3)
    assert found.choices[0].message.content == "hi"
    assert found.usage.total_tokens == 2
    assert json.loads(api.endpoint.last_body)["top_k"] == 3


@pytest.mark.parametrize("model", ["openai/echo", "anthropic/claude"])
async def test_a_streamed_chat_is_records_of_data_and_nothing_else(api, model):
    body = _chat("one two", model, stream=True, stream_options={"include_usage": True})
    chunks = _records(await _post(api, "/v5/chat/completions", body))
    for chunk in chunks:
        schemas.ChatCompletionChunk.model_validate(chunk)
    assert "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]) == "one two"
    assert chunks[-1]["usage"]["total_tokens"] == 4
    stream = await api.served.official.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "a b"}], stream=True
    )
    found = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in found) == "a b"
    assert found[-1].choices[0].finish_reason == "stop"


async def test_a_completion_comes_whole_and_streamed(api):
    whole = await _post(api, "/v5/completions", {"model": "openai/echo", "prompt": "once upon"})
    schemas.Completion.model_validate_json(whole.content)
    chunks = _records(await _post(api, "/v5/completions", {"model": "openai/echo", "prompt": "a b", "stream": True}))
    for chunk in chunks:
        schemas.Completion.model_validate(chunk)
    client = api.served.official
    assert (await client.completions.create(model="openai/echo", prompt=["x", "y"])).choices[0].text == "x y"
    refused = await _post(api, "/v5/completions", {"model": "anthropic/claude", "prompt": "a"})
    assert (refused.status_code, refused.json()["code"]) == (400, "rule_violation")


async def test_generic_inference_hands_the_vendors_answer_on(api):
    body = {"model": "openai/embed", "args": {"input": ["x"], "dimensions": 3}}
    answer = await _post(api, "/v5/inference", body)
    schemas.GenericInference.model_validate_json(answer.content)
    assert answer.json()["response"]["received"] == {"input": ["x"], "dimensions": 3, "model": "embed"}
    found = await api.served.official.inference.create(model="openai/embed", args={"anything": 1})
    assert found.response["path"] == "/v1"
    assert (await _post(api, "/v5/inference", {"model": "openai/embed"})).status_code == 200
    args = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 5, "stream": True}
    chunks = _records(await _post(api, "/v5/inference", {"model": "anthropic/claude", "args": args}))
    assert {chunk["object"] for chunk in chunks} == {"generic_inference.chunk"}
    assert chunks[-1]["response"] == {"type": "message_stop"}


async def test_how_often_and_how_long_can_be_said_with_generic_inference(api):
    api.endpoint.script(Step("status", times=9))
    body: dict[str, Any] = {"model": "openai/x", "args": {"input": "a"}, "inference_configuration": {"num_retries": 0}}
    assert (await _post(api, "/v5/inference", body)).status_code == 500
    assert len(api.endpoint.calls) == 1
    api.endpoint.reset()
    api.endpoint.script(Step("hang"))
    body["inference_configuration"]["timeout_seconds"] = 0.1
    answer = await _post(api, "/v5/inference", body)
    assert (answer.status_code, answer.json()["code"]) == (504, "vendor_failed")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "status", "named"),
    [
        ("gpt-4", 400, "vendor/model"),
        ("nobody/x", 400, "[vendors.nobody]"),
        ("keyless/x", 400, "NO_SUCH_KEY"),
        ("away/x", 502, "cannot connect"),
    ],
)
async def test_a_model_that_cannot_be_called_is_an_error_that_says_why(api, model, status, named, stream):
    answer = await _post(api, "/v5/chat/completions", _chat(SECRET, model, stream=stream))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert named in answer.json()["detail"]
    assert SECRET not in answer.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "status"),
    [
        (400, 400),
        (401, 400),
        (403, 400),
        (404, 404),
        (413, 413),
        (422, 422),
        (429, 429),
        (500, 500),
        (503, 503),
        (529, 529),
    ],
)
async def test_a_vendors_refusal_comes_through_but_for_what_would_mean_this_servers_key(api, said, status, stream):
    body = {"error": {"message": "the model 'x' does not exist"}}
    api.endpoint.script(Step("status", times=9, status=said, body=body, headers={"retry-after": "30"}))
    answer = await _post(api, "/v5/chat/completions", _chat(stream=stream))
    assert (answer.status_code, answer.json()["code"]) == (status, "vendor_failed")
    assert f"openai/echo: HTTP {said}: the model 'x' does not exist" in answer.json()["detail"]
    assert answer.headers["retry-after"] == "30"
    assert len(api.endpoint.calls) == 1 if said in (429, 500, 503, 529) else 2


async def test_what_will_not_pass_is_said_not_to(api):
    spent = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    for step, told in (
        (Step("status", status=429, body=spent), "false"),
        (Step("html"), "false"),
        (Step("status", times=2, status=503), None),
    ):
        api.endpoint.script(step)
        answer = await _post(api, "/v5/chat/completions", _chat())
        assert answer.status_code in (429, 502, 503)
        assert answer.headers.get("x-should-retry") == told


async def test_the_official_client_raises_what_it_should(api):
    client = api.served.official
    for status, kind in ((404, NotFoundError), (422, APIStatusError), (401, BadRequestError), (429, RateLimitError)):
        api.endpoint.reset()
        api.endpoint.script(Step("status", times=9, status=status, headers={"retry-after": "30"}))
        for stream in (False, True):
            with pytest.raises(kind):
                await client.chat.completions.create(**_chat(), stream=stream)


@pytest.mark.parametrize("kind", ["html", "malformed", "redirect", "empty_choices"])
async def test_an_answer_that_is_none_is_a_502(api, kind):
    api.endpoint.script(Step(kind))
    answer = await _post(api, "/v5/chat/completions", _chat())
    assert answer.status_code == (200 if kind == "empty_choices" else 502)
    api.endpoint.script(Step("json", body={"answer": 42}))
    answer = await _post(api, "/v5/chat/completions", _chat())
    assert (answer.status_code, answer.json()["detail"]) == (502, "openai/echo: the answer is no chat.completion")


async def test_what_a_vendor_leaves_out_of_an_answer_is_filled_in(api):
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "x"}}
    api.endpoint.script(Step("json", body={"choices": [choice], "id": None, "created": "today"}))
    answer = (await _post(api, "/v5/chat/completions", _chat())).json()
    schemas.ChatCompletion.model_validate(answer)
    assert (answer["model"], answer["object"]) == ("echo", "chat.completion")
    lines = [
        f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': x}, 'finish_reason': x}]})}\n\n"
        for x in "ab"
    ]
    api.endpoint.script(Step("stream", body=lines))
    chunks = _records(await _post(api, "/v5/chat/completions", _chat(stream=True)))
    assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
    schemas.ChatCompletionChunk.model_validate(chunks[0])


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("chat/completions", {}, ["model"]),
        ("chat/completions", {"model": "openai/x"}, ["messages"]),
        ("chat/completions", _chat(messages=[]), ["messages"]),
        ("chat/completions", _chat(messages="hi"), ["messages"]),
        ("chat/completions", _chat(messages=["hi"]), ["messages", 0]),
        ("chat/completions", _chat(messages=[{"content": "x"}]), ["messages"]),
        ("chat/completions", _chat(messages=[{"role": "user", "content": 5}]), ["messages"]),
        ("chat/completions", _chat(messages=[{"role": "user", "tool_calls": "x"}]), ["messages"]),
        ("chat/completions", _chat(model=""), ["model"]),
        ("chat/completions", _chat(model="x" * 501), ["model"]),
        ("chat/completions", _chat(temperature="hot"), ["temperature"]),
        ("chat/completions", _chat(temperature=-1), ["temperature"]),
        ("chat/completions", _chat(n=0), ["n"]),
        ("chat/completions", _chat(stream="yes"), ["stream"]),
        ("chat/completions", _chat(stream_options={"include_usage": "yes"}), ["stream_options", "include_usage"]),
        ("completions", {"model": "openai/x"}, ["prompt"]),
        ("completions", {"model": "openai/x", "prompt": "x", "logprobs": 6}, ["logprobs"]),
        ("inference", {"args": {}}, ["model"]),
        ("inference", {"model": "openai/x", "args": []}, ["args"]),
        (
            "inference",
            {"model": "openai/x", "inference_configuration": {"num_retries": -1}},
            ["inference_configuration", "num_retries"],
        ),
    ],
)
async def test_a_malformed_request_is_refused_at_its_fault_and_nobody_is_asked(api, path, body, where):
    answer = await _post(api, f"/v5/{path}", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", *where]
    assert api.endpoint.calls == []


async def test_nulls_are_left_out_and_what_is_not_listed_is_passed_on(api):
    await _post(api, "/v5/chat/completions", _chat(temperature=None, stream=None, seed=3, guided={"a": None}, user="u"))
    sent = json.loads(api.endpoint.last_body)
    assert sent == {
        "model": "echo",
        "messages": [{"role": "user", "content": "hello there"}],
        "seed": 3,
        "guided": {"a": None},
        "user": "u",
    }


class TestOwnKeys:
    async def test_it_goes_to_openai_alone(self, api):
        await _post(api, "/v5/chat/completions", _chat(), x_openai_api_key=OWN_KEY)
        assert api.endpoint.header("authorization") == f"Bearer {OWN_KEY}"
        await api.served.official.chat.completions.create(**_chat(), x_openai_api_key=OWN_KEY)
        assert api.endpoint.header("authorization") == f"Bearer {OWN_KEY}"
        await _post(api, "/v5/chat/completions", _chat())
        assert api.endpoint.header("authorization") == f"Bearer {SERVERS_KEY}"
        await _post(api, "/v5/chat/completions", _chat(model="anthropic/c"), x_openai_api_key=OWN_KEY)
        assert OWN_KEY.encode() not in api.endpoint.last_head

    async def test_one_that_the_vendor_refuses_is_a_401_without_it(self, api):
        api.endpoint.script(Step("status", status=401, body="echo"))
        answer = await _post(api, "/v5/chat/completions", _chat(), x_openai_api_key=OWN_KEY)
        assert answer.status_code == 401
        assert OWN_KEY not in answer.text

    async def test_neither_keys_nor_prompts_are_logged(self, api, capsys):
        for kind in ("ok", "status", "stream_fails"):
            api.endpoint.script(Step(kind, times=2, body=None if kind == "ok" else {"error": {"message": SECRET}}))
            await _post(api, "/v5/chat/completions", _chat(SECRET, stream=kind != "ok"), x_openai_api_key=OWN_KEY)
            api.endpoint.reset()
        logged = "".join(capsys.readouterr())
        assert "model_call" in logged
        assert "prompt_tokens" in logged
        for secret in (OWN_KEY, SERVERS_KEY, SECRET):
            assert secret not in logged


class TestTheBody:
    async def test_a_caller_without_a_key_is_refused(self, api):
        for path in ("chat/completions", "completions", "inference"):
            answer = await api.served.raw.post(f"/v5/{path}", json=_chat(), headers={"x-api-key": "no"})
            assert answer.status_code == 401

    @pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"model": NaN}', b'{"a":' * 1000 + b"1" + b"}" * 1000])
    async def test_what_is_no_object_is_refused(self, api, raw):
        for path in ("chat/completions", "completions", "inference"):
            answer = await api.served.raw.post(f"/v5/{path}", content=raw)
            assert answer.status_code == 422


async def _exchange(api, body: dict[str, Any], leave_after: int = -1, *, stall_after: int = -1) -> list[dict[str, Any]]:
    """One request straight to the application, whose client leaves after so many messages of the answer, or takes no
    more of them."""
    transport: Any = api.served.raw._transport
    key = api.served.raw.headers["x-api-key"].encode()
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v5/chat/completions",
        "raw_path": b"/v5/chat/completions",
        "query_string": b"",
        "headers": [(b"x-api-key", key)],
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("assay.test", 80),
        "client": ("127.0.0.1", 1),
    }
    sent: list[dict[str, Any]] = []
    left = asyncio.Event()
    asked = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    if leave_after == 0:
        asyncio.get_running_loop().call_later(0.1, left.set)

    async def receive() -> dict[str, Any]:
        if asked:
            return asked.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == leave_after:
            left.set()
        if len(sent) == stall_after:
            await asyncio.Event().wait()

    await asyncio.wait_for(transport.app(scope, receive, send), 5)
    return sent


class TestLeaving:
    async def test_a_client_that_leaves_a_stream_ends_the_vendors_call(self, api):
        api.endpoint.gap = 0.02
        sent = await _exchange(api, _chat(" ".join(["word"] * 500), stream=True), leave_after=3)
        assert len(sent) < 10
        await asyncio.sleep(0.05)
        assert (api.endpoint.in_flight, api.endpoint.hung_up) == (0, 1)

    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_client_that_leaves_before_the_answer_ends_the_vendors_call(self, api, stream):
        api.endpoint.script(Step("hang"))
        assert await _exchange(api, _chat(stream=stream), leave_after=0) == []
        await asyncio.sleep(0.05)
        assert (api.endpoint.in_flight, api.endpoint.hung_up) == (0, 1)

    async def test_a_client_that_takes_nothing_is_given_up(self, api, monkeypatch):
        monkeypatch.setattr(streaming, "STALLED_SECONDS", 0.1)
        api.endpoint.gap = 0.02
        sent = await _exchange(api, _chat(" ".join(["word"] * 500), stream=True), stall_after=3)
        assert len(sent) == 3
        await asyncio.sleep(0.05)
        assert (api.endpoint.in_flight, api.endpoint.hung_up) == (0, 1)

    @pytest.mark.parametrize("kind", ["stream_breaks", "stream_errs"])
    async def test_a_stream_that_breaks_off_is_never_ended_properly(self, api, kind, capsys):
        api.endpoint.gap = 0.02
        api.endpoint.script(Step(kind))
        sent = await _exchange(api, _chat(f"{SECRET} and more of it", stream=True))
        assert sent[0]["status"] == 200
        assert len(sent) > 2
        assert all(message.get("more_body", True) for message in sent)
        logged = "".join(capsys.readouterr())
        assert "stream_broken" in logged
        assert SECRET not in logged


async def test_the_catalogue_lists_what_vendors_say_and_what_is_registered(api):
    await api.register("org/large:7b", metadata={"x": 1})
    await api.register("mine", model_type="generic")
    await api.register("lost", "keyless")
    answer = await api.served.raw.get("/v5/chat/completions/models")
    schemas.ModelCatalogue.model_validate_json(answer.content)
    items = [tuple(item.values()) for item in answer.json()["items"]]
    assert items == [
        ("echo", "chat_completion", "anthropic", "available"),
        ("org/large:7b", "chat_completion", "anthropic", "available"),
        ("lost", "chat_completion", "keyless", "unavailable"),
        ("echo", "chat_completion", "openai", "available"),
        ("mine", "generic", "openai", "unknown"),
        ("org/large:7b", "chat_completion", "openai", "available"),
    ]
    found = await api.served.official.chat.completions.models(model_vendor="openai", limit=1)
    assert [item.name for item in found.items] == ["echo", "mine", "org/large:7b"]
    stranger = await api.served.stranger.get("/v5/chat/completions/models?model_vendor=openai")
    assert [item["model_name"] for item in stranger.json()["items"]] == ["echo", "org/large:7b"]


async def test_a_catalogue_that_nobody_can_fill_is_empty(api):
    for vendor in ("away", "keyless", "nobody"):
        answer = await api.served.raw.get("/v5/chat/completions/models", params={"model_vendor": vendor})
        assert (answer.status_code, answer.json()) == (200, {"object": "list", "items": []})
