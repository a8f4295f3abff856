"""The task type `auto_evaluation.agent`: a named agent judges each item by a criterion."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel

from assay.core.model_calls import ModelCall
from assay.core.results import Outcome
from assay.judging.agents import (
    AgentConfiguration,
    agent_faults,
    agent_fields,
    agent_inquiry,
    agent_model,
    with_model,
)
from assay.judging.asking import ask
from assay.registry.task_types import ConfigurationProblem, Reading, Reference, Services


class TaskType:
    """One judgement of each item by one criterion, in one call of a model.

    The result has `output_type` (text unless said otherwise) and is one of `output_values`, if they are given.
    Errors: `invalid_output` for an answer that is not, after one attempt at repair; its text is kept in the
    result's detail, as are the reasons of a good one. A rubric is the one of its version, or of now.
    """

    name: ClassVar[str] = "auto_evaluation.agent"
    executes: ClassVar[bool] = True
    judges: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = AgentConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset()

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """`auto_evaluation_agent`."""
        return "auto_evaluation_agent"

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """None beside the readings."""
        return ()

    def readings(
        self, configuration: Mapping[str, Any], columns: Sequence[str], known: Collection[str]
    ) -> Sequence[Reading]:
        """What the judge is shown."""
        return [Reading(*field) for field in agent_fields(configuration, columns, known)]

    def references(self, configuration: Mapping[str, Any]) -> Sequence[Reference]:
        """The rubric, if there is one."""
        rubric_id, version = configuration.get("rubric_id"), configuration.get("rubric_version")
        return [] if rubric_id is None else [Reference("rubric", rubric_id, "rubric", ("rubric_id",), version)]

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """The judge can be called, and the answers that are allowed can be given."""
        problems = [ConfigurationProblem(loc, message) for loc, message in agent_faults(configuration)]
        loc, model = agent_model(configuration)
        problem = services.models.problem(model)
        return problems if problem is None else [ConfigurationProblem(loc, problem), *problems]

    def completed(self, configuration: dict[str, Any], services: Services) -> dict[str, Any]:
        """With the server's judge, where none is named."""
        return with_model(configuration, services.judge_model)

    def calls(self, configuration: Mapping[str, Any]) -> Sequence[ModelCall]:
        """The one judgement; a second attempt is not foreseen."""
        if "item" not in configuration:
            return [ModelCall(agent_model(configuration)[1], {}, "ask")]
        return [agent_inquiry(configuration).call]

    async def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """One judgement, or why there is none."""
        return await ask(services.models, agent_inquiry(configuration))
