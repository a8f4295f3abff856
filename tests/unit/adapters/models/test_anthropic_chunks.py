"""Anthropic's events as OpenAI's chunks: what the scripted endpoint does not send."""

import json
from typing import Any

import pytest

from assay.adapters.models.anthropic import AnthropicDialect
from assay.adapters.models.anthropic_chunks import AnthropicChunks
from assay.adapters.models.chunks import StreamError

START = {"type": "message_start", "message": {"id": "m1", "model": "c", "usage": {"input_tokens": 5}}}


def read(*events: dict[str, Any], with_usage: bool = False) -> tuple[AnthropicChunks, list[Any]]:
    reader = AnthropicChunks(with_usage=with_usage)
    return reader, [chunk for event in events for chunk in reader.read(json.dumps(event).encode())]


def deltas(chunks: list[Any]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks]


def block(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": content}


def delta(index: int, **content: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": content}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def test_several_calls_of_tools_are_numbered_among_themselves() -> None:
    _, chunks = read(
        START,
        block(0, type="thinking", thinking=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="s"),
        stop(0),
        block(1, type="text", text="I "),
        delta(1, type="text_delta", text="look"),
        stop(1),
        block(2, type="tool_use", id="a", name="f", input={}),
        stop(2),
        block(3, type="tool_use", id="b", name="g", input={}),
        delta(3, type="input_json_delta", partial_json='{"q":'),
        delta(3, type="input_json_delta", partial_json="1}"),
        stop(3),
    )
    assert deltas(chunks) == [
        {"role": "assistant", "content": ""},
        {"content": "I "},
        {"content": "look"},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": '{"q":'}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "1}"}}]},
    ]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something new", "stop"),
    ],
)
def test_a_stream_ends_for_the_reason_that_a_whole_answer_says(reason: str, finish: str) -> None:
    _, chunks = read(START, {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 9}})
    whole = AnthropicDialect().chat_reply({"content": [], "stop_reason": reason})
    assert chunks[-1]["choices"][0]["finish_reason"] == finish == whole["choices"][0]["finish_reason"]


def test_tokens_read_from_a_cache_count_and_the_usage_is_a_chunk_only_when_asked_for() -> None:
    start = {**START, "message": {"id": "m", "usage": {"input_tokens": 5, "cache_read_input_tokens": 7}}}
    end = [{"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}}, {"type": "message_stop"}]
    reader, chunks = read(start, *end)
    assert (reader.prompt_tokens, reader.completion_tokens, len(chunks)) == (12, 3, 1)
    assert reader.is_over
    _, chunks = read(start, *end, with_usage=True)
    assert chunks[-1]["usage"] == {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def test_a_stream_is_complete_at_its_own_end_only() -> None:
    reader, _ = read(START, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    assert not reader.is_complete


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, 529),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}, 429),
        ({"type": "error", "error": {"type": "new_error"}}, None),
        ({"type": "error"}, None),
        ({"no": "type"}, None),
    ],
)
def test_an_error_has_the_status_that_it_would_have_been(event: dict[str, Any], status: int | None) -> None:
    with pytest.raises(StreamError) as caught:
        read(event)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start", "message": None},
        {"type": "content_block_start", "index": [], "content_block": {"type": "tool_use", "name": {}}},
        {"type": "content_block_delta", "index": {}, "delta": "x"},
        {"type": "content_block_delta", "index": 7, "delta": {"type": "input_json_delta", "partial_json": "{"}},
        {"type": "content_block_stop"},
        {"type": "message_delta", "usage": 5},
        {"type": "something_new", "x": 1},
    ],
)
def test_odd_events_break_nothing(event: dict[str, Any]) -> None:
    read(START, event)
