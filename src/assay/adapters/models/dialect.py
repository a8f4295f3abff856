"""What a wire dialect is: how a chat is written for a vendor and how its answer reads in OpenAI's shape."""

from collections.abc import Mapping
from typing import Any, Protocol

from assay.adapters.models.chunks import ChunkReader
from assay.ports.models import AnswerShape


class Untranslatable(Exception):
    """The request asks for what the vendor's wire cannot say; the message names it, for the user."""


class Dialect(Protocol):
    """A vendor's way of speaking. Stateless. Paths are relative to the vendor's base URL."""

    def headers(self, key: str | None) -> dict[str, str]:
        """The headers that carry the key and the dialect's own marks."""
        ...

    def url(self, base_url: str, path: str) -> str:
        """The address of a path under a base URL; the base's query is kept."""
        ...

    def chat_path(self) -> str:
        """Where chats go."""
        ...

    def chat_body(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """OpenAI's chat body in the vendor's words. Raises Untranslatable."""
        ...

    def chat_reply(self, body: Any) -> Any:
        """The vendor's answer in OpenAI's shape; as it is when it is not what the vendor promises."""
        ...

    def held_body(self, name: str, request: Mapping[str, Any], shape: AnswerShape) -> dict[str, Any]:
        """The chat's body with the answer held to a shape. Raises Untranslatable where it cannot be."""
        ...

    def held_reply(self, body: Any) -> Any:
        """The answer to a `held_body` in OpenAI's shape, with the JSON as the assistant's text."""
        ...

    def stream_body(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a chat that is to be streamed; `request` may hold OpenAI's `stream_options`. Raises
        Untranslatable."""
        ...

    def chat_chunks(self, request: Mapping[str, Any]) -> ChunkReader:
        """What reads the stream of such a chat."""
        ...

    def completion_path(self) -> str:
        """Where completions go. Raises Untranslatable where there are none."""
        ...

    def models_path(self) -> str:
        """Where the vendor lists its models."""
        ...

    def infer_path(self, args: Mapping[str, Any]) -> str:
        """Where a raw body goes, judged by its keys."""
        ...

    def tokens(self, body: Any) -> tuple[int | None, int | None]:
        """Prompt and completion tokens that the vendor's answer counts; None where it does not say."""
        ...


def join_url(base_url: str, path: str) -> str:
    """A path appended to a base URL's own path, before its query."""
    base, mark, query = base_url.partition("?")
    return base.rstrip("/") + path + mark + query
