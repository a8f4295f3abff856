"""Applications under evaluation: HTTP endpoints that users register, and that may do anything."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from assay.core.endpoints import Endpoint
from assay.core.results import ErrorType, TaskError, Usage


@dataclass(frozen=True, slots=True)
class EndpointProblem:
    """Why an endpoint cannot be called from this server; `loc` is inside the endpoint."""

    loc: tuple[str | int, ...]
    message: str


@dataclass(frozen=True, slots=True)
class ApplicationReply:
    """What an endpoint answered: the parsed JSON, for `text` the text, for `sse` the list of events (parsed where
    they are JSON); or an error. `usage` holds the last attempt's round trip and the number of attempts. `raw` is
    a short excerpt of an answer that could not be used, without secrets.

    Error types: `timeout`, `inference_error` (refused, unreachable, an HTTP status that is no success),
    `invalid_output` (an answer that is too large or not in the format). Messages name host and status, never the
    answer's text or a header.
    """

    body: Any = None
    error: TaskError | None = None
    usage: Usage = field(default_factory=Usage)
    raw: str | None = None


class Applications(Protocol):
    """Calls applications, a bounded number at a time for each host, and only at addresses that are allowed."""

    async def problems(self, endpoint: Endpoint) -> Sequence[EndpointProblem]:
        """Why the endpoint would be refused: an address that may not be reached, a secret that is not there or
        not for this host. A name that cannot be looked up now is no problem yet."""
        ...

    async def call(self, endpoint: Endpoint, body: Any, *, timeout: float | None = None) -> ApplicationReply:
        """One request with a JSON body (for GET: a flat object, sent as the query). Addresses and secrets are
        checked again. `timeout` bounds each attempt, in seconds, where it is shorter than the endpoint's own."""
        ...

    def turn(self, endpoint: Endpoint) -> AbstractAsyncContextManager[None]:
        """A place for a conversation of several calls, waited for: as many at a time for each host as calls. The
        calls inside take their own places too."""
        ...

    async def close(self) -> None:
        """Close connections. Idempotent."""
        ...


class NoApplications:
    """Applications where none can be called: every endpoint is refused."""

    _WHY = "this process calls no applications"

    async def problems(self, endpoint: Endpoint) -> Sequence[EndpointProblem]:
        """That there are none."""
        return (EndpointProblem(("url",), self._WHY),)

    async def call(self, endpoint: Endpoint, body: Any, *, timeout: float | None = None) -> ApplicationReply:
        """The refusal."""
        return ApplicationReply(error=TaskError(ErrorType.INFERENCE_ERROR, self._WHY), usage=Usage(attempts=0))

    def turn(self, endpoint: Endpoint) -> AbstractAsyncContextManager[None]:
        """No waiting: there is nothing to wait for."""
        return nullcontext()

    async def close(self) -> None:
        """Nothing to close."""
