"""Answers as bytes: values that our own database gave go through orjson and are not validated again."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import Response

from assay.core.identity import Identity

_OPTIONS = orjson.OPT_UTC_Z


def timestamp(moment: datetime) -> str:
    """ISO-8601 with a Z, as orjson writes the datetimes inside an answer."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, (tuple, set, frozenset)):
        return list(value)
    return str(value)


def to_json(value: Any) -> bytes:
    """The JSON bytes of a value; datetimes (aware UTC) become ISO-8601 with a Z.

    What orjson refuses (integers over 64 bits, lone surrogates, nesting over 254 levels, all of which a task's
    result may hold) goes through the standard library, so that a strange result never breaks a page.
    """
    try:
        return orjson.dumps(value, default=_plain, option=_OPTIONS)
    except TypeError:
        return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":")).encode()


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(to_json(value), status, dict(headers or {}), media_type="application/json")


def page_response(items: Sequence[Any], *, total: int, has_more: bool, limit: int) -> Response:
    """A page in its envelope: `{object, items, total, has_more, limit}`."""
    return json_response({"object": "list", "items": items, "total": total, "has_more": has_more, "limit": limit})


def render_identity(identity: Identity) -> dict[str, str]:
    """An identity as `created_by` shows it."""
    return {"id": identity.id, "type": identity.type, "object": "identity"}
