"""Inference and registered models through the vendor's own client against a real server and a scripted endpoint."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from scale_gp_beta import (
    APIStatusError,
    AsyncSGPClient,
    BadRequestError,
    ConflictError,
    NotFoundError,
    RateLimitError,
    SGPClient,
)

from tests.builders.wire import eventually
from tests.e2e.conftest import Clients
from tests.fakes.model_endpoint import EndpointProcess, Step
from tests.fakes.server_process import ServerProcess

SERVERS_KEY = "servers-key-5f3a"
OWN_KEY = "own-key-77aa01bb"
SECRET = "a prompt that nobody must log"
MODELS = ["openai/echo", "anthropic/claude"]


@pytest.fixture(scope="module")
def server_environment(model_endpoint: EndpointProcess) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": SERVERS_KEY,
        "ASSAY_VENDORS__OPENAI__BASE_URL": model_endpoint.url,
        "ASSAY_VENDORS__OPENAI__API_KEY_ENV": "OPENAI_API_KEY",
        "ASSAY_VENDORS__OPENAI__MAX_ATTEMPTS": "2",
        "ASSAY_VENDORS__OPENAI__CONCURRENCY": "3",
        "ASSAY_VENDORS__ANTHROPIC__BASE_URL": model_endpoint.url.removesuffix("/v1"),
        "ASSAY_VENDORS__ANTHROPIC__DIALECT": "anthropic",
    }


@pytest.fixture(autouse=True)
def quiet(model_endpoint: EndpointProcess) -> Iterator[EndpointProcess]:
    yield model_endpoint
    model_endpoint.set_gap(0)
    model_endpoint.reset()


@pytest.fixture
def slow(model_endpoint: EndpointProcess) -> EndpointProcess:
    """The endpoint, with a gap between the records of its streams."""
    model_endpoint.set_gap(0.02)
    return model_endpoint


def ask(text: str = "one two three", model: str = "openai/echo", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def text_of(chunks: list[Any]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@pytest.mark.parametrize("model", MODELS)
def test_a_chat_is_answered_whole_and_streamed(strict: SGPClient, model: str) -> None:
    answer = strict.chat.completions.create(**ask("what is ü?", model))
    assert answer.choices[0].message.content == "what is ü?"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 6

    with strict.chat.completions.create(
        **ask(model=model), stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert text_of(chunks) == "one two three"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_is_called_in_a_stream(strict: SGPClient, model: str) -> None:
    tools = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
    chunks = list(strict.chat.completions.create(**ask("!tool_calls", model), tools=tools, stream=True))
    parts = [part for chunk in chunks for choice in chunk.choices for part in choice.delta.tool_calls or []]
    assert parts[0].function is not None
    assert parts[0].function.name == "find"
    arguments = "".join(part.function.arguments or "" for part in parts if part.function)
    assert json.loads(arguments) == {"q": "x"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_the_asynchronous_client_streams_too(server: ServerProcess) -> None:
    shared = {"api_key": server.api_key, "account_id": "default", "base_url": server.base_url, "max_retries": 0}
    async with AsyncSGPClient(**shared, _strict_response_validation=True) as client:
        answers = await asyncio.gather(
            *(client.chat.completions.create(**ask(f"n {n}"), stream=True) for n in range(8))
        )
        texts = [text_of([chunk async for chunk in stream]) for stream in answers]
        assert texts == [f"n {n}" for n in range(8)]
        assert (await client.chat.completions.create(**ask("whole"))).choices[0].message.content == "whole"
    async with AsyncSGPClient(**shared) as client:
        completed = await client.completions.create(model="openai/echo", prompt="a b", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in completed]) == "a b"


def test_completions_and_generic_inference(client: SGPClient, strict: SGPClient) -> None:
    assert strict.completions.create(model="openai/echo", prompt="once upon").choices[0].text == "once upon"
    # Not in strict mode: a chunk before the last has no finish_reason, which the client's type has no place for.
    chunks = list(client.completions.create(model="openai/echo", prompt="a b", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "a b"
    found = strict.inference.create(model="openai/embed", args={"input": ["x"]})
    assert found.object == "generic_inference"
    assert found.response == {"path": "/v1/embeddings", "received": {"input": ["x"], "model": "embed"}}
    streamed: Any = client.inference.create(
        model="anthropic/claude",
        args={"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "stream": True},
    )
    assert "generic_inference.chunk" in streamed


def test_chunks_arrive_as_they_are_made(strict: SGPClient, slow: EndpointProcess) -> None:
    begun = time.monotonic()
    with strict.chat.completions.create(**ask(" ".join(["word"] * 60)), stream=True) as stream:
        next(stream)
        first = time.monotonic() - begun
        list(stream)
    assert first < (time.monotonic() - begun) / 2


def test_a_client_that_leaves_stops_the_vendors_call_and_frees_its_place(
    strict: SGPClient, slow: EndpointProcess
) -> None:
    before = slow.hung_up
    for _ in range(3):  # as many as the vendor has places
        with strict.chat.completions.create(**ask(" ".join(["word"] * 2000)), stream=True) as stream:
            next(stream)
    eventually(lambda: slow.hung_up - before, lambda left: left == 3, timeout=5)
    assert slow.in_flight == 0
    assert strict.chat.completions.create(**ask("next")).choices[0].message.content == "next"


def test_a_client_that_gives_up_waiting_stops_the_vendors_call(client: SGPClient, quiet: EndpointProcess) -> None:
    before = quiet.hung_up
    impatient = client.with_options(timeout=0.3, max_retries=0)
    for stream in (False, True):
        with pytest.raises(Exception, match="timed out"):
            impatient.chat.completions.create(**ask("!hang"), stream=stream)
    eventually(lambda: quiet.hung_up - before, lambda left: left == 2, timeout=5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["stream_breaks", "stream_errs"])
def test_a_stream_that_breaks_off_is_an_error_and_never_looks_whole(
    strict: SGPClient, slow: EndpointProcess, model: str, kind: str
) -> None:
    got: list[Any] = []
    stream = strict.chat.completions.create(**ask(f"!{kind} and some more words", model), stream=True)
    with pytest.raises(httpx.RemoteProtocolError):
        got.extend(stream)
    assert slow.in_flight == 0


def test_errors_before_the_first_byte_are_errors(client: SGPClient, quiet: EndpointProcess) -> None:
    for stream in (False, True):
        with pytest.raises(NotFoundError):
            client.chat.completions.create(**ask("!status 404"), stream=stream)
        for model in ("gpt-4", "nobody/gpt-4"):
            with pytest.raises(BadRequestError, match="vendor"):
                client.chat.completions.create(**ask(model=model), stream=stream)
        with pytest.raises(APIStatusError) as caught:
            client.chat.completions.create(**ask("!status 503"), stream=stream)
        assert caught.value.status_code == 503
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(**ask("!stream_fails", "anthropic/claude"), stream=True)
    assert caught.value.status_code == 529


def test_a_vendors_limit_reaches_the_client_with_its_wait(client: SGPClient, quiet: EndpointProcess) -> None:
    quiet.script(Step("status", status=429, headers={"retry-after": "30"}))
    with pytest.raises(RateLimitError) as caught:
        client.chat.completions.create(**ask(), extra_headers={"x-openai-api-key": OWN_KEY})
    assert caught.value.response.headers["retry-after"] == "30"
    # It was the caller's own key that had too many: the server's is not held up.
    begun = time.monotonic()
    client.chat.completions.create(**ask())
    assert time.monotonic() - begun < 5


def test_tasks_and_requests_share_the_vendors_places(strict: SGPClient, slow: EndpointProcess) -> None:
    holding = threading.Event()

    def hold() -> None:
        with strict.chat.completions.create(**ask(" ".join(["word"] * 60)), stream=True) as stream:
            for _ in stream:
                holding.set()

    holders = [threading.Thread(target=hold) for _ in range(3)]
    for holder in holders:
        holder.start()
    assert holding.wait(10)
    eventually(lambda: slow.in_flight, lambda count: count == 3, timeout=5)
    task = {"task_type": "chat_completion", "configuration": ask("item.q")}
    made = strict.evaluations.create(evaluation={"name": "shared", "data": [{"q": "x"}], "tasks": [task]})
    time.sleep(0.3)
    assert slow.in_flight == 3
    for holder in holders:
        holder.join()
    eventually(lambda: strict.evaluations.retrieve(made.id).status, lambda status: status == "completed", timeout=20)


def test_models_are_registered_listed_renamed_and_removed(strict: SGPClient) -> None:
    hosted: Any = {"name": "first", "model_vendor": "openai", "model_type": "chat_completion"}
    first = strict.models.create(model=hosted)
    second = strict.models.create(model={**hosted, "name": "second", "model_metadata": {"n": 1}})
    assert (first.status, first.api_model_availability) == ("ready", "unknown")
    with pytest.raises(ConflictError):
        strict.models.create(model=hosted)
    assert strict.models.create(model={**hosted, "on_conflict": "update"}).id == first.id
    assert strict.models.update(first.id, model={"name": "second", "on_conflict": "swap"}).name == "second"
    assert strict.models.retrieve(second.id).name == "first"
    assert [one.id for one in strict.models.list(model_vendor="openai", limit=1)] == [first.id, second.id]
    catalogue = strict.chat.completions.models(model_vendor="openai")
    assert {item.name: item.api_model_availability for item in catalogue.items} == {
        "echo": "available",
        "first": "unknown",
        "org/large:7b": "available",
        "second": "unknown",
    }
    for model in (first, second):
        assert strict.models.delete(model.id).deleted
    with pytest.raises(NotFoundError):
        strict.models.retrieve(first.id)


def test_what_a_client_left_out_is_left_out_honestly(clients: Clients) -> None:
    for path in ("/v5/responses", "/v5/models"):
        answer = clients.raw.post(path, json={"name": "m", "model_vendor": "launch", "vendor_configuration": {}})
        assert (answer.status_code, answer.headers["x-should-retry"]) == (501, "false")


def test_neither_keys_nor_prompts_are_in_the_log(server: ServerProcess, client: SGPClient) -> None:
    for text in (SECRET, f"!status 400 {SECRET}", f"!stream_breaks {SECRET}", f"!stream_fails {SECRET}"):
        with contextlib.suppress(APIStatusError, httpx.RemoteProtocolError):
            list(client.chat.completions.create(**ask(text), stream=True, x_openai_api_key=OWN_KEY))
    log = server.log
    assert "model_call" in log
    for secret in (SECRET, OWN_KEY, SERVERS_KEY):
        assert secret not in log
