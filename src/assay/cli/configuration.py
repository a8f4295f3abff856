"""Loads the settings for a command and says in one line what is wrong with them."""

from typing import TYPE_CHECKING, Any

from assay.cli.exits import WRONG, fail

if TYPE_CHECKING:
    from assay.settings import Settings


def load_settings(**given: Any) -> "Settings":
    """The settings in force, with the options that were given (not None) laid over them."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from assay.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
        fail(WRONG, "wrong settings: " + "; ".join(problems))
    except (ValueError, SettingsError) as error:
        fail(WRONG, f"wrong settings: {error}")
