"""The outermost layer of the API: request ids, the `/public` prefix, hostile paths and unexpected errors."""

import re
import traceback
from urllib.parse import parse_qsl

import structlog
import uuid_utils
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assay.api.shared.errors import error_response, response_to
from assay.core.errors import InvalidInput

PUBLIC_PREFIX = "/public"
REQUEST_ID_HEADER = "x-request-id"
_LINK_TOKEN = re.compile(r"(/exports/).+")
"""The token of an export's link opens the export for whoever reads it: never log it."""
_GOOD_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")

log = structlog.get_logger(__name__)


class Edge:
    """ASGI middleware around the whole application.

    `/public/...` answers as `/...` does, with the prefix as the root path, so that links keep it. A request
    id is taken from the request or made, and returned. An exception that nothing else caught becomes a JSON
    500 without internals; its traceback is logged without the exception's text, which may hold users' data.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of scope pass through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).append(REQUEST_ID_HEADER, request_id)
            await send(message)

        if (refused := _refused_for_nul(scope)) is not None:
            await response_to(refused)(scope, receive, send_with_id)
            return
        try:
            await self.app(_without_public_prefix(scope), receive, send_with_id)
        except ClientDisconnect:
            return
        except Exception as error:
            _log_unexpected(scope, request_id, error)
            if started:
                raise
            message = f"something went wrong inside the server; its log has more under request id {request_id}"
            await error_response(500, "internal_error", message)(scope, receive, send_with_id)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: str = value.decode("latin-1")
            if _GOOD_REQUEST_ID.fullmatch(given):
                return given
    return str(uuid_utils.uuid7())


def _refused_for_nul(scope: Scope) -> InvalidInput | None:
    """What to say to a path or a query with a NUL, which PostgreSQL cannot even compare with text."""
    message = "must not contain NUL characters"
    if "\x00" in scope["path"]:
        return InvalidInput.at(("path",), message, type="nul_character")
    query = scope["query_string"]
    if b"%00" in query or b"\x00" in query:
        for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if "\x00" in name or "\x00" in value:
                return InvalidInput.at(("query", name.replace("\x00", "%00")), message, type="nul_character")
    return None


def _without_public_prefix(scope: Scope) -> Scope:
    """The scope with `/public` counted to the root path (paths keep the root path, as ASGI has it)."""
    root = scope.get("root_path", "")
    if scope["path"].startswith(f"{root}{PUBLIC_PREFIX}/"):
        return {**scope, "root_path": root + PUBLIC_PREFIX}
    return scope


def _log_unexpected(scope: Scope, request_id: str, error: Exception) -> None:
    causes: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(causes) < 10:
        causes.append(type(cause).__qualname__)
        frames = cause.__traceback__
        cause = cause.__cause__ or cause.__context__
    log.error(
        "request_failed",
        method=scope["method"],
        path=_LINK_TOKEN.sub(r"\1...", scope["path"]),
        request_id=request_id,
        errors=causes,
        traceback="".join(traceback.format_tb(error.__traceback__)),
        innermost="".join(traceback.format_tb(frames)) if len(causes) > 1 else None,
    )
