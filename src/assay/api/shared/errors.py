"""From errors to answers: a status and `{"detail": ...}`, where detail is text or a list of problems."""

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from assay.api.shared.rendering import json_response
from assay.core.errors import (
    ApplicationFailed,
    AssayError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotConfigured,
    NotFound,
    NotOffered,
    Problem,
    RuleViolation,
    TooLarge,
    Unauthenticated,
    Unavailable,
    VendorFailed,
)

STATUS_OF: dict[type[AssayError], int] = {
    InvalidInput: 422,
    RuleViolation: 400,
    Conflict: 409,
    NotFound: 404,
    Unauthenticated: 401,
    Forbidden: 403,
    TooLarge: 413,
    NotOffered: 501,
    Unavailable: 503,
    NotConfigured: 400,
    ApplicationFailed: 502,
}

NEVER_RETRY = frozenset({409, 501})
"""Statuses that clients repeat unless told not to, though the answer will not change."""

_HEADERS = {413: {"connection": "close"}, 503: {"retry-after": "1"}}
# After a 413 the rest of the body is still on its way; closing spares the server from reading it.

_UNREPEATED = {"x-should-retry": "false"}

MAX_PROBLEMS = 50
MAX_SHOWN_INPUT = 200


class ProblemBody(BaseModel):
    """One thing wrong with a request: where it is (`loc`), what it is (`type`, a stable word) and in words."""

    model_config = ConfigDict(extra="forbid")

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class ErrorBody(BaseModel):
    """Every error's body. `code` is a stable word for the kind of error."""

    detail: str | list[ProblemBody]
    code: str = Field(examples=["not_found"])


ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorBody, "description": "The request is well formed but the present state forbids it."},
    401: {"model": ErrorBody, "description": "No API key, an unknown one or a revoked one."},
    403: {"model": ErrorBody, "description": "The key has no access to the account."},
    404: {"model": ErrorBody, "description": "No such thing in this account."},
    413: {"model": ErrorBody, "description": "The body is over the server's limit."},
    422: {"model": ErrorBody, "description": "Malformed; `detail` lists what is wrong and where."},
    501: {"model": ErrorBody, "description": "A part of the API that Assay leaves out."},
    503: {"model": ErrorBody, "description": "Cannot be done now; trying again may work."},
}
"""What every route may answer, for the document: `APIRouter(responses=ERROR_RESPONSES)`."""

CONFLICT_RESPONSES: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorBody, "description": "Something else has this name or id already."},
}

VENDOR_RESPONSES: dict[int | str, dict[str, Any]] = {
    429: {"model": ErrorBody, "description": "The vendor of the model has had too many calls; see retry-after."},
    502: {"model": ErrorBody, "description": "The vendor of the model cannot be reached or gave no answer of use."},
    504: {"model": ErrorBody, "description": "The vendor of the model took too long."},
}
"""What routes that call models may answer besides; a vendor's other 4xx and 5xx come through as they are."""


def error_response(status: int, code: str, detail: Any, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the envelope that all errors share."""
    merged = dict(headers or {})
    if status in NEVER_RETRY:
        merged["x-should-retry"] = "false"
    if status == 413:
        merged["connection"] = "close"  # the rest of the body is not read
    return json_response({"detail": detail, "code": code}, status, merged)


def status_of(error: AssayError) -> int:
    """The HTTP status of an error: that of its nearest ancestor with one, or what a vendor's failure comes to."""
    if isinstance(error, VendorFailed):
        return _status_of_vendor(error)
    return next((STATUS_OF[kind] for kind in type(error).__mro__ if kind in STATUS_OF), 500)


def _status_of_vendor(error: VendorFailed) -> int:
    """The vendor's own status, but 400 where it refuses the server's key: a 401 would say that the caller's key to
    this server is wrong. 504 when it took too long, 502 when what it gave is no answer."""
    if error.timed_out:
        return 504
    if error.status in (401, 403) and not error.own_key:
        return 400
    return error.status if error.status is not None and 400 <= error.status < 600 else 502


def _headers_of_vendor(error: VendorFailed) -> dict[str, str]:
    """When to try again, and whether it is worth it: clients repeat a 429 or 5xx unless they are told not to."""
    headers = {} if error.may_pass else {"x-should-retry": "false"}
    if error.retry_after is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after))
    return headers


def _shown(value: Any) -> Any:
    """An input short enough to be shown back, else None: errors must not echo megabytes."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and len(value) <= MAX_SHOWN_INPUT:
        return value
    return None


def _problem(problem: Problem) -> dict[str, Any]:
    return {"type": problem.type, "loc": problem.loc, "msg": problem.message, "input": _shown(problem.input)}


def response_to(error: AssayError) -> Response:
    """The answer that an error of ours becomes."""
    status = status_of(error)
    if isinstance(error, InvalidInput):
        return error_response(status, error.code, [_problem(each) for each in error.problems[:MAX_PROBLEMS]])
    headers = _UNREPEATED if isinstance(error, ApplicationFailed) else _HEADERS.get(status)
    if isinstance(error, VendorFailed):
        headers = _headers_of_vendor(error)
    return error_response(status, error.code, error.message, headers)


async def _on_assay_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, AssayError)
    return response_to(error)


async def _on_invalid_parameters(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problems = [
        Problem(tuple(fault["loc"]), fault["msg"], fault["type"], fault.get("input"))
        for fault in error.errors()[:MAX_PROBLEMS]
    ]
    return response_to(InvalidInput(problems))


def _allowed_methods(request: Request) -> set[str]:
    """The methods of every route with the request's path; the framework names only the first route's."""
    allowed: set[str] = set()
    for route in request.app.router.routes:
        if route.matches(request.scope)[0] is Match.PARTIAL:
            allowed |= getattr(route, "methods", None) or set()
    return allowed


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.scope['path'][:MAX_SHOWN_INPUT]}"
    if error.status_code == 404:
        return error_response(404, "not_found", f"there is no such path: {where}")
    if error.status_code == 405:
        allowed = ", ".join(sorted(_allowed_methods(request)))
        return error_response(405, "method_not_allowed", f"not allowed here: {where}", {"allow": allowed})
    return error_response(error.status_code, "http_error", str(error.detail), error.headers)


def install_error_responses(app: FastAPI) -> None:
    """Make the application answer every known error in our envelope."""
    app.add_exception_handler(AssayError, _on_assay_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)
    app.add_exception_handler(HTTPException, _on_http_error)
