"""The reference pages name every command, option, setting and threshold: a page that lags fails."""

from pathlib import Path
from typing import Any

import pytest
import typer.main

from assay.cli.main import app
from assay.cli.runfile import KEYS
from assay.cli.thresholds import EVALUATION_QUANTITIES, TASK_QUANTITIES
from assay.settings import SecretSettings, Settings, VendorSettings

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def _options(command: Any, words: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """(command, option) of every visible option of the tree of commands."""
    found = []
    for parameter in command.params:
        if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
            found += [(" ".join(words), name) for name in parameter.opts if name.startswith("--")]
    for name, child in getattr(command, "commands", {}).items():
        found += [(" ".join((*words, name)), ""), *_options(child, (*words, name))]
    return found


def test_the_cli_page_names_every_command_and_option() -> None:
    page = (REFERENCE / "cli.md").read_text("utf-8")
    tree = _options(typer.main.get_command(app))
    assert ("run", "--junit") in tree
    ignored = ("--help", "--install-completion", "--show-completion")
    missing = [
        (command, option)
        for command, option in tree
        if option not in ignored and ((option and f"`{option}" not in page) or command.split(" ")[-1] not in page)
    ]
    assert missing == []


@pytest.mark.parametrize("model", [SecretSettings, Settings, VendorSettings])
def test_the_settings_page_names_every_setting(model: Any) -> None:
    page = (REFERENCE / "settings.md").read_text("utf-8")
    assert [name for name in model.model_fields if f"| `{name}` |" not in page] == []


def test_the_settings_page_gives_the_defaults_that_are_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REFERENCE / "settings.md").read_text("utf-8")
    for model in (SecretSettings, Settings, VendorSettings):
        for name, field in model.model_fields.items():
            if isinstance(field.default, int | float | str) and not isinstance(field.default, bool):
                default = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
                assert f"| `{name}` | {default} |" in page or f"| `{name}` | `{default}` |" in page, name


def test_the_run_file_page_names_every_key() -> None:
    page = (REFERENCE / "run-file.md").read_text("utf-8")
    known = (*KEYS, *EVALUATION_QUANTITIES, *TASK_QUANTITIES)
    assert [name for name in known if f"`{name}`" not in page] == []
