"""Reading request bodies: bounded, strict JSON, and clear about what is wrong with a bad one.

A body is read once into one buffer and parsed once; rows are never copied or validated a second time.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import msgspec
import orjson
from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from assay.api.shared.services import settings_of
from assay.core.errors import InvalidInput, Problem, TooLarge

Loc = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_LONG_DIGITS = re.compile(rb"[0-9]{19}")
_LONG_INTEGER = re.compile(rb"(?:^|[\[:,\s])-?[0-9]{19,}(?=[\s,\]}]|$)")
_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)
_NUL_ESCAPE = b"\\u0000"


class BodyModel(BaseModel):
    """The base of request bodies: no coercion between types; unknown keys are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


class JsonBody(Generic[Model]):
    """A dependency that reads the body, parses it and validates it: `body: Annotated[M, Depends(JsonBody(M))]`.

    With `wrapper` the object may also come wrapped, as in `{"evaluation": {...}}`; with `optional` no body at all is
    an empty object. The document takes the body's schema from `model`.
    """

    def __init__(self, model: type[Model], *, wrapper: str | None = None, optional: bool = False) -> None:
        self.model = model
        self.wrapper = wrapper
        self.when_empty = b"{}" if optional else b""

    @property
    def schema(self) -> dict[str, Any]:
        """The body's schema, for the document; see `api.shared.document.PLACEHOLDER`."""
        return {"x-assay-ref": self.model.__name__}

    async def __call__(self, request: Request) -> Model:
        """The validated body. Raises TooLarge and InvalidInput."""
        body = await read_json_object(request, when_empty=self.when_empty)
        if self.wrapper is not None and isinstance(inner := body.get(self.wrapper), dict) and "name" not in body:
            body = inner
        return validate(self.model, body)


class JsonArray(Generic[Model]):
    """A dependency that reads a bare array: `body: Annotated[list[M], Depends(JsonArray(M))]`.

    More than `most` items are refused. Each item goes through `prepared` before it is validated.
    """

    def __init__(self, model: type[Model], *, most: int) -> None:
        self.model = model
        self.most = most

    @property
    def schema(self) -> dict[str, Any]:
        """The body's schema, for the document."""
        return {"type": "array", "items": {"x-assay-ref": self.model.__name__}, "maxItems": self.most}

    def prepared(self, item: Any) -> Any:
        """An item as it is to be validated."""
        return item

    async def __call__(self, request: Request) -> list[Model]:
        """The validated items. Raises TooLarge, and InvalidInput with the index of the item that is wrong."""
        value = await read_json(request)
        if not isinstance(value, list):
            raise InvalidInput.at(("body",), f"must be a JSON array, not {kind_of(value)}", type="list_type")
        if len(value) > self.most:
            raise InvalidInput.at(("body",), f"at most {self.most} items, not {len(value)}", type="too_long")
        return [validate(self.model, self.prepared(each), ("body", index)) for index, each in enumerate(value)]


def validate(model: type[Model], value: Any, loc: Loc = ("body",)) -> Model:
    """`value` as a model; its faults become an InvalidInput with their places under `loc`."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        raise InvalidInput(
            [
                Problem(
                    (*loc, *fault["loc"]), fault["msg"].removeprefix("Value error, "), fault["type"], fault["input"]
                )
                for fault in faults
            ]
        ) from None


async def read_json(request: Request, *, when_empty: bytes = b"") -> Any:
    """The request's body as a JSON value; `when_empty` stands for an empty one. Raises TooLarge over the
    server's limit, InvalidInput for what `parse_json` refuses."""
    settings = settings_of(request)
    limit = settings.max_body_bytes
    refusal = TooLarge(f"the body is larger than this server's limit of {limit} bytes (setting max_body_bytes)")
    body = await read_bytes(request, limit, refusal)
    return parse_json(body or when_empty, settings.max_json_depth)


async def read_json_object(request: Request, *, when_empty: bytes = b"") -> dict[str, Any]:
    """The request's body as a JSON object. Raises TooLarge over the server's limit, InvalidInput otherwise."""
    value = await read_json(request, when_empty=when_empty)
    if not isinstance(value, dict):
        raise InvalidInput.at(("body",), f"must be a JSON object, not {kind_of(value)}", type="dict_type")
    return value


async def read_bytes(request: Request, limit: int, refusal: TooLarge) -> bytearray:
    """The body's bytes, at most `limit` of them, however they are sent. Raises `refusal` for more.

    A body that is too large is drained for a while, so that a client that is still sending reads the answer
    instead of a reset connection; one that asks first (`Expect: 100-continue`) is refused at once.
    """
    declared = request.headers.get("content-length", "")
    too_large = declared.isascii() and declared.isdigit() and int(declared[:20]) > limit
    if too_large and "expect" in request.headers:
        raise refusal
    body = bytearray()
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            too_large = True
            body = bytearray()
        if too_large:
            if received > 2 * limit:
                break
        else:
            body += chunk
    if too_large:
        raise refusal
    return body


def parse_json(body: bytes | bytearray, max_depth: int) -> Any:
    """The JSON value of `body`. Raises InvalidInput for anything that cannot be kept exactly: invalid UTF-8 or
    JSON, NaN, numbers beyond 64 bits, NUL characters, lone surrogates, nesting deeper than `max_depth`."""
    if not body or body.isspace():
        raise InvalidInput.at(("body",), "the body is empty; a JSON object is needed", type="missing")
    try:
        # Accepts what orjson does, but builds the values directly: orjson's own tree of a large body, there at the
        # same time, is more than twice the body's size.
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        raise _unreadable(body, max_depth) from None
    if _deeper_than(value, max_depth):
        raise _too_deep(max_depth)
    if _NUL_ESCAPE in body:
        _refuse_nul(value)
    if _LONG_DIGITS.search(body) and _LONG_INTEGER.search(body):
        _refuse_long_integers(body)
    return value


def kind_of(value: Any) -> str:
    """A JSON value's kind in words, for messages."""
    names = {list: "a list", dict: "an object", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _too_deep(max_depth: int) -> InvalidInput:
    return InvalidInput.at(("body",), f"nested more than {max_depth} levels deep", type="too_deep")


def _unreadable(body: bytes | bytearray, max_depth: int) -> InvalidInput:
    """What is wrong with a body that cannot be parsed; orjson says it with a line and a column."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        error = fault
    else:
        return InvalidInput.at(("body",), "not valid JSON", type="json_invalid")
    try:
        text = body.decode()
    except UnicodeDecodeError as fault:
        return InvalidInput.at(("body",), f"not valid UTF-8 at byte {fault.start}", type="invalid_utf8")
    if error.msg.startswith("depth limit"):
        return _too_deep(max_depth)
    where = f"at line {error.lineno}, column {error.colno}"
    ahead = text[error.pos : error.pos + 9]
    for word in ("NaN", "Infinity", "-Infinity", "-NaN"):
        if ahead.startswith(word):
            return InvalidInput.at(("body",), f"{word} is not JSON ({where}); send null", type="not_finite")
    if "infinity" in error.msg:
        return InvalidInput.at(("body",), f"a number is too large for 64 bits ({where})", type="not_finite")
    reason = error.msg.split(": line ")[0]
    return InvalidInput.at(("body",), f"not valid JSON: {reason} ({where})", type="json_invalid")


def _deeper_than(value: Any, limit: int) -> bool:
    """Whether containers nest more than `limit` deep; walks level by level, so no depth can exhaust the stack."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        below: list[Any] = []
        for container in level:
            inner = container.values() if type(container) is dict else container
            below.extend([each for each in inner if type(each) is dict or type(each) is list])
        if not below:
            return False
        level = below
    return bool(level)


def _places(value: Any, wrong: Callable[[Any], bool], loc: Loc = ("body",)) -> Iterator[Loc]:
    """The places of the values and keys that are wrong."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if wrong(key):
                yield (*loc, key)
            yield from _places(inner, wrong, (*loc, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, wrong, (*loc, index))
    elif wrong(value):
        yield loc


def _refuse_nul(value: Any) -> None:
    place = next(_places(value, lambda each: type(each) is str and "\x00" in each), None)
    if place is not None:
        shown = tuple(part.replace("\x00", "\\u0000") if isinstance(part, str) else part for part in place)
        raise InvalidInput.at(shown, "text must not contain NUL characters (\\u0000)", type="nul_character")


class _TooLong:
    """Stands for an integer that has more than 64 bits."""


def _refuse_long_integers(body: bytes | bytearray) -> None:
    """orjson reads integers over 64 bits as floats, which would change them silently."""

    def read(digits: str) -> Any:
        if len(digits) > 20:
            return _TooLong()
        number = int(digits)
        return number if _SMALLEST <= number <= _LARGEST else _TooLong()

    value = json.loads(body, parse_int=read)
    place = next(_places(value, lambda each: type(each) is _TooLong), None)
    if place is not None:
        message = "an integer beyond 64 bits cannot be kept exactly; send it as text"
        raise InvalidInput.at(place, message, type="integer_too_large")
