"""Settings: environment variables `ASSAY_*`, then `assay.toml`, then these defaults."""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class VendorSettings(BaseModel):
    """A vendor of models: where it is, where its key is, and how hard it may be pressed.

    `api_key_env` names the environment variable that holds the key; a vendor with neither that variable set
    nor `api_key_required = false` cannot be called. Times are seconds.
    """

    model_config = ConfigDict(extra="forbid")

    dialect: Literal["openai", "anthropic"] = "openai"
    base_url: str
    api_key_env: str | None = None
    api_key_required: bool = True
    concurrency: PositiveInt = 200
    timeout: PositiveFloat = 120.0
    connect_timeout: PositiveFloat = 10.0
    max_attempts: PositiveInt = 5
    headers: dict[str, str] = Field(default_factory=dict)


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/assay`, or `~/.local/share/assay`."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "assay"


def default_vendors() -> dict[str, VendorSettings]:
    """The vendors every server knows: `openai` and `anthropic`, with their usual environment variables."""
    return {
        "openai": VendorSettings(
            base_url=os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1",
            api_key_env="OPENAI_API_KEY",
        ),
        "anthropic": VendorSettings(
            dialect="anthropic",
            base_url=os.environ.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com",
            api_key_env="ANTHROPIC_API_KEY",
        ),
    }


class Settings(BaseSettings):
    """Everything a server can be told. Sizes are bytes, times seconds."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", env_nested_delimiter="__", extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=5003, ge=0, le=65535)
    data_dir: Path = Field(default_factory=default_data_dir)
    database_url: str | None = None
    api_key: str | None = Field(default=None, repr=False)
    max_body_bytes: PositiveInt = 256 * 1024 * 1024
    max_json_depth: PositiveInt = 100
    export_link_seconds: PositiveInt = 3600
    chunk_size: PositiveInt = 256
    chunks_in_flight: PositiveInt = 6
    flush_seconds: PositiveFloat = 0.2
    engine_poll_seconds: PositiveFloat = 0.1
    sandbox: Literal["auto", "bubblewrap", "monty"] = "auto"
    sandbox_workers: PositiveInt = 1
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    vendors: dict[str, VendorSettings] = Field(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file."""
        return (init_settings, env_settings, TomlSource(settings_cls))

    def all_vendors(self) -> dict[str, VendorSettings]:
        """The configured vendors laid over the built-in ones."""
        return {**default_vendors(), **self.vendors}


class TomlSource(PydanticBaseSettingsSource):
    """Reads `assay.toml` from the working directory, or the file that ASSAY_CONFIG names."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Unused: the whole file is read at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The file's table, or nothing when there is no file. A broken file is a ValueError naming it."""
        named = os.environ.get("ASSAY_CONFIG")
        path = Path(named or "assay.toml")
        if not path.is_file():
            if named:
                raise ValueError(f"ASSAY_CONFIG names a file that is not there: {path}")
            return {}
        try:
            return tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: {error}") from error
