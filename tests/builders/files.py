"""Builds files and their bytes."""

import hashlib
from typing import Any

from assay.core.files import File
from assay.core.identity import DEFAULT_ACCOUNT_ID
from tests.builders.identity import ALICE, NOW, new_id

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def make_file(content: bytes, **changes: Any) -> File:
    """A file of the default account with this content."""
    defaults = {
        "id": new_id(),
        "seq": 0,
        "account_id": DEFAULT_ACCOUNT_ID,
        "filename": "notes.txt",
        "mime_type": "text/plain",
        "size": len(content),
        "md5": hashlib.md5(content).hexdigest(),
        "created_at": NOW,
        "created_by": ALICE,
    }
    return File(**{**defaults, **changes})


def sha256(content: bytes) -> str:
    """Hex SHA-256."""
    return hashlib.sha256(content).hexdigest()
