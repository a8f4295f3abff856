"""People at an API in process: each with a key of their own, asking, claiming and answering over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from assay.adapters.clock import SystemClock
from assay.core.identity import Identity
from assay.services.access import Access
from tests.builders.evaluating import EvaluatingApi

LAYOUT: dict[str, Any] = {"children": [{"data": "item.answer", "label": "The answer"}], "direction": "column"}
TASKS = "/v5/annotation-tasks"


@dataclass
class People:
    """Everybody who works on an API's annotation tasks, by name; whoever is new gets a key."""

    api: EvaluatingApi
    keys: dict[str, str] = field(default_factory=dict)

    async def send(self, name: str, method: str, path: str, **more: Any) -> httpx.Response:
        """A request by somebody."""
        if name not in self.keys:
            await self.gets_a_key(name)
        return await self.api.served.raw.request(method, path, headers={"x-api-key": self.keys[name]}, **more)

    async def gets_a_key(self, name: str, **more: Any) -> None:
        """Make a key for somebody."""
        access = Access(self.api.storage, SystemClock())
        self.keys[name] = (await access.create_key(name, identity=Identity(name), **more))[1]

    async def claim(self, name: str, **body: Any) -> dict[str, Any] | None:
        """The task that somebody gets."""
        reply = await self.send(name, "POST", f"{TASKS}/claim", json=body)
        assert reply.status_code == 200, reply.text
        task: dict[str, Any] | None = reply.json()["task"]
        return task

    async def act(self, name: str, task: Mapping[str, Any] | str, action: str, **body: Any) -> httpx.Response:
        """Something done to a task."""
        task_id = task if isinstance(task, str) else task["id"]
        return await self.send(name, "POST", f"{TASKS}/{task_id}/{action}", json=body)

    async def does(self, name: str, answers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """Somebody claims the next task and answers it; the task as it was claimed."""
        task = await self.claim(name, **more)
        assert task is not None
        reply = await self.act(name, task, "answer", answers=answers)
        assert reply.status_code == 200, reply.text
        return task

    async def audits(self, name: str, verdict: str, **said: Any) -> dict[str, Any]:
        """Somebody claims the next audit and gives a verdict; the task as it is then."""
        task = await self.claim(name, task_type="CONTRIBUTOR_AUDIT")
        assert task is not None
        reply = await self.act(name, task, "audit", verdict=verdict, **said)
        assert reply.status_code == 200, reply.text
        audited: dict[str, Any] = reply.json()
        return audited

    async def asks(self, **question: Any) -> str:
        """A question's id; a choice of good and bad unless told otherwise."""
        body = {"question_type": "categorical", "configuration": {"choices": ["good", "bad"]}, **question}
        reply = await self.api.served.raw.post(
            "/v5/questions", json={"name": "quality", "prompt": "How is it?", **body}
        )
        assert reply.status_code == 200, reply.text
        question_id: str = reply.json()["id"]
        return question_id

    async def items(self, evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
        """An evaluation's items."""
        reply = await self.api.served.raw.get("/v5/evaluation-items", params={"evaluation_id": evaluation["id"]})
        items: list[dict[str, Any]] = reply.json()["items"]
        return items

    async def read(self, path: str, **params: Any) -> Any:
        """What a path answers."""
        reply = await self.api.served.raw.get(path, params=params)
        assert reply.status_code == 200, reply.text
        return reply.json()


def contributor_task(question_id: str, alias: str = "quality", /, **configuration: Any) -> dict[str, Any]:
    """A contributor task that shows the column `answer`."""
    settings = {"question_id": question_id, "layout": LAYOUT, **configuration}
    return {"task_type": "contributor_evaluation.question", "alias": alias, "configuration": settings}
