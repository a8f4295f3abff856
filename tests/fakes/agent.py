"""An agent behind the port `Applications`, whose task goes through states that a test writes down; and the agent
of the documentation as a process."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from assay.core.endpoints import Endpoint
from assay.core.results import ErrorType, TaskError
from assay.ports.applications import ApplicationReply, EndpointProblem

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "agent.py"


def said(*contents: Any, status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """A task in which the agent has said so much; `more` is of its last message."""
    messages: list[dict[str, Any]] = [{"author": "agent", "type": "text", "content": content} for content in contents]
    if messages:
        messages[-1].update(more)
    return {"status": status, "messages": [{"author": "user", "content": "?"}, *messages]}


class FakeAgent:
    """`states` are what message/send and then each task/get give; the last one stays. An `ErrorType` is a failed
    call, and a value under another method's name is that method's whole answer."""

    def __init__(self, *states: Any, **answers: Any) -> None:
        self._states = list(states)
        self._answers = {name.replace("_", "/"): answer for name, answer in answers.items()}
        self.calls: list[tuple[str, Any]] = []
        self.urls: list[str] = []
        self.ids: list[str] = []

    async def problems(self, endpoint: Endpoint) -> Sequence[EndpointProblem]:
        """None."""
        return ()

    def turn(self, endpoint: Endpoint) -> AbstractAsyncContextManager[None]:
        """No waiting."""
        return nullcontext()

    async def call(self, endpoint: Endpoint, body: Any, *, timeout: float | None = None) -> ApplicationReply:
        """The next answer."""
        method, params = body["method"], body["params"]
        self.calls.append((method, params))
        self.urls.append(endpoint.url)
        self.ids.append(body["id"])
        if method in self._answers:
            return self._reply(self._answers[method])
        if method == "task/create":
            return self._reply({"id": "t1", "status": "RUNNING", "messages": []})
        state = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return self._reply(state)

    def _reply(self, answer: Any) -> ApplicationReply:
        if isinstance(answer, ErrorType):
            return ApplicationReply(error=TaskError(answer, "agent.example:80: HTTP 500"))
        if isinstance(answer, dict) and answer.keys() & {"error", "jsonrpc"}:
            return ApplicationReply(answer)
        return ApplicationReply({"jsonrpc": "2.0", "id": 1, "result": answer})

    async def close(self) -> None:
        """Nothing is open."""


@contextmanager
def running_example() -> Iterator[str]:
    """The URL of the documentation's agent, while it runs."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLE), "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.kill()
