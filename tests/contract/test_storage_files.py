"""The contract of the files' repository, on SQLite and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from assay.adapters.storage import SqlStorage
from assay.core.errors import InvalidCursor
from assay.core.files import PIECE_BYTES, File
from assay.core.identity import Identity
from assay.core.paging import PageRequest
from assay.ports.storage import UnitOfWork
from tests.builders.files import make_file, sha256
from tests.builders.identity import NOW, new_id


async def added(storage: SqlStorage, content: bytes = b"hello", **changes: Any) -> File:
    async with storage.write() as work:
        return await work.files.add(make_file(content, **changes), content, sha256(content))


async def content_of(storage: SqlStorage, file: File) -> bytes:
    pieces = []
    async with storage.read() as work:
        while (piece := await work.files.piece(file.account_id, file.id, len(pieces))) is not None:
            pieces.append(piece)
    assert all(len(piece) == PIECE_BYTES for piece in pieces[:-1])
    return b"".join(pieces)


async def blob_count(storage: SqlStorage) -> tuple[int, int]:
    """How many blobs and pieces of blobs there are."""
    async with storage._reading() as session:
        counts = [await session.rows(text(f"SELECT COUNT(*) FROM {table}")) for table in ("blobs", "blob_pieces")]
    return counts[0][0][0], counts[1][0][0]


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, 2 * PIECE_BYTES + 1])
async def test_a_file_comes_back_byte_for_byte(storage: SqlStorage, size: int) -> None:
    content = bytes(n % 251 for n in range(size))
    robot = Identity("robot", "service_account")
    file = make_file(content, filename="ü 🙂.txt", tags={"a": [1]}, created_by=robot)
    async with storage.write() as work:
        stored = await work.files.add(file, bytearray(content), sha256(content))
        assert replace(stored, seq=0) == file
        assert stored.seq > 0
    assert await content_of(storage, file) == content
    async with storage.read() as work:
        assert await work.files.get("default", file.id) == stored
        assert await work.files.get("other", file.id) is None
        assert await work.files.get("default", new_id()) is None
        assert await work.files.piece("other", file.id, 0) is None


async def test_equal_bytes_are_stored_once_and_stay_while_a_file_has_them(storage: SqlStorage) -> None:
    first, second = await added(storage), await added(storage, filename="again")
    assert await blob_count(storage) == (1, 1)
    typed = await added(storage, mime_type="text/csv")
    theirs = await added(storage, account_id="other")
    assert await blob_count(storage) == (3, 3)

    async with storage.write() as work:
        assert not await work.files.delete("other", first.id)
        assert await work.files.delete("default", first.id)
        assert not await work.files.delete("default", first.id)
    assert await content_of(storage, second) == b"hello"
    async with storage.write() as work:
        assert await work.files.get("default", first.id) is None
        assert await work.files.delete("default", second.id)
        assert await work.files.delete("default", typed.id)
    assert await blob_count(storage) == (1, 1)
    assert await content_of(storage, theirs) == b"hello"
    assert await content_of(storage, await added(storage)) == b"hello"


async def test_a_transaction_that_fails_leaves_neither_file_nor_bytes(storage: SqlStorage) -> None:
    async def fail(work: UnitOfWork) -> None:
        await work.files.add(make_file(b"x" * 3 * PIECE_BYTES), b"x" * 3 * PIECE_BYTES, sha256(b"x"))
        raise RuntimeError("as if killed")

    with pytest.raises(RuntimeError):
        async with storage.write() as work:
            await fail(work)
    assert await blob_count(storage) == (0, 0)


async def test_uploads_and_deletions_of_equal_bytes_at_once_never_lose_any(storage: SqlStorage) -> None:
    kept: list[File] = []

    async def come_and_go(number: int) -> None:
        for _ in range(5):
            file = await added(storage, filename=str(number))
            async with storage.write() as work:
                assert await work.files.delete("default", file.id)
        kept.append(await added(storage, filename=str(number)))

    await asyncio.gather(*(come_and_go(number) for number in range(6)))
    assert [await content_of(storage, file) for file in kept] == [b"hello"] * 6
    assert await blob_count(storage) == (1, 1)


async def test_ids_that_name_no_file_of_the_account_are_told(storage: SqlStorage) -> None:
    mine, theirs = await added(storage), await added(storage, account_id="other")
    async with storage.write() as work:
        assert await work.files.unknown("default", [mine.id, theirs.id, "'; --"]) == [theirs.id, "'; --"]
        assert await work.files.unknown("default", []) == []
    many = [*(f"id {number}" for number in range(12_000)), mine.id]
    async with storage.read() as work:
        assert await work.files.unknown("default", many) == many[:-1]


async def test_tags_can_be_replaced_and_taken_away(storage: SqlStorage) -> None:
    file = await added(storage, tags={"old": 1})
    for tags in ({"new": {"n": [None]}}, {}, None):
        async with storage.write() as work:
            await work.files.save_tags(replace(file, tags=tags))
            assert await work.files.get("default", file.id) == replace(file, tags=tags)


async def test_pages_follow_each_order_and_part_of_the_name(storage: SqlStorage) -> None:
    names = {"b.txt": 1, "Ä 100%.PDF": 3, "a.txt": 2, "ä_.pdf": 2}
    for number, (name, size) in enumerate(names.items()):
        await added(
            storage, b"x" * size, filename=name, created_at=NOW + timedelta(seconds=number), mime_type=name[-3:]
        )
    await added(storage, account_id="other")

    async def names_of(filename: str | None = None, **page: Any) -> list[str]:
        async with storage.read() as work:
            found = await work.files.list("default", PageRequest(**page), filename=filename)
        assert found.total == (len(names) if filename is None else len(found.items))
        return [file.filename for file in found.items]

    assert await names_of() == list(names)
    assert await names_of(sort_by="filename") == ["a.txt", "b.txt", "Ä 100%.PDF", "ä_.pdf"]
    assert await names_of(sort_by="size", sort_order="desc") == ["Ä 100%.PDF", "ä_.pdf", "a.txt", "b.txt"]
    assert await names_of(sort_by="mime_type") == ["Ä 100%.PDF", "ä_.pdf", "b.txt", "a.txt"]
    assert await names_of("ä") == ["Ä 100%.PDF", "ä_.pdf"]
    assert await names_of("0%.p") == ["Ä 100%.PDF"]
    assert await names_of("%") == ["Ä 100%.PDF"]
    assert await names_of("x'; --") == []
    first = await names_of(limit=1)
    async with storage.read() as work:
        page = await work.files.list("default", PageRequest(limit=1))
        cursor = page.items[0].id
        assert ([file.filename for file in page.items], page.has_more) == (first, True)
    assert await names_of(limit=2, starting_after=cursor) == list(names)[1:3]
    with pytest.raises(InvalidCursor):
        await names_of(starting_after=new_id())
