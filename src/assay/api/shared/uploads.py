"""Reading an uploaded file: one part of a multipart body, bounded, without a copy of its bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from fastapi import Request

from assay.api.shared.bodies import read_bytes
from assay.api.shared.services import settings_of
from assay.core.errors import InvalidInput, TooLarge

OVERHEAD = 64 * 1024
"""Bytes that a body may have beside the file itself."""
LONGEST_HEADERS = 16 * 1024
MOST_PARTS = 100

_BOUNDARY = re.compile(r"[ -~]{1,200}")
_PARAMETER = re.compile(r';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;]*)')
_ESCAPED = re.compile(r'\\(["\\])')
_CHARSETS = frozenset({"utf-8", "iso-8859-1"})
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

    def parameters(self) -> dict[str, str]:
        """The parameters of the part's Content-Disposition."""
        for line in self.headers.decode("utf-8", "replace").split("\r\n"):
            name, _, value = line.partition(":")
            if name.strip().lower() == "content-disposition":
                return _parameters(value)
        return {}


async def read_upload(request: Request, field: str) -> Upload:
    """The part of a multipart/form-data body named `field`; other parts are not looked at.

    Raises TooLarge for a file over the server's limit, InvalidInput for a body that is no such form, that is cut
    off, or that has the part not at all or twice.
    """
    boundary = _boundary(request.headers.get("content-type", ""))
    limit = settings_of(request).max_file_bytes
    refusal = TooLarge(f"the file is larger than this server's limit of {limit} bytes (setting max_file_bytes)")
    body = await read_bytes(request, limit + OVERHEAD, refusal)
    found = [part for part in _parts(body, boundary) if part.parameters().get("name") == field]
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
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        text = "must be multipart/form-data with a part named file"
        raise InvalidInput.at(("header", "content-type"), text, type="content_type")
    boundary = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise InvalidInput.at(("header", "content-type"), "multipart/form-data needs a boundary", type="missing")
    return b"--" + boundary.encode("ascii")


def _parameters(header: str) -> dict[str, str]:
    """A header's parameters by their names in lower case; of two with one name the first."""
    found: dict[str, str] = {}
    for name, value in _PARAMETER.findall(header):
        plain = _ESCAPED.sub(r"\1", value[1:-1]) if value[:1] == '"' and len(value) > 1 else value.strip()
        found.setdefault(name.lower(), plain)
    return found


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


def _filename(part: _Part) -> str | None:
    """The name as its sender meant it: forms write a double quote as %22, and line breaks as %0D and %0A."""
    given = part.parameters()
    charset, _, rest = given.get("filename*", "").partition("'")
    if charset.lower() in _CHARSETS:
        return unquote(rest.partition("'")[2], encoding=charset, errors="replace")
    if "filename" not in given:
        return None
    return _BREAKS.sub("", given["filename"]).replace("%22", '"')
