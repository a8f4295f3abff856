"""A vendor as this process knows it: its settings, its key, its dialect, and what must never be shown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from assay.adapters.models.anthropic import AnthropicDialect
from assay.adapters.models.dialect import Dialect, Untranslatable
from assay.adapters.models.openai import OpenAIDialect
from assay.settings import VendorSettings

_DIALECTS: Mapping[str, type[Dialect]] = {"openai": OpenAIDialect, "anthropic": AnthropicDialect}
_TOKEN = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',]+")
_KEY = re.compile(r"\bsk-[\w-]{6,}")
_HIDDEN = "[hidden]"


@dataclass(frozen=True, slots=True)
class Vendor:
    """A configured vendor. `key` is None when its environment variable is not set."""

    name: str
    settings: VendorSettings
    key: str | None = field(repr=False)
    dialect: Dialect

    @classmethod
    def configure(cls, name: str, settings: VendorSettings, environ: Mapping[str, str]) -> "Vendor":
        """The vendor with its key read from the environment; blanks around a key are dropped."""
        key = (environ.get(settings.api_key_env) or "").strip() if settings.api_key_env else ""
        return cls(name, settings, key or None, _DIALECTS[settings.dialect]())

    def problem(self) -> str | None:
        """Why it cannot be called, naming the cure."""
        if self.key is None:
            if not self.settings.needs_key:
                return None
            if self.settings.api_key_env is None:
                return f"vendor {self.name!r} requires a key: set api_key_env in [vendors.{self.name}]"
            return f"vendor {self.name!r} needs a key: set {self.settings.api_key_env} in the server's environment"
        if not _is_sendable(self.key):
            return f"{self.settings.api_key_env} holds characters that no key has"
        return None

    def with_key(self, key: str) -> "Vendor":
        """The vendor as somebody with a key of their own calls it: the server's key does not go along, nor do
        headers of the settings that would stand in for it. Raises Untranslatable for what is no key."""
        if not key or not _is_sendable(key):
            raise Untranslatable("the key that came with the request holds characters that no key has")
        carrying = {name.lower() for name in self.dialect.headers(key)}
        kept = {name: value for name, value in self.settings.headers.items() if name.lower() not in carrying}
        return replace(self, key=key, settings=self.settings.model_copy(update={"headers": kept}))

    def headers(self) -> dict[str, str]:
        """The headers of each request; the settings' own headers win."""
        given = {name.lower() for name in self.settings.headers}
        ours = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "assay",
            **self.dialect.headers(self.key),
        }
        return {**{name: value for name, value in ours.items() if name.lower() not in given}, **self.settings.headers}

    def scrub(self, text: str, limit: int) -> str:
        """Text from the vendor without keys, on one line, at most `limit` characters."""
        for secret in (self.key, *self.settings.headers.values()):
            if secret and len(secret) > 3:
                text = text.replace(secret, _HIDDEN)
        text = _KEY.sub(_HIDDEN, _TOKEN.sub(rf"\1 {_HIDDEN}", text))
        text = " ".join(text.split())
        return text if len(text) <= limit else text[: limit - 3] + "..."


def _is_sendable(key: str) -> bool:
    """Whether a key can travel in a header."""
    return key.isascii() and key.isprintable()
