"""Storage of uploaded files: what is known of each, and their bytes. Conventions as in `ports.storage`."""

from collections.abc import Collection, Sequence
from typing import Protocol

from assay.core.files import File
from assay.core.paging import Page, PageRequest


class FileRepository(Protocol):
    """The files of all accounts. A file and its bytes are stored, and go, in one transaction."""

    async def add(self, file: File, content: bytes | bytearray, sha256: str) -> File:
        """Add it with its bytes; returns it with its seq. Bytes of this SHA-256 (hex) that the account has already
        under the same MIME type are not stored again."""
        ...

    async def get(self, account_id: str, file_id: str) -> File | None:
        """The account's file with that id."""
        ...

    async def unknown(self, account_id: str, file_ids: Collection[str]) -> Sequence[str]:
        """Those of the ids that name no file of the account. In a writing transaction the files that they do name
        stay until it ends."""
        ...

    async def list(self, account_id: str, page: PageRequest, *, filename: str | None = None) -> Page[File]:
        """A page of the account's files; `filename` is a case-insensitive substring. sort_by: created_at, filename,
        size, mime_type, id. Unknown cursor: InvalidCursor."""
        ...

    async def piece(self, account_id: str, file_id: str, number: int) -> bytes | None:
        """The file's bytes in pieces of `core.files.PIECE_BYTES`, counted from 0; None past the last."""
        ...

    async def save_tags(self, file: File) -> None:
        """Write its tags."""
        ...

    async def delete(self, account_id: str, file_id: str) -> bool:
        """Remove it for good, and its bytes when no other file has the same. False when there is none."""
        ...
