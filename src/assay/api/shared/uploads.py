"""Reading an uploaded file: one part of a multipart body, bounded, without a copy of its bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message

from fastapi import Request

from assay.api.shared.bodies import read_bytes
from assay.api.shared.services import settings_of
from assay.core.errors import InvalidInput, TooLarge

OVERHEAD = 64 * 1024
"""Bytes that a body may have beside the file itself."""
LONGEST_HEADERS = 16 * 1024
MOST_PARTS = 100

_BOUNDARY = re.compile(r"[ -~]{1,200}")
_BREAKS = re.compile("%0[AaDd]")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent: the name that its sender gave it, if any, and its bytes."""

    filename: str | None
    content: bytearray


@dataclass(frozen=True, slots=True)
class _Part:
    headers: bytes
    start: int
    end: int

    def disposition(self) -> Message:
        """The part's Content-Disposition, with its parameters."""
        message = Message()
        for line in self.headers.decode("utf-8", "replace").split("\r\n"):
            name, _, value = line.partition(":")
            if name.strip().lower() == "content-disposition":
                message["content-disposition"] = value.strip()
                break
        return message


async def read_upload(request: Request, field: str) -> Upload:
    """The part of a multipart/form-data body named `field`; other parts are not looked at.

    Raises TooLarge for a file over the server's limit, InvalidInput for a body that is no such form, that is cut
    off, or that has the part not at all or twice.
    """
    boundary = _boundary(request.headers.get("content-type", ""))
    limit = settings_of(request).max_file_bytes
    refusal = TooLarge(f"the file is larger than this server's limit of {limit} bytes (setting max_file_bytes)")
    body = await read_bytes(request, limit + OVERHEAD, refusal)
    found = [part for part in _parts(body, boundary) if _name(part) == field]
    if not found:
        raise InvalidInput.at(("body", field), f"the form has no part named {field}", type="missing")
    if len(found) > 1:
        raise InvalidInput.at(("body", field), f"send one part named {field}, not {len(found)}", type="too_long")
    part = found[0]
    if part.end - part.start > limit:
        raise refusal
    del body[part.end :]
    del body[: part.start]
    return Upload(_filename(part), body)


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data":
        text = "must be multipart/form-data with a part named file"
        raise InvalidInput.at(("header", "content-type"), text, type="content_type")
    if not isinstance(boundary, str) or not _BOUNDARY.fullmatch(boundary):
        raise InvalidInput.at(("header", "content-type"), "multipart/form-data needs a boundary", type="missing")
    return b"--" + boundary.encode("ascii")


def _parts(body: bytearray, delimiter: bytes) -> Iterator[_Part]:
    """The parts, in order. Raises InvalidInput unless the body goes from delimiter to closing delimiter."""
    at = 0 if body.startswith(delimiter) else body.find(b"\r\n" + delimiter) + 2
    if at == 1:
        raise _broken("its boundary does not occur in it")
    at += len(delimiter)
    for _ in range(MOST_PARTS):
        if body[at : at + 2] == b"--":
            return
        line_end = body.find(b"\r\n", at, at + 100)
        if line_end < 0 or body[at:line_end].strip(b" \t"):
            raise _broken("a boundary is not followed by a line's end")
        headers_end = body.find(b"\r\n\r\n", line_end, line_end + LONGEST_HEADERS)
        if headers_end < 0:
            raise _broken("a part's headers do not end")
        start = headers_end + 4
        end = body.find(b"\r\n" + delimiter, start - 2)
        if end < 0:
            raise _broken("it is cut off: the closing boundary is missing")
        yield _Part(bytes(body[line_end:headers_end]), start, max(start, end))
        at = end + 2 + len(delimiter)
    raise _broken(f"it has more than {MOST_PARTS} parts")


def _broken(why: str) -> InvalidInput:
    return InvalidInput.at(("body",), f"not a multipart form: {why}", type="multipart_invalid")


def _name(part: _Part) -> str | None:
    name = part.disposition().get_param("name", header="content-disposition")
    return name if isinstance(name, str) else None


def _filename(part: _Part) -> str | None:
    """The name as its sender meant it: forms write a double quote as %22, and line breaks as %0D and %0A."""
    given = part.disposition().get_filename()
    return None if given is None else _BREAKS.sub("", given).replace("%22", '"')
