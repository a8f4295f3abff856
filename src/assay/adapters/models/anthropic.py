"""Anthropic's Messages dialect: OpenAI's chat requests and answers translated both ways."""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from assay.adapters.models.anthropic_chunks import FINISH_REASONS, AnthropicChunks
from assay.adapters.models.chunks import ChunkReader, count
from assay.adapters.models.dialect import Untranslatable, join_url
from assay.ports.models import AnswerShape

DEFAULT_MAX_TOKENS = 4096

_SAME = ("temperature", "top_p", "top_k")
_TRANSLATED = frozenset(
    {"messages", "max_tokens", "max_completion_tokens", "stop", "tools", "tool_choice", "parallel_tool_calls", "user"}
)
_WITHOUT_EFFECT = {
    "n": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "store": (False,),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    "seed": (),
    "logit_bias": ({},),
    "prediction": (),
    "audio": (),
    "metadata": ({},),
    "function_call": (),
    "functions": ([],),
    "reasoning_effort": (),
}
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)


class AnthropicDialect:
    """Messages, at `/v1/messages` of the base URL (a base that ends in `/v1` is taken as it is).

    What OpenAI's chat can ask and Messages cannot (a seed, penalties, log probabilities, several answers) is
    refused rather than dropped: the answers would not be what the evaluation says they are. Keys that
    OpenAI's chat does not know are passed on, so Anthropic's own can be used.
    """

    def headers(self, key: str | None) -> dict[str, str]:
        return {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}

    def url(self, base_url: str, path: str) -> str:
        based = base_url.partition("?")[0].rstrip("/").endswith("/v1")
        return join_url(base_url, path.removeprefix("/v1") if based else path)

    def chat_path(self) -> str:
        return "/v1/messages"

    def infer_path(self, args: Mapping[str, Any]) -> str:
        return "/v1/messages"

    def chat_body(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        unsaid = [
            key
            for key, neutral in _WITHOUT_EFFECT.items()
            if key in request and not any(request[key] == value for value in neutral)
        ]
        if unsaid:
            raise Untranslatable(f"Anthropic's Messages API has no equivalent of: {', '.join(unsaid)}")
        system, messages = _messages(request["messages"])
        body: dict[str, Any] = {
            "model": name,
            "max_tokens": request.get("max_completion_tokens") or request.get("max_tokens") or DEFAULT_MAX_TOKENS,
            "messages": messages,
        }
        if system:
            body["system"] = system
        body.update({key: request[key] for key in _SAME if key in request})
        if "stop" in request:
            body["stop_sequences"] = [request["stop"]] if isinstance(request["stop"], str) else request["stop"]
        if "user" in request:
            body["metadata"] = {"user_id": request["user"]}
        if request.get("tools"):
            body["tools"] = [_tool(tool) for tool in request["tools"]]
        choice = _tool_choice(request)
        if choice is not None:
            body["tool_choice"] = choice
        known = _TRANSLATED | _WITHOUT_EFFECT.keys()
        body.update({key: value for key, value in request.items() if key not in known and key not in body})
        return body

    def chat_reply(self, body: Any) -> Any:
        blocks = body.get("content") if isinstance(body, dict) else None
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            return body
        texts = [
            block["text"] for block in blocks if block.get("type") == "text" and isinstance(block.get("text"), str)
        ]
        calls = [_tool_call(block) for block in blocks if block.get("type") == "tool_use"]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
        if calls:
            message["tool_calls"] = calls
        prompt, completion = self.tokens(body)
        return {
            "id": body.get("id"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body.get("model"),
            "choices": [
                {
                    "index": 0,
                    "finish_reason": FINISH_REASONS.get(str(body.get("stop_reason")), "stop"),
                    "message": message,
                }
            ],
            "usage": {
                "prompt_tokens": prompt or 0,
                "completion_tokens": completion or 0,
                "total_tokens": (prompt or 0) + (completion or 0),
            },
        }

    def held_body(self, name: str, request: Mapping[str, Any], shape: AnswerShape) -> dict[str, Any]:
        if shape.schema.get("type") != "object":
            raise Untranslatable("a tool's input is an object")
        function = {"name": shape.name, "description": "Gives the answer.", "parameters": shape.schema}
        tools = [{"type": "function", "function": function}]
        choice = {"type": "function", "function": {"name": shape.name}}
        return self.chat_body(name, {**request, "tools": tools, "tool_choice": choice})

    def held_reply(self, body: Any) -> Any:
        reply = self.chat_reply(body)
        if reply is not body:
            choice = reply["choices"][0]
            calls = choice["message"].pop("tool_calls", None)
            if calls:
                choice["message"]["content"] = calls[0]["function"]["arguments"]
                choice["finish_reason"] = "stop" if choice["finish_reason"] == "tool_calls" else choice["finish_reason"]
        return reply

    def stream_body(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        said = {key: value for key, value in request.items() if key != "stream_options"}
        return {**self.chat_body(name, said), "stream": True}

    def chat_chunks(self, request: Mapping[str, Any]) -> ChunkReader:
        options = request.get("stream_options")
        return AnthropicChunks(with_usage=bool(isinstance(options, dict) and options.get("include_usage")))

    def completion_path(self) -> str:
        raise Untranslatable("Anthropic's Messages API has no completions of a prompt; ask for a chat")

    def models_path(self) -> str:
        return "/v1/models"

    def tokens(self, body: Any) -> tuple[int | None, int | None]:
        usage = body.get("usage") if isinstance(body, dict) else None
        prompt = count(usage, "input_tokens")
        if prompt is not None:
            prompt += count(usage, "cache_creation_input_tokens") or 0
            prompt += count(usage, "cache_read_input_tokens") or 0
        return prompt, count(usage, "output_tokens")


def _messages(given: Any) -> tuple[str, list[dict[str, Any]]]:
    """The system text (system and developer messages joined by blank lines) and the rest in turn."""
    system: list[str] = []
    messages: list[dict[str, Any]] = []
    for message in given:
        role, content = message["role"], message.get("content")
        if role in ("system", "developer"):
            system.append(_text(content))
        elif role == "tool":
            block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": _text(content)}
            previous = messages[-1] if messages else None
            if previous is not None and previous["role"] == "user" and _is_tool_results(previous["content"]):
                previous["content"].append(block)
            else:
                messages.append({"role": "user", "content": [block]})
        elif role == "assistant" and message.get("tool_calls"):
            blocks = [{"type": "text", "text": text}] if (text := _text(content)) else []
            blocks.extend(_tool_use(call) for call in message["tool_calls"])
            messages.append({"role": "assistant", "content": blocks})
        elif role in ("user", "assistant"):
            messages.append({"role": role, "content": content if isinstance(content, str) else list(_parts(content))})
        else:
            raise Untranslatable(f"Anthropic's Messages API has no role {role!r}")
    return "\n\n".join(text for text in system if text), messages


def _is_tool_results(content: Any) -> bool:
    return isinstance(content, list) and all(block.get("type") == "tool_result" for block in content)


def _text(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    parts = [part.get("text") if isinstance(part, dict) else None for part in content]
    if not all(isinstance(part, str) for part in parts):
        raise Untranslatable("system and tool messages can only hold text")
    return "".join(part for part in parts if part is not None)


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    for part in content or []:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "image_url":
            image = part.get("image_url")
            url = str(image.get("url") if isinstance(image, dict) else image)
            inline = _DATA_URL.fullmatch(url)
            source = (
                {"type": "base64", "media_type": inline[1], "data": inline[2]}
                if inline
                else {"type": "url", "url": url}
            )
            yield {"type": "image", "source": source}
        elif kind in ("input_audio", "file"):
            raise Untranslatable(f"content of type {kind!r} cannot be sent to Anthropic")
        else:
            yield part


def _tool(tool: Any) -> dict[str, Any]:
    if not isinstance(tool, dict) or tool.get("type") != "function" or not isinstance(tool.get("function"), dict):
        return dict(tool)
    function = tool["function"]
    translated = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    if function.get("description"):
        translated["description"] = function["description"]
    return translated


def _tool_choice(request: Mapping[str, Any]) -> dict[str, Any] | None:
    choice = request.get("tool_choice")
    words = {"auto": "auto", "required": "any", "none": "none"}
    translated: dict[str, Any] | None = None
    if isinstance(choice, str):
        if choice not in words:
            raise Untranslatable(f"Anthropic's Messages API has no tool_choice {choice!r}")
        translated = {"type": words[choice]}
    elif isinstance(choice, dict):
        function = choice.get("function")
        translated = {"type": "tool", "name": function.get("name")} if isinstance(function, dict) else dict(choice)
    if request.get("parallel_tool_calls") is False and request.get("tools"):
        translated = {**(translated or {"type": "auto"}), "disable_parallel_tool_use": True}
    return translated


def _tool_use(call: Any) -> dict[str, Any]:
    try:
        function = call["function"]
        arguments = orjson.loads(function.get("arguments") or "{}")
        return {"type": "tool_use", "id": call.get("id"), "name": function["name"], "input": arguments}
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
        raise Untranslatable("a message's tool_calls are not OpenAI's") from error


def _tool_call(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = orjson.dumps(block.get("input") or {}).decode()
    return {"id": block.get("id"), "type": "function", "function": {"name": block.get("name"), "arguments": arguments}}
