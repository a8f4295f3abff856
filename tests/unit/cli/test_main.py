import subprocess
import sys


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['assay', '--help']\n"
        "from assay.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('pydantic', 'rich', 'yaml', 'numpy', 'scipy', 'sqlalchemy', 'fastapi', 'dbos', 'assay.bootstrap')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.rstrip().endswith("[]"), ended.stdout[-300:]


def test_an_error_of_our_own_never_looks_like_a_missed_threshold() -> None:
    script = (
        "import sys; sys.argv = ['assay', 'version']\n"
        "import assay.cli.version\n"
        "from assay.cli import main\n"
        "main.app = lambda: 1 / 0\n"
        "main.main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 3
    assert "ZeroDivisionError" in ended.stderr
