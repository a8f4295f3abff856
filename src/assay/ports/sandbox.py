"""The sandbox that runs users' functions: no network, no files, no environment, bounded time and memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from assay.core.results import TaskError


@dataclass(frozen=True, slots=True)
class FunctionReturn:
    """What a call gave: a JSON value (finite numbers only) or an error, and its time in seconds."""

    value: Any = None
    error: TaskError | None = None
    seconds: float = 0.0


class Sandbox(Protocol):
    """Runs a function's source, which `core.functions` has already accepted, on JSON arguments.

    Hostile code is expected: whatever it does, `call` returns within about `timeout` seconds of the moment
    the call begins to run, with a value or an error of type `function_error`, `timeout` or
    `invalid_output`, and neither other functions nor the server notice. Calls of one source may share a
    worker and see each other's module state; different sources never do.
    """

    name: str
    """Which sandbox is in force, e.g. `bubblewrap` or `monty`; recorded with results."""

    async def call(self, source: str, arguments: Mapping[str, Any], *, timeout: float = 10.0) -> FunctionReturn:
        """Call the function once. Concurrent calls of the same source are batched to one worker."""
        ...

    async def call_many(
        self,
        source: str,
        calls: Sequence[Mapping[str, Any]],
        *,
        timeout: float = 10.0,
        total_timeout: float = 30.0,
    ) -> list[FunctionReturn]:
        """Call the function once a mapping, in order; calls that `total_timeout` cut off are `timeout` errors."""
        ...

    async def close(self) -> None:
        """Stop every worker. Idempotent."""
        ...
