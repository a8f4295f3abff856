"""Files over HTTP on the real SQLite storage: the official client, forms of every kind, accounts, rows' files."""

import hashlib
import json

import httpx
import pytest
from scale_gp_beta import BadRequestError, NotFoundError

from assay.api.v5.schemas import files as schemas
from assay.settings import Settings
from tests.builders.files import PNG
from tests.builders.stored import served_api, sqlite_storage

BOUNDARY = "multipart/form-data; boundary=xYz"


@pytest.fixture
async def api(tmp_path):
    async with sqlite_storage(tmp_path) as storage, served_api(storage) as served:
        yield served


async def uploaded(api, content=b"hello", filename="notes.txt"):
    answer = await api.raw.post("/v5/files", files={"file": (filename, content)})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def posted(api, body, content_type=BOUNDARY):
    return await api.raw.post("/v5/files", content=body, headers={"content-type": content_type})


def form(*parts):
    """A multipart body of (headers, content) pairs."""
    return b"".join(b"--xYz\r\n%b\r\n\r\n%b\r\n" % part for part in parts) + b"--xYz--\r\n"


FILE = b'content-disposition: form-data; name="file"; filename="a.txt"'


async def test_the_bytes_are_what_the_document_says(api):
    file = await uploaded(api)
    schemas.File.model_validate_json(json.dumps(file))
    assert set(file) == set(schemas.File.model_fields)
    assert file["md5_checksum"] == hashlib.md5(b"hello").hexdigest()
    assert (file["size"], file["tags"], file["duration_seconds"]) == (5, None, None)
    page = await api.raw.get("/v5/files")
    schemas.FilePage.model_validate_json(page.content)
    assert page.json() == {"object": "list", "items": [file], "total": 1, "has_more": False, "limit": 100}


async def test_the_official_client_in_strict_mode_uploads_finds_tags_reads_and_deletes(api):
    client = api.official.files
    named = await client.create(file=("Report.PDF", b"%PDF-1.7 ...", "text/plain"))
    bare = await client.create(file=PNG)
    assert (named.filename, named.mime_type, named.size, named.object) == ("Report.PDF", "application/pdf", 12, "file")
    assert (bare.filename, bare.mime_type) == ("upload", "image/png")
    assert [file.id async for file in client.list(limit=1)] == [named.id, bare.id]
    assert [file.id async for file in client.list(filename="report")] == [named.id]
    assert await client.retrieve(named.id) == named
    tagged = await client.update(named.id, tags={"kind": {"a": [1]}})
    assert tagged.tags == {"kind": {"a": [1]}}
    assert (await client.update(named.id, tags={})).tags == {}
    raw = await client.content.with_raw_response.retrieve(bare.id)
    assert await raw.read() == PNG
    async with client.content.with_streaming_response.retrieve(bare.id) as streamed:
        assert b"".join([chunk async for chunk in streamed.iter_bytes()]) == PNG
    text = await client.create(file=("a.jsonl", b'{"a": 1}\n{"a": 2}'))
    assert text.mime_type == "application/jsonl"
    gone = await client.delete(bare.id)
    assert (gone.id, gone.deleted, gone.object) == (bare.id, True, "file")
    for call in (client.retrieve, client.delete, client.content.retrieve):
        with pytest.raises(NotFoundError):
            await call(bare.id)


async def test_content_is_to_be_saved_and_never_run(api):
    page = await uploaded(api, b"<script>alert(1)</script>", 'a "b"; ü.html')
    answer = await api.raw.get(f"/v5/files/{page['id']}/content")
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-length"] == "25"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    disposition = answer.headers["content-disposition"]
    assert disposition == "attachment; filename=\"a _b__ _.html\"; filename*=UTF-8''a%20%22b%22%3B%20%C3%BC.html"


async def test_equal_uploads_are_two_files_and_one_goes_without_the_other(api):
    first, second = await uploaded(api), await uploaded(api, filename="again.txt")
    assert first["id"] != second["id"]
    assert (await api.raw.delete(f"/v5/files/{first['id']}")).json()["deleted"] is True
    assert (await api.raw.get(f"/v5/files/{second['id']}/content")).content == b"hello"


async def test_a_large_file_comes_back_byte_for_byte(api):
    content = bytes(n % 253 for n in range(3_000_001)) + b"\r\n--xYz"
    file = await uploaded(api, content, "big.bin")
    assert (await api.raw.get(f"/v5/files/{file['id']}/content")).content == content


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "C:\\dir\\passwd"],
)
async def test_a_name_is_no_path(api, name):
    assert (await uploaded(api, filename=name))["filename"] == "passwd"


@pytest.mark.parametrize(
    ("header", "filename"),
    [
        (b'Content-Disposition: form-data; name="file"; filename="a%22b.txt"', 'a"b.txt'),
        (b"content-disposition:form-data;filename=plain.txt;name=file", "plain.txt"),
        (b"content-disposition: form-data; name=\"file\"; filename*=UTF-8''%C3%BC.txt", "ü.txt"),
        ('content-disposition: form-data; name="file"; filename="ü.txt"'.encode(), "ü.txt"),
        (b'content-disposition: form-data; name="file"; filename="\xff.txt"', "\ufffd.txt"),
        (b'content-disposition: form-data; name="file"', "upload"),
        (b'content-type: text/x; charset="y"\r\ncontent-disposition: form-data; name="file"; filename=""', "upload"),
    ],
)
async def test_names_are_read_as_clients_write_them(api, header, filename):
    answer = await posted(api, form((header, b"x")))
    assert (answer.status_code, answer.json().get("filename")) == (200, filename), answer.text


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"preamble\r\n" + form((FILE, b"a\r\n--xY\r\n")), b"a\r\n--xY\r\n"),
        (form((FILE, b"")), b""),
        (form((b'content-disposition: form-data; name="purpose"', b"x"), (FILE, b"a")), b"a"),
        (b"--xYz \t\r\n" + form((FILE, b"a")).removeprefix(b"--xYz\r\n") + b"epilogue", b"a"),
    ],
)
async def test_forms_of_other_makes_are_read(api, body, content):
    file = (await posted(api, body)).json()
    assert (await api.raw.get(f"/v5/files/{file['id']}/content")).content == content


@pytest.mark.parametrize(
    ("body", "content_type", "loc"),
    [
        (b"{}", "application/json", ["header", "content-type"]),
        (b"", "", ["header", "content-type"]),
        (b"x", "multipart/form-data", ["header", "content-type"]),
        (b"x", "multipart/form-data; boundary=" + "x" * 300, ["header", "content-type"]),
        (b"", BOUNDARY, ["body"]),
        (b"--xYz", BOUNDARY, ["body"]),
        (b"--xYz\r\n", BOUNDARY, ["body"]),
        (b"--xYz--\r\n", BOUNDARY, ["body", "file"]),
        (form((FILE, b"hello"))[:-12], BOUNDARY, ["body"]),
        (b"--xYz\r\n" + b"a: b\r\n" * 9000 + b"\r\nx\r\n--xYz--", BOUNDARY, ["body"]),
        (b"--xYz-nonsense\r\n", BOUNDARY, ["body"]),
        (form((b'content-disposition: form-data; name="files"', b"x")), BOUNDARY, ["body", "file"]),
        (form((b"content-type: text/plain", b"x")), BOUNDARY, ["body", "file"]),
        (form((FILE, b"a"), (FILE, b"b")), BOUNDARY, ["body", "file"]),
        (form(*[(b"a: b", b"")] * 101), BOUNDARY, ["body"]),
        (b"\xff\x00" * 500, BOUNDARY, ["body"]),
    ],
)
async def test_a_body_that_is_no_such_form_is_refused_with_its_place(api, body, content_type, loc):
    answer = await posted(api, body, content_type)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == loc
    assert (await api.raw.get("/v5/files")).json()["total"] == 0


async def test_a_file_over_the_limit_is_refused(api):
    api.raw._transport.app.state.settings = Settings(max_file_bytes=1000)
    await uploaded(api, b"x" * 1000)
    for size in (1001, 200_000):
        answer = await api.raw.post("/v5/files", files={"file": ("x", b"x" * size)})
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "max_file_bytes" in answer.json()["detail"]


async def test_a_file_far_over_the_limit_is_not_read_to_its_end(api):
    api.raw._transport.app.state.settings = Settings(max_file_bytes=1000)
    sent = 0

    async def endless():
        nonlocal sent
        yield form((FILE, b""))[:-11]
        while True:
            sent += 65536
            assert sent < 10_000_000
            yield b"x" * 65536

    answer = await api.raw.post("/v5/files", content=endless(), headers={"content-type": BOUNDARY})
    assert answer.status_code == 413
    assert sent < 300_000


async def test_changes_that_are_none_are_refused(api):
    path = f"/v5/files/{(await uploaded(api))['id']}"
    assert (await api.raw.patch(path, json={})).status_code == 400
    assert (await api.raw.patch(path, json={"filename": "new"})).status_code == 400
    assert (await api.raw.patch(path, json={"tags": ["x"]})).status_code == 422
    assert (await api.raw.patch(path, json={"tags": {"a": 1}})).json()["tags"] == {"a": 1}
    assert (await api.raw.patch(path, json={"tags": None})).json()["tags"] is None
    assert (await api.raw.get("/v5/files?sort_by=tags")).status_code == 422


async def test_imports_from_clouds_are_not_offered(api):
    answer = await api.raw.post("/v5/files/cloud_imports", json={"files": []})
    assert (answer.status_code, answer.headers["x-should-retry"]) == (501, "false")


async def test_files_of_other_accounts_are_not_there(api):
    path = f"/v5/files/{(await uploaded(api))['id']}"
    calls = (
        api.stranger.get(path),
        api.stranger.get(f"{path}/content"),
        api.stranger.patch(path, json={"tags": {}}),
        api.stranger.delete(path),
    )
    for call in calls:
        assert (await call).status_code == 404
    assert (await api.stranger.get("/v5/files")).json()["total"] == 0
    assert (await api.raw.get(path)).status_code == 200


async def test_rows_of_datasets_name_files_of_their_account_only(api):
    mine = (await uploaded(api))["id"]
    theirs = (await api.stranger.post("/v5/files", files={"file": b"x"})).json()["id"]
    client = api.official
    dataset = await client.datasets.create(name="d", data=[{"n": 1}, {"n": 2}], files=[{"picture": mine}, {}])
    items = [item async for item in client.dataset_items.list(dataset_id=dataset.id)]
    assert [item.files for item in items] == [{"picture": mine}, None]
    added = await client.dataset_items.batch_create(dataset_id=dataset.id, data=[{}], files=[{"a": mine}])
    assert added.items[0].files == {"a": mine}
    changed = await client.dataset_items.update(items[1].id, data={"n": 3}, files={"b": mine})
    assert changed.files == {"b": mine}
    before = await client.datasets.retrieve(dataset.id)
    for call in (
        lambda: client.datasets.create(name="d", data=[{}, {}], files=[{"a": mine}, {"b": theirs}]),
        lambda: client.dataset_items.batch_create(dataset_id=dataset.id, data=[{}, {}], files=[{}, {"b": theirs}]),
    ):
        with pytest.raises(BadRequestError, match=r"files\.1\.b"):
            await call()
    with pytest.raises(BadRequestError, match=theirs):
        await client.dataset_items.update(items[0].id, data={}, files={"b": theirs})
    assert await client.datasets.retrieve(dataset.id) == before
    await client.files.delete(mine)
    assert (await client.dataset_items.retrieve(items[0].id)).files == {"picture": mine}
    kept = await client.dataset_items.update(items[0].id, data={"n": 9})
    assert kept.files == {"picture": mine}


def test_httpx_writes_what_the_reader_was_tested_with():
    request = httpx.Request("POST", "http://x", files={"file": ('a"b\\c.txt', b"x")})
    assert b'name="file"; filename="a%22b' in request.read()
