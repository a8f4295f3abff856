"""Reading an application's endpoint, composing its requests and mapping its answers."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.application_calls import ApplicationCall, UnmappedAnswer, compose, map_answer
from assay.core.endpoints import DEFAULT_REQUEST, Endpoint, ResponseMapping, SecretHeader, read_endpoint
from assay.core.errors import InvalidInput
from assay.core.locators import MissingValue

CALL = ApplicationCall({"question": "why?", "n": 3, "node": {"input-text": "deep"}}, history=[{"request": "hi"}])

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def places(value: Any) -> list[str]:
    with pytest.raises(InvalidInput) as invalid:
        read_endpoint(value)
    assert all(problem.input is None for problem in invalid.value.problems)
    return [".".join(str(part) for part in problem.loc) for problem in invalid.value.problems]


def test_an_endpoint_needs_no_more_than_a_url() -> None:
    assert read_endpoint({"url": "http://localhost:8000/answer"}) == Endpoint("http://localhost:8000/answer")


def test_headers_come_from_secrets_by_name() -> None:
    headers = {"Authorization": {"secret": "BOT", "prefix": "Bearer "}, "X-Version": "2"}

    endpoint = read_endpoint({"url": "https://a.example", "headers": headers})

    assert endpoint.headers == {"Authorization": SecretHeader("bot", "Bearer "), "X-Version": "2"}
    assert endpoint.where == "a.example:443"


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (None, ["endpoint"]),
        ("http://a", ["endpoint"]),
        ({}, ["endpoint.url"]),
        ({"url": 7, "method": "DELETE"}, ["endpoint.url", "endpoint.method"]),
        ({"url": "http://a", "uri": "x"}, ["endpoint.uri"]),
        ({"url": "http://a", "headers": []}, ["endpoint.headers"]),
        ({"url": "http://a", "headers": {"Authorization": "Bearer sesame"}}, ["endpoint.headers.Authorization"]),
        ({"url": "http://a", "headers": {"Host": "b"}}, ["endpoint.headers.Host"]),
        ({"url": "http://a", "headers": {"X": "a\r\nY: b"}}, ["endpoint.headers.X"]),
        ({"url": "http://a", "headers": {"X": {"secret": "a b"}}}, ["endpoint.headers.X.secret"]),
        ({"url": "http://a", "headers": {"X": {"secret": "a", "env": "HOME"}}}, ["endpoint.headers.X.env"]),
        ({"url": "http://a", "headers": {"X": "1", "x": "2"}}, ["endpoint.headers.x"]),
        ({"url": "http://a", "request": {"q": ["{{input.x}}"]}}, ["endpoint.request.q.0"]),
        ({"url": "http://a", "request": {"q": "{{item.x}}"}}, ["endpoint.request.q"]),
        ({"url": "http://a", "request": "{{inputs.}}"}, ["endpoint.request"]),
        ({"url": "http://a", "method": "GET", "request": {"q": {"r": 1}}}, ["endpoint.request"]),
        ({"url": "http://a", "response": []}, ["endpoint.response"]),
        ({"url": "http://a", "response": {"format": "xml"}}, ["endpoint.response.format"]),
        ({"url": "http://a", "response": {"format": ["json"]}}, ["endpoint.response.format"]),
        ({"url": "http://a", "response": {"output": 1, "text": "x"}}, None),
        ({"url": "http://a", "response": {"output": {}}}, ["endpoint.response.output"]),
        ({"url": "http://a", "response": {"output": {"a": 1}}}, ["endpoint.response.output.a"]),
        ({"url": "http://a", "response": {"format": "text", "output": "x"}}, ["endpoint.response.output"]),
        ({"url": "http://a", "response": {"usage": {"tokens": "x"}}}, ["endpoint.response.usage.tokens"]),
        ({"url": "http://a", "timeout_seconds": 0}, ["endpoint.timeout_seconds"]),
        ({"url": "http://a", "timeout_seconds": True}, ["endpoint.timeout_seconds"]),
        ({"url": "http://a", "timeout_seconds": 10**400}, ["endpoint.timeout_seconds"]),
        ({"url": "http://a", "max_attempts": 1.5}, ["endpoint.max_attempts"]),
        ({"url": "http://a", "protocol": "agent", "request": {}}, ["endpoint.request"]),
    ],
)
def test_what_is_wrong_is_named_by_its_place(value: Any, wrong: list[str] | None) -> None:
    assert places(value) == (wrong or ["endpoint.response.text", "endpoint.response.output"])


@given(JSON)
def test_nothing_that_is_json_breaks_the_reader(value: Any) -> None:
    for each in (value, {"url": "http://a", "headers": value, "request": value, "response": value}):
        with contextlib.suppress(InvalidInput):
            read_endpoint(each)


def test_a_request_keeps_types_leaves_out_what_is_not_there_and_writes_text_into_text() -> None:
    request = {
        "q": "{{inputs.question}}",
        "n": "{{ inputs.n }}",
        "deep": ["{{inputs.node.input-text}}", "{{overrides}}"],
        "text": "Q: {{inputs.question}} ({{inputs.n}}) {{overrides}}",
        "past": "{{history}}",
        "first": "{{history.0.request}}",
        "gone": "{{overrides.k}}",
        "as it is": 1.5,
    }

    assert compose(request, CALL) == {
        "q": "why?",
        "n": 3,
        "deep": ["deep", None],
        "text": "Q: why? (3) ",
        "past": [{"request": "hi"}],
        "first": "hi",
        "as it is": 1.5,
    }
    assert compose(DEFAULT_REQUEST, CALL) == {"inputs": CALL.inputs, "history": CALL.history}
    assert compose("{{inputs}}", CALL) == CALL.inputs


def test_what_an_item_says_is_never_read_as_a_placeholder() -> None:
    call = ApplicationCall({"question": "{{history}} {{inputs.secret}}"})

    assert compose({"a": "{{inputs.question}}", "b": "-{{inputs.question}}"}, call) == {
        "a": "{{history}} {{inputs.secret}}",
        "b": "-{{history}} {{inputs.secret}}",
    }


def test_an_input_that_is_not_there_is_missing() -> None:
    with pytest.raises(MissingValue, match=r"inputs\.quest: the call's inputs have nothing there"):
        compose({"q": "{{inputs.quest}}"}, CALL)


def test_an_answer_is_read_by_its_paths() -> None:
    body = {"choices": [{"text": "A"}], "docs": ["d"], "usage": {"in": 3, "out": "many"}, "spans": [{"name": "s"}]}
    mapping = ResponseMapping("json", "choices.0.text", "docs", "spans", "usage.in", "usage.out")

    answer = map_answer(mapping, body)

    assert (answer.output, answer.extra_info, answer.spans) == ("A", ["d"], ({"name": "s"},))
    assert (answer.prompt_tokens, answer.completion_tokens) == (3, None)
    assert map_answer(ResponseMapping(output={"a": "docs.0", "b": "usage"}), body).output == {
        "a": "d",
        "b": body["usage"],
    }
    assert map_answer(ResponseMapping(), 7).output == 7


def test_an_answer_without_output_names_the_path_and_spans_of_another_kind_are_left() -> None:
    with pytest.raises(UnmappedAnswer, match=r"'a\.b'"):
        map_answer(ResponseMapping(output="a.b"), {"a": 1})
    with pytest.raises(UnmappedAnswer):
        map_answer(ResponseMapping("sse", "a"), [])
    answer = map_answer(ResponseMapping(output="a", spans="a"), {"a": [1]})
    assert (answer.spans, bool(answer.ignored)) == ((), True)


def test_of_events_texts_are_joined_and_else_the_last_counts() -> None:
    events = [{"t": "a", "x": 1}, "plain", {"t": None}, {"t": "b", "x": 2}]

    assert map_answer(ResponseMapping("sse", "t", "x"), events).output == "ab"
    assert map_answer(ResponseMapping("sse", "t", "x"), events).extra_info == 2
    assert map_answer(ResponseMapping("sse", "x"), events).output == 2
    assert map_answer(ResponseMapping("sse"), ["a", "b"]).output == "ab"
