"""Secrets by name: who may have them, and how they are kept out of what is shown."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from assay.core.endpoints import Endpoint, SecretHeader
from assay.ports.applications import EndpointProblem
from assay.settings import SecretSettings

HIDDEN = "[hidden]"
SHORTEST_HIDDEN = 4
"""Shorter secrets are not looked for in answers: they would be found everywhere."""

_TOKEN = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',]+")
_KEY = re.compile(r"\bsk-[\w-]{6,}")


class Secrets:
    """The secrets in the settings. Values leave this object only as headers to the hosts that they are for."""

    def __init__(self, settings: Mapping[str, SecretSettings], environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._values = {name: _value(each, environ) for name, each in settings.items()}

    def problems(self, endpoint: Endpoint) -> Iterator[EndpointProblem]:
        """Secrets that the endpoint's headers name and cannot have."""
        for header, value in endpoint.headers.items():
            if isinstance(value, SecretHeader):
                problem = self._problem(value.secret, endpoint)
                if problem is not None:
                    yield EndpointProblem(("headers", header, "secret"), problem)

    def _problem(self, name: str, endpoint: Endpoint) -> str | None:
        settings = self._settings.get(name)
        if settings is None or not {endpoint.host, endpoint.where} & set(settings.hosts):
            # One answer for both: which secrets there are is nobody's business.
            return (
                f"there is no secret {name!r} for {endpoint.where}: add [secrets.{name}] to assay.toml, "
                "with the host among its hosts"
            )
        value = self._values[name]
        if not value:
            return f"the secret {name!r} has no value in the server's environment"
        if not (value.isascii() and value.isprintable()):
            return f"the secret {name!r} holds characters that no header may hold"
        return None

    def headers(self, endpoint: Endpoint) -> dict[str, str]:
        """The endpoint's headers with their values. Only for an endpoint without problems."""
        return {
            name: value if isinstance(value, str) else value.prefix + (self._values[value.secret] or "")
            for name, value in endpoint.headers.items()
        }

    def hidden(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The values that an answer of this endpoint could repeat."""
        names = {value.secret for value in endpoint.headers.values() if isinstance(value, SecretHeader)}
        values = {self._values.get(name) or "" for name in names}
        return tuple(value for value in values if len(value) >= SHORTEST_HIDDEN)


def without(value: Any, hidden: tuple[str, ...]) -> Any:
    """A JSON value in which no text holds one of the secrets. Walks without recursion: answers nest as they like."""
    if not hidden:
        return value
    root = [value]
    waiting: list[list[Any] | dict[Any, Any]] = [root]
    while waiting:
        container = waiting.pop()
        places = list(container.items()) if isinstance(container, dict) else list(enumerate(container))
        for place, inner in places:
            if isinstance(inner, dict | list):
                waiting.append(inner)
            elif isinstance(inner, str):
                container[place] = _without(inner, hidden)
            if isinstance(container, dict) and (clean := _without(str(place), hidden)) != place:
                container[clean] = container.pop(place)
    return root[0]


def excerpt(body: bytes, hidden: tuple[str, ...], limit: int = 500) -> str:
    """The beginning of an answer, on one line, without secrets and what looks like one."""
    text = _without(body[: 8 * limit].decode("utf-8", "replace"), hidden)
    text = _KEY.sub(HIDDEN, _TOKEN.sub(rf"\1 {HIDDEN}", text))
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _without(text: str, hidden: tuple[str, ...]) -> str:
    for secret in hidden:
        text = text.replace(secret, HIDDEN)
    return text


def _value(settings: SecretSettings, environ: Mapping[str, str]) -> str | None:
    value = settings.value if settings.env is None else environ.get(settings.env)
    return value.strip() if value else None
