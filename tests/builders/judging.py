"""Judges' tasks, over the wire and run by themselves, for a fake judge that answers what stands in `[[...]]` in
the item."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from assay.adapters.models import HttpModels
from assay.core.questions import question_document
from assay.core.results import ErrorType, Outcome
from assay.core.tasks import TaskSpec
from assay.registry.discovery import load_task_types
from assay.registry.task_types import Services
from assay.services.planning import compile_tasks
from assay.settings import VendorSettings
from tests.builders.catalogue import make_question
from tests.fakes.model_endpoint import FakeEndpoint


def question_task(question_id: str, prompt: str = "{{item.text}}", **more: Any) -> dict[str, Any]:
    """A question asked of the fake judge; `alias` and further configuration as given."""
    alias = {"alias": more.pop("alias")} if "alias" in more else {}
    configuration = {"model": "fake/judge", "prompt": prompt, "question_id": question_id, **more}
    return {"task_type": "auto_evaluation.question", **alias, "configuration": configuration}


def guided_task(prompt: str = "{{item.text}}", **more: Any) -> dict[str, Any]:
    """A guided decoding of the fake judge."""
    alias = {"alias": more.pop("alias")} if "alias" in more else {}
    configuration = {"model": "fake/judge", "prompt": prompt, **more}
    return {"task_type": "auto_evaluation.guided_decoding", **alias, "configuration": configuration}


def agent_task(**more: Any) -> dict[str, Any]:
    """A named agent with the fake judge."""
    alias = {"alias": more.pop("alias")} if "alias" in more else {}
    configuration = {
        "name": "Correct",
        "definition": "Is the output right?",
        "output_rules": ["Say yes when it is right."],
        "designated_to": {"agent_name": "BaseAgent", "config": {"model": "fake/judge"}},
        **more,
    }
    return {"task_type": "auto_evaluation.agent", **alias, "configuration": configuration}


@dataclass
class Judges:
    """A fake judge, and tasks run with it."""

    endpoint: FakeEndpoint
    services: Services

    async def run(
        self,
        task: Mapping[str, Any],
        values: Mapping[str, Any],
        material: Mapping[str, Any] | None = None,
        columns: Sequence[str] = (),
    ) -> Outcome:
        """The outcome of a task, as the wire has it, on an item with these values; `columns`: the evaluation's."""
        task_type = load_task_types()[task["task_type"]]
        model = task_type.Configuration.model_validate(task["configuration"])
        configuration = model.model_dump(mode="json", by_alias=True, exclude_unset=True)
        completed = getattr(task_type, "completed", None)
        if completed is not None:
            configuration = completed(configuration, self.services)
        assert not task_type.check(configuration, self.services)
        spec = TaskSpec(task["task_type"], "judge", configuration, material or {})
        (runnable,) = compile_tasks([spec], columns or list(values), load_task_types())
        return await cast("Any", task_type.run(runnable.resolve(values), self.services))

    async def asked(self, text: str = "[[Yes]]", *, prompt: str = "{{item.text}}", **question: Any) -> Outcome:
        """The outcome of a question about an item with that text."""
        document = question_document(make_question(**question))
        return await self.run(question_task("q", prompt), {"text": text}, {"question": document})


@asynccontextmanager
async def judges(**vendor: Any) -> AsyncIterator[Judges]:
    """A fake judge; `vendor` are settings of its vendor."""
    async with FakeEndpoint() as endpoint:
        base = endpoint.root if vendor.get("dialect") == "anthropic" else endpoint.url
        models = HttpModels({"fake": VendorSettings(**{"base_url": base, "max_attempts": 1, **vendor})}, {})
        yield Judges(endpoint, Services(models, cast("Any", None), {}, judge_model="fake/judge"))
        await models.close()


def unreadable(outcome: Outcome) -> str:
    """The message of an outcome that must be an unreadable answer, which is never a value."""
    assert outcome.error is not None
    assert outcome.error.type is ErrorType.INVALID_OUTPUT
    assert outcome.value is None
    return outcome.error.message
