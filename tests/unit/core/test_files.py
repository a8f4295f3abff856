"""Files by themselves: what bytes look like, and names that are safe."""

import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.files import LONGEST_FILENAME, OCTETS, safe_filename, sniff
from tests.builders.files import PNG

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "filename", "mime_type"),
    [
        (PNG, "upload", "image/png"),
        (PNG, "fake.txt", "image/png"),
        (b"%PDF-1.7\n\x00", "x", "application/pdf"),
        (b"\xff\xd8\xff\xe0", "x", "image/jpeg"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "x", "image/webp"),
        (b"12345678WAVE is a word", "x", "text/plain"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "x", "audio/wav"),
        (b"\x00\x00\x00 ftypisom", "x", "video/mp4"),
        (zipped("a.txt"), "x.docx", "application/zip"),
        (zipped("[Content_Types].xml", "word/document.xml"), "x", DOCX),
        (b"", "x", "text/plain"),
        (b"plain", "x", "text/plain"),
        ("\ufeffä".encode(), "x", "text/plain"),
        (b"a,b\n1,2", "table.CSV", "text/csv"),
        (b"a\x00b", "table.csv", OCTETS),
        (b"\xff\xfe\x00", "x.txt", OCTETS),
        (b"caf\xe9", "x.txt", OCTETS),
        (b'{"a": 1}', "x", "application/json"),
        (b' \n["a"]', "x.json", "application/json"),
        (b'{"a": ', "x.json", "text/plain"),
        (b'{"a": 1}\n{"a": 2}', "x", "text/plain"),
        (b'{"a": 1}\n{"a": 2}', "x.jsonl", "application/jsonl"),
        (b'{"a": 1}\n{"a": 2}', "x.ndjson", "application/jsonl"),
        (b"[" * 100_000 + b"]" * 100_000, "deep.json", "text/plain"),
        (b"[" + b"9" * 10_000 + b"]", "long.json", "text/plain"),
        (b"<script>", "page.html", "text/html"),
        (b"<svg/>", "page.svg", "image/svg+xml"),
    ],
)
def test_the_type_is_what_the_bytes_look_like(content: bytes, filename: str, mime_type: str) -> None:
    assert sniff(bytearray(content), filename) == mime_type


@given(st.binary(max_size=100) | st.text(max_size=50).map(str.encode), st.text(max_size=10) | st.just("x.json"))
def test_any_bytes_have_a_type_and_json_is_json(content: bytes, filename: str) -> None:
    mime_type = sniff(content, filename)
    assert not mime_type.endswith("x-ndjson")
    if mime_type.endswith("json"):
        json.loads(content)


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        (None, "upload"),
        ("", "upload"),
        ("..", "upload"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\me\\a b.txt", "a b.txt"),
        ("../../x", "x"),
        ("dir/", "upload"),
        ('a"b;c%.txt', 'a"b;c%.txt'),
        ("a\r\nSet-Cookie: x\x00.txt", "aSet-Cookie: x.txt"),
        ("exe\u202egpj.bat", "exegpj.bat"),
        ("ü 🙂.txt", "ü 🙂.txt"),
        ("\ud800x", "x"),
        ("n" * 300, "n" * 255),
        ("n" * 300 + ".jsonl", "n" * 249 + ".jsonl"),
    ],
)
def test_a_name_is_its_last_part_without_what_could_do_harm(given: str | None, safe: str) -> None:
    assert safe_filename(given) == safe


@given(st.text())
def test_any_name_becomes_one_that_stays_as_it_is(name: str) -> None:
    safe = safe_filename(name)
    assert safe_filename(safe) == safe
    assert 1 <= len(safe) <= LONGEST_FILENAME
    assert not set(safe) & set("/\\\r\n\x00")
