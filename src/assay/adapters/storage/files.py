"""Files and their bytes. Every transaction that adds or removes the use of a blob locks the blob first."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, delete, insert, literal, select, update

from assay.adapters.storage.codec import fold
from assay.adapters.storage.dialects import position_in
from assay.adapters.storage.file_tables import blob_pieces, blobs, files
from assay.adapters.storage.paging import Listing, page_rows
from assay.adapters.storage.session import Session, in_lists
from assay.adapters.storage.tables import Words
from assay.core.files import PIECE_BYTES, File
from assay.core.identity import Identity
from assay.core.paging import Page, PageRequest

_ORDERS = {
    "created_at": (files.c.created_at, files.c.seq),
    "filename": (files.c.filename, files.c.seq),
    "size": (files.c.size, files.c.seq),
    "mime_type": (files.c.mime_type, files.c.seq),
    "id": (files.c.id,),
}


def _file(row: Row[Any]) -> File:
    return File(
        id=row.id,
        seq=row.seq,
        account_id=row.account_id,
        filename=row.filename,
        mime_type=row.mime_type,
        size=row.size,
        md5=row.md5,
        created_at=row.created_at,
        created_by=Identity(row.created_by_id, row.created_by_type),
        tags=row.tags,
    )


class SqlFiles:
    """Implements `ports.files.FileRepository`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, file: File, content: bytes | bytearray, sha256: str) -> File:
        """Add it with its bytes; returns it with its seq."""
        blob_seq = await self._blob(file, memoryview(content), sha256)
        seq = await self._session.added(
            insert(files).values(
                id=file.id,
                account_id=file.account_id,
                blob_seq=blob_seq,
                filename=file.filename,
                filename_folded=fold(file.filename),
                mime_type=file.mime_type,
                size=file.size,
                md5=file.md5,
                tags=file.tags,
                created_at=file.created_at,
                created_by_id=file.created_by.id,
                created_by_type=file.created_by.type,
            )
        )
        return replace(file, seq=seq)

    async def _blob(self, file: File, content: memoryview, sha256: str) -> int:
        """The blob with this content, made unless it is there, and held for this transaction."""
        key = {"account_id": file.account_id, "sha256": sha256, "mime_type": file.mime_type}
        there = select(blobs.c.seq).where(*(blobs.c[name] == value for name, value in key.items()))
        while True:
            made = self._session.dialect.insert_unless_exists(blobs).values(**key).returning(blobs.c.seq)
            new = await self._session.rows(made)
            row = await self._session.row(there)
            if row is not None:  # else another transaction removed it between the two
                break
        if new:
            for number, start in enumerate(range(0, len(content), PIECE_BYTES)):
                piece = bytes(content[start : start + PIECE_BYTES])
                values = {"blob_seq": row.seq, "number": number, "content": piece}
                await self._session.run(insert(blob_pieces).values(**values))
        return int(row.seq)

    async def get(self, account_id: str, file_id: str) -> File | None:
        """The account's file with that id."""
        row = await self._session.row(select(files).where(files.c.id == file_id, files.c.account_id == account_id))
        return None if row is None else _file(row)

    async def unknown(self, account_id: str, file_ids: Collection[str]) -> Sequence[str]:
        """Those of the ids that name no file of the account."""
        known: set[str] = set()
        for some in in_lists(sorted(set(file_ids))):
            statement = select(files.c.id).where(files.c.account_id == account_id, files.c.id.in_(some))
            if self._session.writing:
                statement = statement.order_by(files.c.id).with_for_update(read=True, key_share=True)
            known.update(row.id for row in await self._session.rows(statement))
        return [file_id for file_id in file_ids if file_id not in known]

    async def list(self, account_id: str, page: PageRequest, *, filename: str | None = None) -> Page[File]:
        """A page of the account's files."""
        members = select(files).where(files.c.account_id == account_id)
        matches = members
        if filename:
            matches = members.where(position_in(files.c.filename_folded, literal(fold(filename), Words())) > 0)
        rows, total, has_more = await page_rows(self._session, Listing(matches, members, files.c.id, _ORDERS), page)
        return Page([_file(row) for row in rows], total, has_more)

    async def piece(self, account_id: str, file_id: str, number: int) -> bytes | None:
        """One piece of the file's bytes."""
        of_file = (files.c.id == file_id, files.c.account_id == account_id, blob_pieces.c.number == number)
        joined = select(blob_pieces.c.content).join(files, files.c.blob_seq == blob_pieces.c.blob_seq)
        found = await self._session.rows(joined.where(*of_file))
        return bytes(found[0].content) if found else None

    async def save_tags(self, file: File) -> None:
        """Write its tags."""
        await self._session.run(update(files).where(files.c.id == file.id).values(tags=file.tags))

    async def delete(self, account_id: str, file_id: str) -> bool:
        """Remove it for good, and its bytes when no other file has the same."""
        of_file = select(files.c.blob_seq).where(files.c.id == file_id, files.c.account_id == account_id)
        blob = await self._session.row(select(blobs.c.seq).where(blobs.c.seq.in_(of_file)))
        if blob is None:
            return False
        gone = await self._session.run(delete(files).where(files.c.id == file_id))
        others = await self._session.rows(select(files.c.seq).where(files.c.blob_seq == blob.seq).limit(1))
        if not others:
            await self._session.run(delete(blob_pieces).where(blob_pieces.c.blob_seq == blob.seq))
            await self._session.run(delete(blobs).where(blobs.c.seq == blob.seq))
        return gone.rowcount == 1
