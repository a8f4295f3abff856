"""Files: uploaded once, named by rows of datasets and evaluations, read back byte for byte."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import uuid_utils

from assay.core.errors import NotFound, RuleViolation, Unavailable
from assay.core.files import File, safe_filename, sniff
from assay.core.identity import Caller
from assay.core.paging import Page, PageRequest
from assay.ports.clock import Clock
from assay.ports.storage import Storage, UnitOfWork


class Files:
    """The use cases of files."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock

    async def create(self, caller: Caller, filename: str | None, content: bytes | bytearray) -> File:
        """Store a file under a safe form of its name. Its type is taken from its bytes."""
        name = safe_filename(filename)
        mime_type, md5, sha256 = await asyncio.to_thread(_look_at, content, name)
        file = File(
            id=str(uuid_utils.uuid7()),
            seq=0,
            account_id=caller.account_id,
            filename=name,
            mime_type=mime_type,
            size=len(content),
            md5=md5,
            created_at=self._clock.now(),
            created_by=caller.identity,
        )
        async with self._storage.write() as work:
            return await work.files.add(file, content, sha256)

    async def get(self, caller: Caller, file_id: str) -> File:
        """One file of the account. Raises NotFound."""
        async with self._storage.read() as work:
            return await _existing(work, caller, file_id)

    async def list(self, caller: Caller, page: PageRequest, filename: str | None = None) -> Page[File]:
        """A page of the account's files; `filename` is part of the name, in any case."""
        async with self._storage.read() as work:
            return await work.files.list(caller.account_id, page, filename=filename)

    async def update(self, caller: Caller, file_id: str, tags: Mapping[str, Any] | None) -> File:
        """Replace a file's tags. Raises NotFound."""
        async with self._storage.write() as work:
            changed = replace(await _existing(work, caller, file_id), tags=tags)
            await work.files.save_tags(changed)
        return changed

    async def delete(self, caller: Caller, file_id: str) -> None:
        """Remove a file for good; rows that name it then name nothing. Raises NotFound."""
        async with self._storage.write() as work:
            if not await work.files.delete(caller.account_id, file_id):
                raise NotFound("file", file_id)

    async def content(self, caller: Caller, file_id: str) -> tuple[File, AsyncIterator[bytes]]:
        """A file and its bytes, piece by piece. Raises NotFound; the bytes raise Unavailable when the file is
        deleted while they are read."""
        file = await self.get(caller, file_id)
        return file, self._pieces(caller, file)

    async def _pieces(self, caller: Caller, file: File) -> AsyncIterator[bytes]:
        number = sent = 0
        while sent < file.size:
            async with self._storage.read() as work:
                piece = await work.files.piece(caller.account_id, file.id, number)
            if piece is None:
                raise Unavailable(f"file {file.id} was deleted while it was read")
            yield piece
            number, sent = number + 1, sent + len(piece)


def _look_at(content: bytes | bytearray, name: str) -> tuple[str, str, str]:
    """The MIME type, MD5 and SHA-256 of bytes; takes a while for many."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return sniff(content, name), md5, hashlib.sha256(content).hexdigest()


async def require_files(work: UnitOfWork, account_id: str, files: Sequence[Mapping[str, str] | None]) -> None:
    """Raise RuleViolation, naming where, unless every id that the rows' files name is a file of the account."""
    places: dict[str, str] = {}
    for index, entry in enumerate(files):
        for field, file_id in (entry or {}).items():
            places.setdefault(file_id, f"files.{index}.{field[:100]}")
    await require_named(work, account_id, places)


async def require_named(work: UnitOfWork, account_id: str, places: Mapping[str, str]) -> None:
    """Raise RuleViolation unless every id, by which `places` says where it is named, is a file of the account. The
    files stay until the transaction ends."""
    if not places:
        return
    unknown = await work.files.unknown(account_id, places)
    if unknown:
        raise RuleViolation(f"{places[unknown[0]]}: there is no file with the id {unknown[0][:100]!r}")


async def _existing(work: UnitOfWork, caller: Caller, file_id: str) -> File:
    file = await work.files.get(caller.account_id, file_id)
    if file is None:
        raise NotFound("file", file_id)
    return file
