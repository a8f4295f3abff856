"""Reading forms: whatever arrives is a file, a clear refusal, or too large."""

import asyncio
from types import SimpleNamespace

import pytest
from fastapi import Request
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.api.shared.uploads import Upload, read_upload
from assay.core.errors import InvalidInput, TooLarge
from assay.core.files import safe_filename
from assay.settings import Settings


def read(body: bytes, content_type: str, *, limit: int = 1000) -> Upload:
    """What a request with this body is read as; its bytes come in pieces of 7."""
    pieces = [body[start : start + 7] for start in range(0, len(body), 7)] or [b""]

    async def receive() -> dict[str, object]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    app = SimpleNamespace(state=SimpleNamespace(settings=Settings(max_file_bytes=limit)))
    headers = [(b"content-type", content_type.encode("latin-1", "replace"))]
    request = Request({"type": "http", "method": "POST", "headers": headers, "app": app}, receive)
    return asyncio.run(read_upload(request, "file"))


def form(header: bytes, content: bytes) -> bytes:
    return b"--B\r\n" + header + b"\r\n\r\n" + content + b"\r\n--B--"


@given(st.binary(max_size=200).filter(lambda content: b"--B" not in content))
@settings(max_examples=50)
def test_any_bytes_are_read_as_they_are(content: bytes) -> None:
    upload = read(
        form(b'content-disposition: form-data; name="file"; filename="x"', content), "multipart/form-data; boundary=B"
    )
    assert (bytes(upload.content), upload.filename) == (content, "x")


PARAMETERS = st.lists(
    st.tuples(
        st.sampled_from(["filename", "filename*", "filename*0", "filename*0*", "filename*1*", "FileName", "x", "name"]),
        st.sampled_from(
            ["a", '"a', '"a"', "''", "utf-8''%C3%BC", "bogus''%ff", "utf-16'en'%ff", '"\\', '"a;b"', "=", "\x80"]
        )
        | st.text(max_size=8),
    ),
    max_size=4,
)


@given(PARAMETERS, st.booleans())
@settings(max_examples=200)
def test_a_strange_header_gives_a_name_or_none_and_never_a_fault(
    parameters: list[tuple[str, str]], named: bool
) -> None:
    written = "; ".join(f"{name}={value}" for name, value in parameters)
    header = f"content-disposition: form-data; {'name=file; ' if named else ''}{written}"
    try:
        upload = read(form(header.encode("utf-8", "replace"), b"x"), "multipart/form-data; boundary=B")
    except InvalidInput:
        return
    assert upload.filename is None or isinstance(upload.filename, str)
    assert safe_filename(upload.filename)


@pytest.mark.parametrize(
    "parameter", ["filename*" + "9" * 5000 + "*=x", "filename*0*=bogus''x; filename*2=y", "filename*=a'b"]
)
def test_a_numbered_parameter_of_any_length_is_no_fault(parameter: str) -> None:
    header = f"content-disposition: form-data; name=file; {parameter}"
    assert bytes(read(form(header.encode(), b"x"), "multipart/form-data; boundary=B").content) == b"x"


@given(st.text(max_size=40), st.binary(max_size=100))
@settings(max_examples=100)
def test_a_strange_content_type_or_body_is_refused_and_never_a_fault(content_type: str, body: bytes) -> None:
    for kind in (content_type, f"multipart/form-data; boundary={content_type}", "multipart/form-data; boundary=B"):
        with pytest.raises(InvalidInput):
            read(b"--B" + body, kind)


def test_a_file_over_the_limit_is_too_large() -> None:
    header, kind = b"content-disposition: form-data; name=file", "multipart/form-data; boundary=B"
    assert len(read(form(header, b"x" * 10), kind, limit=10).content) == 10
    with pytest.raises(TooLarge, match="max_file_bytes"):
        read(form(header, b"x" * 11), kind, limit=10)
