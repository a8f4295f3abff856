"""What vendors stream, record by record: OpenAI's chunks of chats and completions, Anthropic's events of messages.

A text is streamed word by word. Each record is whole: its lines and the blank line at its end.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_PIECES = re.compile(r"\S+\s*|\s+")


def records(path: str, request: dict[str, Any], text: str, tool: str | None = None) -> list[bytes]:
    """The records that answer a request; a call of `tool` where one is named, else `text`."""
    if path.endswith("/messages"):
        return list(_messages(text, tool))
    usage = (request.get("stream_options") or {}).get("include_usage")
    if path.endswith("/chat/completions"):
        return list(_chat(text, tool, request.get("n") or 1, with_usage=bool(usage)))
    return list(_completion(text, with_usage=bool(usage)))


def error_record(path: str) -> bytes:
    """How a vendor says in the middle of a stream that it cannot go on."""
    if path.endswith("/messages"):
        return _event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    return _data({"error": {"message": "the model fell over", "type": "server_error", "code": None}})


def _data(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return b"event: " + value["type"].encode() + b"\n" + _data(value)


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


def _usage(text: str) -> dict[str, int]:
    return {"prompt_tokens": _tokens(text), "completion_tokens": _tokens(text), "total_tokens": 2 * _tokens(text)}


def _chat(text: str, tool: str | None, count: int, *, with_usage: bool) -> Iterator[bytes]:
    head = {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1700000000, "model": "fake"}
    extra = {"usage": None} if with_usage else {}

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**head, "choices": [choice], **extra})

    for index in range(count):
        yield chunk(index, {"role": "assistant", "content": None if tool else ""})
    if tool is None:
        for piece in _PIECES.findall(text):
            for index in range(count):
                yield chunk(index, {"content": piece})
    else:
        opening = {"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": ""}}
        yield chunk(0, {"tool_calls": [opening]})
        for part in ('{"q"', ':"x"}'):
            yield chunk(0, {"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    for index in range(count):
        yield chunk(index, {}, "tool_calls" if tool else "stop")
    if with_usage:
        yield _data({**head, "choices": [], "usage": _usage(text)})
    yield b"data: [DONE]\n\n"


def _completion(text: str, *, with_usage: bool) -> Iterator[bytes]:
    head = {"id": "cmpl-fake", "object": "text_completion", "created": 1700000000, "model": "fake"}
    for piece in _PIECES.findall(text):
        yield _data({**head, "choices": [{"index": 0, "text": piece, "logprobs": None, "finish_reason": None}]})
    yield _data({**head, "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]})
    if with_usage:
        yield _data({**head, "choices": [], "usage": _usage(text)})
    yield b"data: [DONE]\n\n"


def _messages(text: str, tool: str | None) -> Iterator[bytes]:
    message = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": "fake",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": _tokens(text), "output_tokens": 1},
    }
    yield _event({"type": "message_start", "message": message})
    yield _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    yield _event({"type": "ping"})
    for piece in _PIECES.findall("let me look" if tool else text):
        yield _event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})
    yield _event({"type": "content_block_stop", "index": 0})
    if tool is not None:
        block = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
        yield _event({"type": "content_block_start", "index": 1, "content_block": block})
        for part in ("", '{"q"', ':"x"}'):
            delta = {"type": "input_json_delta", "partial_json": part}
            yield _event({"type": "content_block_delta", "index": 1, "delta": delta})
        yield _event({"type": "content_block_stop", "index": 1})
    reason = {"stop_reason": "tool_use" if tool else "end_turn", "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": reason, "usage": {"output_tokens": _tokens(text)}})
    yield _event({"type": "message_stop"})
