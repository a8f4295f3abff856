"""What a vendor's records of a stream mean: the readers that turn them into chunks, one reader a stream."""

from collections.abc import Sequence
from typing import Any, Protocol

import orjson

LARGEST_COUNT = 2**53
"""Larger counts of tokens are no counts."""

_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class StreamError(Exception):
    """The vendor ended a stream with an error. `status` is the HTTP status that it would have been, if it says."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class ChunkReader(Protocol):
    """Reads one stream. `is_complete`: the answer's end was seen; `is_over`: nothing comes after it; tokens as they
    were said so far."""

    is_complete: bool
    is_over: bool
    prompt_tokens: int | None
    completion_tokens: int | None

    def read(self, data: bytes) -> Sequence[Any]:
        """The chunks that a record makes. Raises StreamError for one that is an error or cannot be read."""
        ...


class OpenAIChunks:
    """Chunks of chats and completions, which are handed on as they are."""

    def __init__(self) -> None:
        self.is_complete = False
        self.is_over = False
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    def read(self, data: bytes) -> Sequence[Any]:
        """The record's chunk; none for the sentinel at the end."""
        if data.strip() == b"[DONE]":
            self.is_complete = self.is_over = True
            return ()
        chunk = parsed(data)
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        if not isinstance(choices, list):
            raise said_error(chunk)
        if any(isinstance(choice, dict) and choice.get("finish_reason") for choice in choices):
            self.is_complete = True
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.prompt_tokens = count(usage, "prompt_tokens")
            self.completion_tokens = count(usage, "completion_tokens")
        return (chunk,)


class RawRecords:
    """A vendor's own records as they are; only the sentinel at the end is left out. Whatever ends the connection
    properly ends the answer."""

    def __init__(self) -> None:
        self.is_complete = True
        self.is_over = False
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None

    def read(self, data: bytes) -> Sequence[Any]:
        """The record's value."""
        if data.strip() == b"[DONE]":
            self.is_over = True
            return ()
        return (parsed(data),)


def parsed(data: bytes) -> Any:
    """A record's JSON value. Raises StreamError, which does not show it."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise StreamError("a record of the stream is not JSON") from error


def said_error(record: Any) -> StreamError:
    """The error that a record is, in whichever of the vendors' shapes."""
    error = record.get("error") if isinstance(record, dict) else None
    if isinstance(error, str):
        return StreamError(error)
    if not isinstance(error, dict):
        return StreamError("a record of the stream is neither a chunk nor an error")
    said = error.get("message")
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else _STATUSES.get(str(error.get("type")))
    return StreamError(said if isinstance(said, str) else "the vendor ended the stream with an error", status)


def count(usage: Any, key: str) -> int | None:
    """A token count out of a usage object; None when it is missing or no count (or one that no database holds)."""
    value = usage.get(key) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT else None
