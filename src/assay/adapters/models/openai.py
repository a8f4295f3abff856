"""OpenAI's dialect, which vLLM, Ollama, llama.cpp, LiteLLM and most vendors speak too."""

from collections.abc import Mapping
from typing import Any

from assay.adapters.models.chunks import ChunkReader, OpenAIChunks, count
from assay.adapters.models.dialect import join_url
from assay.ports.models import AnswerShape


class OpenAIDialect:
    """Chat completions as they are; raw bodies go by their keys.

    A raw body with `messages` is posted to `/chat/completions`, with `prompt` to `/completions`, with
    `input` to `/embeddings`, and any other to the base URL itself.
    """

    def headers(self, key: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if key else {}

    def url(self, base_url: str, path: str) -> str:
        return join_url(base_url, path)

    def chat_path(self) -> str:
        return "/chat/completions"

    def chat_body(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"model": name, **request}

    def chat_reply(self, body: Any) -> Any:
        return body

    def held_body(self, name: str, request: Mapping[str, Any], shape: AnswerShape) -> dict[str, Any]:
        schema: dict[str, Any] = {"name": shape.name, "schema": shape.schema}
        if shape.strict is not None:
            schema["strict"] = shape.strict
        return {"model": name, **request, "response_format": {"type": "json_schema", "json_schema": schema}}

    def held_reply(self, body: Any) -> Any:
        return body

    def stream_body(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.chat_body(name, request), "stream": True}

    def chat_chunks(self, request: Mapping[str, Any]) -> ChunkReader:
        return OpenAIChunks()

    def completion_path(self) -> str:
        return "/completions"

    def models_path(self) -> str:
        return "/models"

    def infer_path(self, args: Mapping[str, Any]) -> str:
        if "messages" in args:
            return "/chat/completions"
        if "prompt" in args:
            return "/completions"
        return "/embeddings" if "input" in args else ""

    def tokens(self, body: Any) -> tuple[int | None, int | None]:
        usage = body.get("usage") if isinstance(body, dict) else None
        return count(usage, "prompt_tokens"), count(usage, "completion_tokens")
