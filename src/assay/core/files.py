"""Uploaded files: what is known of one, what its bytes are, and a name that is safe to hand out."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from assay.core.identity import Identity

PIECE_BYTES = 1024 * 1024
"""Files are stored and sent in pieces of this size."""
LONGEST_FILENAME = 255
UNNAMED = "upload"
OCTETS = "application/octet-stream"

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"%PDF-", "application/pdf"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (0, b"\x00\x00\x01\x00", "image/x-icon"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
)
_RIFF = frozenset({"image/webp", "audio/wav", "video/x-msvideo"})
_OFFICE = {
    b"word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    b"xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    b"ppt/": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
_TEXTS = {
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "md": "text/markdown",
    "htm": "text/html",
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "py": "text/x-python",
    "xml": "application/xml",
    "svg": "image/svg+xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
    "jsonl": "application/jsonl",
    "ndjson": "application/jsonl",
}
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\v\f\r\x1b"))
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded file. `size` is bytes, `md5` hex; `mime_type` is what its bytes look like, whatever was said."""

    id: str
    seq: int
    account_id: str
    filename: str
    mime_type: str
    size: int
    md5: str
    created_at: datetime
    created_by: Identity
    tags: Mapping[str, Any] | None = None


def named_files(value: Any) -> Iterator[tuple[str, str]]:
    """The uploaded files that the values of an object stand for, as `{"file_type": ..., "file_id": ...}`: the key
    and the id of each. Anything but an object names none."""
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        if isinstance(inner, Mapping) and isinstance(inner.get("file_type"), str):
            file_id = inner.get("file_id")
            if isinstance(file_id, str):
                yield key, file_id


def safe_filename(given: str | None) -> str:
    """The last part of a name that was sent, without control and direction characters, at most 255 characters long;
    `upload` when nothing is left."""
    last = re.split(r"[/\\]", _UNSAFE.sub("", given or ""))[-1].strip()
    if last.strip(".") == "":
        return UNNAMED
    if len(last) <= LONGEST_FILENAME:
        return last
    stem, dot, extension = last.rpartition(".")
    if not dot or len(extension) > 20:
        return last[:LONGEST_FILENAME]
    return f"{stem[: LONGEST_FILENAME - len(extension) - 1]}.{extension}"


def sniff(content: bytes | bytearray, filename: str) -> str:
    """The MIME type that bytes look like. The name only tells kinds of text apart, and is not believed where the
    bytes are no text. Never `application/x-ndjson`."""
    head = bytes(content[:64])
    for offset, mark, mime_type in _MAGIC:
        if head[offset : offset + len(mark)] == mark and (mime_type not in _RIFF or head[:4] == b"RIFF"):
            return mime_type
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _kind_of_zip(content)
    return _kind_of_text(content, filename.rpartition(".")[2].lower()) or OCTETS


def _kind_of_zip(content: bytes | bytearray) -> str:
    """Office documents are zip files whose parts have telling names."""
    if content.find(b"[Content_Types].xml", 0, 4096) >= 0:
        for folder, mime_type in _OFFICE.items():
            if folder in content:
                return mime_type
    return "application/zip"


def _kind_of_text(content: bytes | bytearray, extension: str) -> str | None:
    """The kind of text, None for what is none: not UTF-8, or with control characters in it."""
    if len(content.translate(None, _CONTROLS)) != len(content):
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    if extension in _TEXTS:
        return _TEXTS[extension]
    if text.lstrip("\ufeff \t\r\n")[:1] in ("{", "["):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return "text/plain"
        return "application/json"
    return "text/plain"
