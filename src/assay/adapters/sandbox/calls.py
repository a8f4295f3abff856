"""A call on its way through a sandbox, and how answers, which are untrusted bytes, become returns."""

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from assay.core.results import ErrorType, TaskError
from assay.ports.sandbox import FunctionReturn

MAX_ARGUMENT_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
ERROR_TYPES = {1: ErrorType.FUNCTION_ERROR, 2: ErrorType.INVALID_OUTPUT}


class BadAnswer(Exception):
    """An answer that the sandbox's own program would not give: the function got at the channel."""


class Call:
    """One call that waits for its answer."""

    __slots__ = ("body", "future", "timeout")

    def __init__(self, body: bytes, timeout: float, future: "asyncio.Future[FunctionReturn]") -> None:
        self.body = body
        self.timeout = timeout
        self.future = future

    def settle(self, answer: FunctionReturn) -> None:
        """Give the answer, unless nobody waits any more."""
        if not self.future.done():
            self.future.set_result(answer)


def failed(error_type: ErrorType, message: str, seconds: float = 0.0) -> FunctionReturn:
    """A return that is an error."""
    return FunctionReturn(error=TaskError(error_type, message), seconds=seconds)


def timed_out(timeout: float, seconds: float = 0.0) -> FunctionReturn:
    """The return of a call that was stopped at its limit of time."""
    return failed(ErrorType.TIMEOUT, f"stopped after {timeout:g} seconds", seconds)


def encode_arguments(arguments: Mapping[str, Any]) -> bytes | FunctionReturn:
    """The arguments as JSON; an error where they are no JSON or too large."""
    try:
        body = orjson.dumps(arguments)
    except TypeError:  # whole numbers over 64 bits and half surrogates, which the standard library writes
        try:
            body = json.dumps(dict(arguments), allow_nan=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            return failed(ErrorType.INVALID_INPUT, f"the arguments are no JSON: {error}")
    if len(body) > MAX_ARGUMENT_BYTES:
        return failed(ErrorType.INVALID_INPUT, f"the arguments are {len(body)} bytes; at most {MAX_ARGUMENT_BYTES}")
    return body


def decode_answers(frame: bytes) -> list[FunctionReturn]:
    """The returns in a frame of answers. Raises BadAnswer."""
    try:
        answers = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise BadAnswer from None
    if type(answers) is not list:
        raise BadAnswer
    return [decode_answer(answer) for answer in answers]


def decode_answer(answer: Any) -> FunctionReturn:
    """One `[kind, payload, seconds]`. Raises BadAnswer."""
    if type(answer) is not list or len(answer) != 3:
        raise BadAnswer
    kind, payload, seconds = answer
    if type(seconds) is not float or not 0.0 <= seconds < math.inf or type(kind) is not int:
        raise BadAnswer
    if kind == 0:
        if type(payload) in {list, dict} and not _shallow(payload):
            raise BadAnswer
        return FunctionReturn(payload, None, seconds)
    if kind not in ERROR_TYPES or type(payload) is not str:
        raise BadAnswer
    return FunctionReturn(None, TaskError(ERROR_TYPES[kind], payload[:2000]), seconds)


def _shallow(value: Any) -> bool:
    """Whether no part of a decoded JSON value is nested deeper than values may be."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            inner
            for outer in level
            if type(outer) in {list, dict}
            for inner in (outer.values() if type(outer) is dict else outer)
        ]
        if not level:
            return True
    return False
