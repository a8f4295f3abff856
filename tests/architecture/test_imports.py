"""The import contracts of the house, checked as a test so that nobody can forget them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_keep_to_the_layers() -> None:
    pytest.importorskip("importlinter")
    script = (
        "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    )

    linted = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_heavy_libraries_stay_out_of_the_command_line() -> None:
    heavy = ("dbos", "sqlalchemy", "fastapi", "numpy", "scipy", "nltk", "wordllama", "aiohttp", "sacrebleu", "alembic")
    script = f"import assay.cli.main, sys; print([name for name in {heavy!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert loaded.stdout.strip() == "[]"
