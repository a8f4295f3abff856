"""One turn of an agent: a task is made, a message sent, and the agent's messages read until the turn is over.

The protocol is JSON-RPC 2.0 over POST, written down for who implements it in `docs/reference/agents.md`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import uuid_utils

from assay.core.endpoints import Endpoint
from assay.core.results import ErrorType, TaskError, Usage
from assay.ports.applications import Applications
from assay.registry.application_calls import short

CompletionMode = Literal["first_message", "turn_quiescence"]

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
COMPLETED = "COMPLETED"
FAILED = ("FAILED", "CANCELED", "CANCELLED", "TERMINATED", "TIMED_OUT", "DELETED")
MOST_MESSAGES = 1000


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked of an agent. `content` is the message's: text, or an object where `kind` is `data`."""

    content: Any
    kind: Literal["text", "data"] = "text"
    params: Mapping[str, Any] = field(default_factory=dict)
    completion: CompletionMode = "first_message"
    quiescence_seconds: float = 5.0
    timeout_seconds: float = 600.0
    deployment_id: str | None = None
    include_traces: bool = False


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ended: the agent's messages since the message that was sent, or an error. `spans` are as the agent
    told them; `ignored` says why there are none though they were asked for."""

    messages: Sequence[Mapping[str, Any]] = ()
    error: TaskError | None = None
    usage: Usage = field(default_factory=Usage)
    task_id: str | None = None
    status: str | None = None
    spans: tuple[Mapping[str, Any], ...] = ()
    ignored: str | None = None
    raw: str | None = None


class _Broken(Exception):
    """The turn cannot go on."""

    def __init__(self, kind: ErrorType, message: str, raw: str | None = None) -> None:
        super().__init__(message)
        self.error = TaskError(kind, message[:2000])
        self.raw = raw


async def run_turn(applications: Applications, endpoint: Endpoint, turn: Turn) -> TurnEnd:
    """One turn. What the agent does is in the end, never raised.

    Error types: the port's; `timeout` for a turn that is not over in time, `inference_error` for an error that the
    agent answers and for a task that failed, `invalid_output` for an answer that is not the protocol's and a task
    that ends without a message.
    """
    conversation = _Conversation(applications, _pinned(endpoint, turn.deployment_id), turn)
    async with applications.turn(endpoint):
        began = time.perf_counter()
        try:
            async with asyncio.timeout(turn.timeout_seconds):
                end = await conversation.run()
        except TimeoutError:
            message = f"{endpoint.where}: the turn is not over after {turn.timeout_seconds:g} s"
            end = TurnEnd(conversation.messages, TaskError(ErrorType.TIMEOUT, message))
        except _Broken as broken:
            end = TurnEnd(conversation.messages, broken.error, raw=broken.raw)
        usage = Usage(latency=time.perf_counter() - began)
    return replace(end, usage=usage, task_id=conversation.task_id, status=conversation.status)


class _Conversation:
    """A turn as it goes on."""

    def __init__(self, applications: Applications, endpoint: Endpoint, turn: Turn) -> None:
        self._applications = applications
        self._endpoint = endpoint
        self._turn = turn
        self._before = 0
        self.task_id: str | None = None
        self.status: str | None = None
        self.messages: Sequence[Mapping[str, Any]] = ()

    async def run(self) -> TurnEnd:
        """From the task's creation to the turn's end."""
        turn = self._turn
        created = await self._ask("task/create", {"params": {**turn.params, "is_eval": True}})
        self.task_id = created.get("id")
        if not isinstance(self.task_id, str) or not self.task_id:
            raise self._strange("task/create gives no task with an id", created)
        self._before = len(_from_agent(created))
        message = {"author": "user", "type": turn.kind, "content": turn.content}
        self._read(await self._ask("message/send", {"task_id": self.task_id, "message": message}))
        await self._until_over()
        if not self.messages:
            raise _Broken(ErrorType.INVALID_OUTPUT, f"{self._endpoint.where}: the task ended without a message")
        spans, ignored = await self._spans() if turn.include_traces else ((), None)
        return TurnEnd(self.messages, spans=spans, ignored=ignored)

    async def _until_over(self) -> None:
        """Read the task until the turn is over."""
        pause = FIRST_PAUSE
        changed_at = time.monotonic()
        while not self._is_over(time.monotonic() - changed_at):
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
            before = self.messages
            self._read(await self._ask("task/get", {"task_id": self.task_id}))
            if self.messages != before:
                changed_at = time.monotonic()
                pause = FIRST_PAUSE

    def _is_over(self, quiet: float) -> bool:
        if self.status in FAILED:
            raise _Broken(ErrorType.INFERENCE_ERROR, f"{self._endpoint.where}: the agent's task ended as {self.status}")
        if self.status == COMPLETED:
            return True
        if not self.messages or self.messages[-1].get("done") is False:
            return bool(self.messages[:-1]) and self._turn.completion == "first_message"
        return self._turn.completion == "first_message" or quiet >= self._turn.quiescence_seconds

    def _read(self, task: Mapping[str, Any]) -> None:
        status = task.get("status")
        self.status = status.upper()[:50] if isinstance(status, str) else None
        self.messages = _from_agent(task)[self._before :]

    async def _spans(self) -> tuple[tuple[Mapping[str, Any], ...], str | None]:
        """The task's spans. An agent that cannot tell them has answered all the same."""
        try:
            found = (await self._ask("span/list", {"task_id": self.task_id})).get("spans")
        except _Broken as broken:
            return (), broken.error.message
        if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
            return (), "what span/list gives as spans is no list of objects"
        return tuple(found[:MOST_MESSAGES]), None

    async def _ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """One call's result. The id is new for each call and the same when a call is repeated."""
        request = {"jsonrpc": "2.0", "id": str(uuid_utils.uuid7()), "method": method, "params": params}
        reply = await self._applications.call(self._endpoint, request)
        if reply.error is not None:
            raise _Broken(reply.error.type, f"{reply.error.message} ({method})", reply.raw)
        body = reply.body
        error = body.get("error") if isinstance(body, Mapping) else None
        if error is not None:
            code = error.get("code") if isinstance(error, Mapping) else None
            shown = code if type(code) is int and abs(code) < 10**6 else "without a code"
            message = f"{self._endpoint.where}: {method} gives the error {shown}"
            raise _Broken(ErrorType.INFERENCE_ERROR, message, short(error))
        if not isinstance(body, Mapping) or not isinstance(body.get("result"), Mapping):
            raise self._strange(f"what {method} gives is no answer of JSON-RPC with an object as its result", body)
        result: Mapping[str, Any] = body["result"]
        return result

    def _strange(self, reason: str, body: Any) -> _Broken:
        return _Broken(ErrorType.INVALID_OUTPUT, f"{self._endpoint.where}: {reason}", short(body))


def _from_agent(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The agent's messages in a task, in order."""
    messages = task.get("messages")
    if not isinstance(messages, list):
        return []
    return [each for each in messages if isinstance(each, Mapping) and each.get("author") == "agent"][:MOST_MESSAGES]


def _pinned(endpoint: Endpoint, deployment_id: str | None) -> Endpoint:
    """The endpoint of one deployment: a path below the agent's own."""
    if deployment_id is None:
        return endpoint
    parts = urlsplit(endpoint.url)
    path = f"{parts.path.rstrip('/')}/deployments/{quote(deployment_id, safe='')}"
    return replace(endpoint, url=parts._replace(path=path).geturl())
