"""Settings: environment variables `ASSAY_*`, then `assay.toml`, then these defaults."""

import json
import os
import re
import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

OPENAI_URL = "https://api.openai.com/v1"
ANTHROPIC_URL = "https://api.anthropic.com"

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class PriceSettings(BaseModel):
    """What a model's tokens cost: US dollars for a million of prompt tokens (`input`) and of completion tokens."""

    model_config = ConfigDict(extra="forbid")

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)


class VendorSettings(BaseModel):
    """A vendor of models: where it is, where its key is, and how hard it may be pressed.

    `api_key_env` names the environment variable that holds the key; keys stand nowhere else. Unless
    `api_key_required` says otherwise, a vendor that names one needs it set, except on loopback, where local
    servers want none. `concurrency` bounds the calls in flight in a process, `timeout` each attempt, and
    `max_attempts` the attempts of a call. `structured_output` says how a judge's answer is held to its shape:
    `json_schema` by the endpoint (OpenAI's `response_format`, or the one tool that an Anthropic model must
    call), `none` by the prompt alone. `prices` are by model, `*` that of any other model. Times are seconds, sizes
    bytes.
    """

    model_config = ConfigDict(extra="forbid")

    dialect: Literal["openai", "anthropic"] = "openai"
    base_url: str
    api_key_env: str | None = None
    api_key_required: bool | None = None
    concurrency: PositiveInt = 200
    timeout: PositiveFloat = 120.0
    connect_timeout: PositiveFloat = 10.0
    max_attempts: PositiveInt = 5
    max_response_bytes: PositiveInt = 16 * 1024 * 1024
    structured_output: Literal["json_schema", "none"] = "json_schema"
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    prices: dict[str, PriceSettings] = Field(default_factory=dict)

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018 - reading it checks it
        except ValueError as error:
            raise ValueError("not a URL") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
            raise ValueError("must begin with http:// or https:// and name a host")
        if parts.username is not None or parts.fragment:
            raise ValueError("must hold no user, password or fragment; name the key's variable in api_key_env")
        return url

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or name.lower() in ("content-length", "transfer-encoding", "host"):
                raise ValueError(f"{name!r} cannot be set as a header")
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the value of {name!r} holds characters that no header may hold")
        return headers

    @property
    def needs_key(self) -> bool:
        """Whether calls are refused while the key's variable is not set."""
        if self.api_key_required is not None:
            return self.api_key_required
        return self.api_key_env is not None and not is_loopback(urlsplit(self.base_url).hostname or "")


NETWORK_WORDS = ("public", "private", "loopback")


def _split(value: Any) -> Any:
    """A list written as text: JSON, or parts joined by commas."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):
            return json.loads(value)
        return [part for part in (piece.strip() for piece in value.split(",")) if part]
    return value


class SecretSettings(BaseModel):
    """A secret that the headers of an application's endpoint may name, and the hosts that it is sent to.

    Its value stands here (`value`) or in the environment variable that `env` names. `hosts` are names or
    addresses, each with a port or for all ports: whoever may register an endpoint could otherwise have the secret
    sent to a server of their own.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    value: str | None = Field(default=None, repr=False)
    env: str | None = None
    hosts: Annotated[list[str], NoDecode] = Field(min_length=1)

    @field_validator("hosts", mode="before")
    @classmethod
    def _are_hosts(cls, hosts: Any) -> Any:
        found = _split(hosts)
        return [host.lower() if isinstance(host, str) else host for host in found] if isinstance(found, list) else found

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.value is None) == (self.env is None):
            raise ValueError("needs value or env, one of them")
        return self


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/assay`, or `~/.local/share/assay`."""
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "assay"


def default_vendors() -> dict[str, VendorSettings]:
    """The vendors every server knows: `openai` and `anthropic`, with their usual environment variables.

    At another address than the vendor's own, a key is sent when its variable is set and not required."""
    openai_url = os.environ.get("OPENAI_BASE_URL")
    anthropic_url = os.environ.get("ANTHROPIC_BASE_URL")
    return {
        "openai": VendorSettings(
            base_url=openai_url or OPENAI_URL,
            api_key_env="OPENAI_API_KEY",
            api_key_required=(openai_url or OPENAI_URL).rstrip("/") == OPENAI_URL,
        ),
        "anthropic": VendorSettings(
            dialect="anthropic",
            base_url=anthropic_url or ANTHROPIC_URL,
            api_key_env="ANTHROPIC_API_KEY",
            api_key_required=(anthropic_url or ANTHROPIC_URL).rstrip("/") == ANTHROPIC_URL,
        ),
    }


class Settings(BaseSettings):
    """Everything a server can be told. Sizes are bytes, times seconds."""

    model_config = SettingsConfigDict(
        env_prefix="ASSAY_", env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=5003, ge=0, le=65535)
    data_dir: Path = Field(default_factory=default_data_dir)
    database_url: str | None = None
    api_key: str | None = Field(default=None, repr=False)
    max_body_bytes: PositiveInt = 256 * 1024 * 1024
    max_file_bytes: PositiveInt = 25 * 1024 * 1024
    max_json_depth: PositiveInt = 100
    export_link_seconds: PositiveInt = 3600
    annotation_lease_seconds: float = Field(default=1800.0, gt=0, le=31_536_000)
    chunk_size: PositiveInt = 256
    chunks_in_flight: PositiveInt = 6
    flush_seconds: PositiveFloat = 0.2
    engine_poll_seconds: PositiveFloat = 0.1
    warm_evaluations: NonNegativeInt = 1_000_000
    sandbox: Literal["auto", "bubblewrap", "monty"] = "auto"
    sandbox_workers: PositiveInt = 1
    application_networks: Annotated[list[str], NoDecode] = Field(default_factory=lambda: list(NETWORK_WORDS))
    application_concurrency: PositiveInt = 32
    application_timeout: PositiveFloat = 120.0
    application_max_attempts: PositiveInt = 3
    application_max_response_bytes: PositiveInt = 16 * 1024 * 1024
    cache_days: PositiveInt = 30
    judge_model: str = Field(default="gpt-4o", min_length=1)
    model_aliases: dict[str, str] = Field(default_factory=dict)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    vendors: dict[str, VendorSettings] = Field(default_factory=dict)
    secrets: dict[str, SecretSettings] = Field(default_factory=dict, repr=False)

    @field_validator("application_networks", mode="before")
    @classmethod
    def _are_networks(cls, networks: Any) -> Any:
        found = _split(networks)
        for network in found if isinstance(found, list) else ():
            if isinstance(network, str) and network not in NETWORK_WORDS:
                ip_network(network)  # says what is wrong with it
        return found

    @field_validator("secrets", mode="before")
    @classmethod
    def _have_lower_case_names(cls, secrets: Any) -> Any:
        return {name.lower(): secret for name, secret in secrets.items()} if isinstance(secrets, dict) else secrets

    @field_validator("vendors", mode="before")
    @classmethod
    def _built_in_vendors_keep_the_rest(cls, vendors: Any) -> Any:
        """`[vendors.openai] concurrency = 50` changes that one setting; a base_url makes the vendor anew."""
        if not isinstance(vendors, dict):
            return vendors
        known = {name: vendor.model_dump() for name, vendor in default_vendors().items()}
        return {
            name: {**known[name], **given}
            if name in known and isinstance(given, dict) and "base_url" not in given
            else given
            for name, given in vendors.items()
        }

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

    def vendor_model(self, name: str) -> str:
        """The `vendor/model` that a model's name means: by `model_aliases`; else a name without a vendor is one of
        OpenAI's."""
        return self.model_aliases.get(name) or (name if "/" in name else f"openai/{name}")

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
