"""The import contracts of the house, checked as a test so that nobody can forget them."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_imports_keep_to_the_layers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from importlinter import cli

    monkeypatch.chdir(ROOT)
    code = cli.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)

    assert code == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_heavy_libraries_stay_out_of_the_command_line() -> None:
    import subprocess
    import sys

    heavy = ("dbos", "sqlalchemy", "fastapi", "numpy", "scipy", "nltk", "wordllama", "aiohttp", "sacrebleu", "alembic")
    script = f"import assay.cli.main, sys; print([name for name in {heavy!r} if name in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert loaded.stdout.strip() == "[]"
