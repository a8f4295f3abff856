"""Builders of request bodies, and the wait for an evaluation's end, for tests over the wire."""

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from scale_gp_beta import SGPClient
from scale_gp_beta.types import Evaluation, EvaluationItem

T = TypeVar("T")


def chat(content: str = "item.question", *, alias: str | None = None, **configuration: Any) -> dict[str, Any]:
    """A chat completion on the fake vendor, which answers with the user's message."""
    task = {
        "task_type": "chat_completion",
        "configuration": {
            "model": "fake/echo",
            "messages": [{"role": "user", "content": content}],
            **configuration,
        },
    }
    return task if alias is None else {**task, "alias": alias}


def metric(kind: str, candidate: str, reference: str, *, alias: str | None = None) -> dict[str, Any]:
    """A metric over two columns."""
    configuration = {"type": kind, "candidate": f"item.{candidate}", "reference": f"item.{reference}"}
    task: dict[str, Any] = {"task_type": "metric", "configuration": configuration}
    return task if alias is None else {**task, "alias": alias}


def function(source: str, *, alias: str | None = None, **configuration: Any) -> dict[str, Any]:
    """A custom function from its source."""
    task: dict[str, Any] = {
        "task_type": "custom_function",
        "configuration": {"function_source": source, **configuration},
    }
    return task if alias is None else {**task, "alias": alias}


def standalone(data: Iterable[dict[str, Any]], *tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body of an evaluation over rows of its own."""
    return {"name": "an evaluation", "data": list(data), "tasks": list(tasks), **more}


def finished(client: SGPClient, evaluation_id: str, timeout: float = 60.0) -> Evaluation:
    """The evaluation once it no longer runs."""
    return eventually(
        lambda: client.evaluations.retrieve(evaluation_id), lambda found: found.status != "running", timeout
    )


def run(
    client: SGPClient, evaluation: dict[str, Any], timeout: float = 60.0
) -> tuple[Evaluation, list[EvaluationItem]]:
    """Create an evaluation, wait for its end and read back its items, in order."""
    created = client.evaluations.create(evaluation=evaluation)  # type: ignore[arg-type]
    done = finished(client, created.id, timeout)
    return done, list(client.evaluation_items.list(evaluation_id=created.id))


def eventually(look: Callable[[], T], good: Callable[[T], bool], timeout: float = 30.0) -> T:
    """What `look` gives once it is `good`; the last look is in the error when it never is."""
    deadline = time.monotonic() + timeout
    while True:
        seen = look()
        if good(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {timeout} s: {seen!r}")
        time.sleep(0.02)
