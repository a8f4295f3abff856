"""Anthropic's stream of events as OpenAI's chunks."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from assay.adapters.models.chunks import count, parsed, said_error

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""OpenAI's word for why an answer ended."""


class AnthropicChunks:
    """Reads one stream of Messages events: text, calls of tools, the end and, when it is asked for, the usage.
    What a chat's message has no place for (thinking, signatures, citations) is passed over, as in a whole answer."""

    def __init__(self, *, with_usage: bool) -> None:
        self.is_complete = False
        self.is_over = False
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self._with_usage = with_usage
        self._head: dict[str, Any] = {"id": None, "object": "chat.completion.chunk", "created": 0, "model": None}
        self._tools: dict[int, int] = {}
        self._unargued: dict[int, Any] = {}

    def read(self, data: bytes) -> Sequence[Any]:
        """The chunks of an event, often none."""
        event = parsed(data)
        kind = event.get("type") if isinstance(event, dict) else None
        if kind == "error" or not isinstance(kind, str):
            raise said_error(event)
        if kind == "message_start":
            return [self._begin(_object(event, "message"))]
        if kind == "content_block_start":
            return list(self._block(_index(event), _object(event, "content_block")))
        if kind == "content_block_delta":
            return list(self._delta(_index(event), _object(event, "delta")))
        if kind == "content_block_stop":
            return list(self._block_end(_index(event)))
        if kind == "message_delta":
            self._count(event.get("usage"))
            reason = _object(event, "delta").get("stop_reason")
            return [self._chunk({}, FINISH_REASONS.get(str(reason), "stop"))] if reason else ()
        if kind == "message_stop":
            self.is_complete = self.is_over = True
            return [self._usage()] if self._with_usage else ()
        return ()

    def _begin(self, message: dict[str, Any]) -> dict[str, Any]:
        self._head.update(id=message.get("id"), model=message.get("model"), created=int(time.time()))
        self._count(message.get("usage"))
        return self._chunk({"role": "assistant", "content": ""})

    def _block(self, index: int, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if block.get("type") == "tool_use":
            position = self._tools[index] = len(self._tools)
            self._unargued[index] = block.get("input") or {}
            function = {"name": block.get("name"), "arguments": ""}
            call = {"index": position, "id": block.get("id"), "type": "function", "function": function}
            yield self._chunk({"tool_calls": [call]})
        elif block.get("type") == "text" and block.get("text"):
            yield self._chunk({"content": block["text"]})

    def _delta(self, index: int, delta: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if delta.get("type") == "text_delta":
            yield self._chunk({"content": delta.get("text")})
        elif delta.get("type") == "input_json_delta" and index in self._tools and delta.get("partial_json"):
            self._unargued.pop(index, None)
            yield self._arguments(index, delta["partial_json"])

    def _block_end(self, index: int) -> Iterator[dict[str, Any]]:
        """A tool that takes nothing was sent no arguments: they are an empty object, as in a whole answer."""
        if index in self._unargued:
            yield self._arguments(index, orjson.dumps(self._unargued.pop(index)).decode())

    def _arguments(self, index: int, text: str) -> dict[str, Any]:
        return self._chunk({"tool_calls": [{"index": self._tools[index], "function": {"arguments": text}}]})

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}

    def _count(self, usage: Any) -> None:
        prompt = count(usage, "input_tokens")
        if prompt is not None:
            cached = (count(usage, f"cache_{word}_input_tokens") or 0 for word in ("creation", "read"))
            self.prompt_tokens = prompt + sum(cached)
        completion = count(usage, "output_tokens")
        if completion is not None:
            self.completion_tokens = completion

    def _usage(self) -> dict[str, Any]:
        prompt, completion = self.prompt_tokens or 0, self.completion_tokens or 0
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        return {**self._head, "choices": [], "usage": usage}


def _object(event: dict[str, Any], key: str) -> dict[str, Any]:
    found = event.get(key)
    return found if isinstance(found, dict) else {}


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0
