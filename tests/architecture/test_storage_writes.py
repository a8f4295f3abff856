"""Whoever writes evaluations must note it for the counters and the indexes; so only one module writes them."""

import re
from pathlib import Path

STORAGE = Path(__file__).parents[2] / "src" / "assay" / "adapters" / "storage"
WRITES = re.compile(r"(?:insert|update|delete)\(evaluations\)|(?:INSERT INTO|UPDATE|DELETE FROM) evaluations\b")


def test_only_the_evaluations_repository_writes_evaluations() -> None:
    writers = [path.name for path in STORAGE.glob("*.py") if WRITES.search(path.read_text("utf-8"))]

    assert writers == ["evaluations.py"]
