"""Where an application answers and how it is spoken to: its URL, its headers, and the mappings of what it is sent
and of what it says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

from assay.core.errors import InvalidInput, Problem

Loc = tuple[str | int, ...]
Format = Literal["json", "text", "sse"]
Protocol = Literal["http", "agent"]

ROOTS = ("inputs", "history", "operation_metadata", "overrides")
"""What a request mapping can place."""

METHODS = ("POST", "PUT", "PATCH", "GET")
FORMATS: tuple[Format, ...] = ("json", "text", "sse")
PROTOCOLS: tuple[Protocol, ...] = ("http", "agent")
LONGEST_URL = 2000
LONGEST_TEXT = 4000
MOST_HEADERS = 50
MOST_OUTPUTS = 100
LONGEST_TIMEOUT = 3600

DEFAULT_REQUEST: Mapping[str, str] = {root: f"{{{{{root}}}}}" for root in ROOTS}

_KEYS = ("url", "method", "headers", "request", "response", "protocol", "timeout_seconds", "max_attempts")
_RESPONSE_KEYS = ("format", "output", "extra_info", "spans", "usage")
_USAGE_KEYS = ("prompt_tokens", "completion_tokens")
_URL = re.compile(r"https?://[A-Za-z0-9.\-_~:/?#\[\]@!$&'()*+,;=%]+")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]*)?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_SECRET_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NUMBERS = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+))*\.?")
_QUAD = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")
_OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "host", "keep-alive", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})


@dataclass(frozen=True, slots=True)
class SecretHeader:
    """A header whose value is kept in the server's settings: its name there, and what stands before it."""

    secret: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class ResponseMapping:
    """Where in an answer things are, as dotted paths; the empty path is the whole answer.

    `output` is one path, or several by name, which make an object. In server-sent events a path is looked for in
    each event: texts at `output` are joined, of everything else the last one counts.
    """

    format: Format = "json"
    output: str | Mapping[str, str] = ""
    extra_info: str | None = None
    spans: str | None = None
    prompt_tokens: str | None = None
    completion_tokens: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An application's endpoint, as it was checked by `read_endpoint`. Holds no secret, only their names.

    `protocol`: `http` is one request and one answer by the two mappings, `agent` the protocol of tasks and
    messages, which has none. `timeout_seconds` bounds each call; None: as the server is set.
    """

    url: str
    method: str = "POST"
    headers: Mapping[str, str | SecretHeader] = field(default_factory=dict)
    request: Any = field(default_factory=lambda: dict(DEFAULT_REQUEST))
    response: ResponseMapping = field(default_factory=ResponseMapping)
    protocol: Protocol = "http"
    timeout_seconds: float | None = None
    max_attempts: int | None = None

    @property
    def host(self) -> str:
        """The host's name or address, in lower case, without brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, by the scheme where the URL names none."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_endpoint(value: Any, loc: Loc = ("endpoint",)) -> Endpoint:
    """The endpoint that a JSON value describes. Raises InvalidInput with a place for each fault; no fault shows a
    header's value."""
    reader = _Reader(loc)
    endpoint = reader.endpoint(value)
    if endpoint is None or reader.problems:
        raise InvalidInput(reader.problems)
    return endpoint


def url_problem(url: Any) -> str | None:
    """What is wrong with an application's URL in itself; None when it can be looked up."""
    if not isinstance(url, str) or not url:
        return "must be a URL that begins with http:// or https://"
    if len(url) > LONGEST_URL:
        return f"is {len(url)} characters long; at most {LONGEST_URL}"
    if not url.lower().startswith(("http://", "https://")):
        return "must begin with http:// or https://"
    if not _URL.fullmatch(url[:5].lower() + url[5:]):
        return "holds characters that no URL holds; write them as %XX, and a host's name in ASCII"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if "@" in parts.netloc:
        return "must hold no user or password; send a header by a secret's name instead"
    if parts.fragment:
        return "must hold no fragment"
    if port == 0:
        return "names the port 0"
    return _host_problem(parts)


def _host_problem(parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    if not host:
        return "names no host"
    if not _AUTHORITY.fullmatch(parts.netloc):
        return "names no host that can be looked up"
    if ":" in host:
        return None if _is_address(host) else "names no host that can be looked up"
    if _NUMBERS.fullmatch(host) and not _QUAD.fullmatch(host):
        return "must write an address as four decimal numbers"
    return None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def placeholders(text: str) -> Iterator[re.Match[str]]:
    """The `{{...}}` in a text; group 1 is what stands between the braces."""
    return _PLACEHOLDER.finditer(text)


class _Reader:
    """Reads an endpoint and gathers what is wrong with it."""

    def __init__(self, loc: Loc) -> None:
        self.loc = loc
        self.problems: list[Problem] = []

    def fault(self, loc: Loc, message: str, kind: str = "invalid_endpoint") -> None:
        """Note what is wrong; the value itself is not kept, for it may be a key in the wrong place."""
        self.problems.append(Problem((*self.loc, *loc), message, kind))

    def endpoint(self, value: Any) -> Endpoint | None:
        if not isinstance(value, Mapping):
            self.fault((), "must be an object with a url", "dict_type")
            return None
        self.known(value, (), _KEYS)
        problem = url_problem(value.get("url"))
        if problem is not None:
            self.fault(("url",), problem, "invalid_url")
        protocol = self.word(value, "protocol", PROTOCOLS, "http")
        method = self.word(value, "method", METHODS, "POST")
        headers = self.headers(value.get("headers"))
        if protocol == "agent":
            for key in ("method", "request", "response"):
                if value.get(key) is not None:
                    self.fault((key,), "is not for the protocol agent, which says itself what is sent and answered")
        request = value.get("request")
        if request is None:
            request = dict(DEFAULT_REQUEST)
        self.request(request, ("request",))
        if method == "GET":
            self.flat(request)
        return Endpoint(
            url=str(value.get("url")),
            method=method,
            headers=headers,
            request=request,
            response=self.response(value.get("response")),
            protocol="agent" if protocol == "agent" else "http",
            timeout_seconds=self.number(value, "timeout_seconds", LONGEST_TIMEOUT, whole=False),
            max_attempts=self.number(value, "max_attempts", 10, whole=True),
        )

    def known(self, value: Mapping[str, Any], loc: Loc, keys: Sequence[str]) -> None:
        for key in value:
            if key not in keys:
                self.fault((*loc, str(key)[:100]), f"is unknown; there are: {', '.join(keys)}", "unknown_key")

    def word(self, value: Mapping[str, Any], key: str, words: Sequence[str], default: str) -> str:
        given = value.get(key)
        if given is None:
            return default
        if not isinstance(given, str) or given not in words:
            self.fault((key,), f"must be one of: {', '.join(words)}", "enum")
            return default
        return given

    def number(self, value: Mapping[str, Any], key: str, most: int, *, whole: bool) -> Any:
        given = value.get(key)
        if given is None:
            return None
        right = type(given) is int or (not whole and type(given) is float)
        if not right or not 0 < given <= most:
            self.fault((key,), f"must be a {'whole ' if whole else ''}number above 0 and at most {most}", "number")
            return None
        return given

    def headers(self, value: Any) -> Mapping[str, str | SecretHeader]:
        if value is None:
            return {}
        if not isinstance(value, Mapping) or len(value) > MOST_HEADERS:
            self.fault(("headers",), f"must be an object of at most {MOST_HEADERS} headers", "dict_type")
            return {}
        found: dict[str, str | SecretHeader] = {}
        for name, given in value.items():
            loc = ("headers", str(name)[:100])
            if not _HEADER_NAME.fullmatch(name) or name.lower() in _OURS:
                self.fault(loc, "cannot be set as a header", "invalid_header")
            elif name.lower() in {other.lower() for other in found}:
                self.fault(loc, "is there twice", "invalid_header")
            elif isinstance(given, str):
                if name.lower() in _SECRET_HEADERS:
                    message = 'must come from a secret: {"secret": "<name>", "prefix": "Bearer "}'
                    self.fault(loc, message, "invalid_header")
                elif self.printable(given, loc):
                    found[name] = given
            else:
                secret = self.secret(given, loc)
                if secret is not None:
                    found[name] = secret
        return found

    def secret(self, value: Any, loc: Loc) -> SecretHeader | None:
        if not isinstance(value, Mapping):
            self.fault(loc, 'must be text or {"secret": "<name>"}', "invalid_header")
            return None
        self.known(value, loc, ("secret", "prefix"))
        name, prefix = value.get("secret"), value.get("prefix") or ""
        if not isinstance(name, str) or not _SECRET_NAME.fullmatch(name):
            self.fault((*loc, "secret"), "must be the name of a secret in the server's settings", "invalid_secret")
            return None
        if not isinstance(prefix, str) or not self.printable(prefix, (*loc, "prefix")):
            return None
        return SecretHeader(name.lower(), prefix)

    def printable(self, text: str, loc: Loc) -> bool:
        if len(text) <= LONGEST_TEXT and text.isascii() and (text.isprintable() or not text):
            return True
        self.fault(loc, "holds characters that no header may hold, or too many", "invalid_header")
        return False

    def request(self, value: Any, loc: Loc) -> None:
        """Every placeholder names something that a request can hold."""
        if isinstance(value, str):
            for found in placeholders(value):
                root, dot, path = found[1].partition(".")
                if root not in ROOTS or (dot and not path):
                    shown = found[0][:100]
                    message = f"{shown} is unknown; placeholders are {{{{inputs}}}}, {{{{inputs.<name>}}}} and so on"
                    self.fault(loc, f"{message}, with {', '.join(ROOTS)}", "unknown_placeholder")
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                self.request(inner, (*loc, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self.request(inner, (*loc, index))

    def flat(self, request: Any) -> None:
        if not isinstance(request, Mapping) or any(isinstance(inner, dict | list) for inner in request.values()):
            self.fault(("request",), "of a GET must be an object without objects or lists inside: it is the query")

    def response(self, value: Any) -> ResponseMapping:
        loc = ("response",)
        if value is None:
            return ResponseMapping()
        if not isinstance(value, Mapping):
            self.fault(loc, "must be an object", "dict_type")
            return ResponseMapping()
        self.known(value, loc, _RESPONSE_KEYS)
        form = value.get("format", "json")
        if form not in FORMATS:
            self.fault((*loc, "format"), f"must be one of: {', '.join(FORMATS)}", "enum")
            form = "json"
        if form == "text":
            for key in ("output", "extra_info", "spans", "usage"):
                if value.get(key):
                    self.fault((*loc, key), "cannot be found in text: the whole text is the output")
        usage = value.get("usage") or {}
        if not isinstance(usage, Mapping):
            self.fault((*loc, "usage"), f"must be an object of {' and '.join(_USAGE_KEYS)}", "dict_type")
            usage = {}
        self.known(usage, (*loc, "usage"), _USAGE_KEYS)
        return ResponseMapping(
            format=form,
            output=self.output(value.get("output"), (*loc, "output")),
            extra_info=self.path(value.get("extra_info"), (*loc, "extra_info")),
            spans=self.path(value.get("spans"), (*loc, "spans")),
            prompt_tokens=self.path(usage.get("prompt_tokens"), (*loc, "usage", "prompt_tokens")),
            completion_tokens=self.path(usage.get("completion_tokens"), (*loc, "usage", "completion_tokens")),
        )

    def output(self, value: Any, loc: Loc) -> str | Mapping[str, str]:
        if not isinstance(value, Mapping):
            return self.path(value, loc) or ""
        if not 0 < len(value) <= MOST_OUTPUTS:
            self.fault(loc, f"must be a path, or 1 to {MOST_OUTPUTS} of them by name")
        return {name: self.path(inner, (*loc, name)) or "" for name, inner in value.items()}

    def path(self, value: Any, loc: Loc) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            self.fault(loc, "must be a dotted path into the answer, as text", "string_type")
            return None
        return value
