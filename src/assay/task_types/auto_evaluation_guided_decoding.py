"""The task type `auto_evaluation.guided_decoding`: a model's answer held to choices, to a schema, or to a criterion."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from assay.core.locators import render
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
from assay.judging.answers import Reader
from assay.judging.asking import OWN_ARGUMENTS, Inquiry, ask
from assay.judging.conditions import condition_faults, condition_paths, holds, may_hold
from assay.judging.constrained import choice_reader, schema_reader
from assay.judging.prompts import QUOTED_RULE, system_message
from assay.judging.schemas import UnusableSchema
from assay.registry.task_types import ConfigurationProblem, Reading, Reference, Services

Loc = tuple[str | int, ...]
Text = Annotated[str, Field(min_length=1)]


class _Prompted(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    model: Annotated[str, Field(min_length=1, max_length=500, description="The judge: `vendor/model`.")]
    prompt: Annotated[Text, Field(description="The user message: text with `{{item.<column>}}` in it, or a locator.")]
    system_prompt: Annotated[str | None, Field(description="The beginning of the system message.")] = None
    inference_args: Annotated[
        dict[str, Any] | None, Field(description="Further members of the chat request, such as `temperature`.")
    ] = None
    run_condition: Annotated[
        Any, Field(description="An expression tree; an item for which it is not true is skipped.")
    ] = None


class ChoicesConfiguration(_Prompted):
    """An answer that is one of some texts."""

    choices: Annotated[list[Text], Field(min_length=1, max_length=10_000)]

    @field_validator("choices")
    @classmethod
    def _differ(cls, choices: list[str]) -> list[str]:
        first: dict[str, int] = {}
        for index, choice in enumerate(choices):
            if first.setdefault(choice, index) != index:
                raise ValueError(f"the choice at {index} is the same as that at {first[choice]}")
        return choices


class StructuredConfiguration(_Prompted):
    """An answer that is an object by a JSON Schema, given bare or in OpenAI's wrapper."""

    response_format: dict[str, Any]


Variant = ChoicesConfiguration | StructuredConfiguration | AgentConfiguration

_VARIANTS: Mapping[str, type[Variant]] = {
    "choices": ChoicesConfiguration,
    "response_format": StructuredConfiguration,
    "definition": AgentConfiguration,
}


class GuidedDecodingConfiguration(RootModel[Variant]):
    """Choices, or a schema, or a criterion: told apart by which of `choices`, `response_format` and `definition`
    is there."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        """The configuration as the one of the three that it is, so that what is wrong is said of that one alone."""
        given = [key for key in _VARIANTS if isinstance(obj, Mapping) and obj.get(key) is not None]
        if len(given) != 1:
            message = f"give exactly one of {', '.join(_VARIANTS)}, not {' and '.join(given) or 'none of them'}"
            fault = InitErrorDetails(type=PydanticCustomError("variant", message), loc=(), input=None)
            raise ValidationError.from_exception_data(cls.__name__, [fault])
        return cast("Self", cls.model_construct(root=_VARIANTS[given[0]].model_validate(obj, **options)))


class TaskType:
    """One answer of a model about each item, held to what the configuration allows.

    The result is one of `choices`, an object that matches `response_format`, or what `auto_evaluation.agent`
    gives. Errors: `invalid_output` for any other answer, after one attempt at repair; its text is kept in the
    result's detail. An item for which `run_condition` is not true is skipped.
    """

    name: ClassVar[str] = "auto_evaluation.guided_decoding"
    executes: ClassVar[bool] = True
    judges: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = GuidedDecodingConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset({"prompt", "system_prompt"})

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """`auto_evaluation_guided_decoding`."""
        return "auto_evaluation_guided_decoding"

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[Loc, str]]:
        """None beside the readings."""
        return ()

    def readings(
        self, configuration: Mapping[str, Any], columns: Sequence[str], known: Collection[str]
    ) -> Sequence[Reading]:
        """What the run condition looks at, or what an agent is shown."""
        if "definition" in configuration:
            return [Reading(*field) for field in agent_fields(configuration, columns, known)]
        condition = configuration.get("run_condition")
        paths = () if condition is None else condition_paths(condition)
        return [Reading(locator, locator, ("run_condition", *loc), required=False) for loc, locator in paths]

    def references(self, configuration: Mapping[str, Any]) -> Sequence[Reference]:
        """An agent's rubric, if there is one."""
        rubric_id, version = configuration.get("rubric_id"), configuration.get("rubric_version")
        return [] if rubric_id is None else [Reference("rubric", rubric_id, "rubric", ("rubric_id",), version)]

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """The judge can be called; the schema, the condition and the arguments can be used."""
        if "definition" in configuration:
            loc, model = agent_model(configuration)
            faults = list(agent_faults(configuration))
        else:
            loc, model = ("model",), configuration["model"]
            faults = list(_faults(configuration))
        problem = services.models.problem(model)
        problems = [ConfigurationProblem(place, message) for place, message in faults]
        return problems if problem is None else [ConfigurationProblem(loc, problem), *problems]

    def completed(self, configuration: dict[str, Any], services: Services) -> dict[str, Any]:
        """With the server's judge, where an agent names none."""
        return with_model(configuration, services.judge_model) if "definition" in configuration else configuration

    def calls(self, configuration: Mapping[str, Any]) -> Sequence[ModelCall]:
        """The one call, if the run condition holds, or may: `unknown_columns`, where it is there, names those that
        have no value yet. A second attempt is not foreseen."""
        model = agent_model(configuration)[1] if "definition" in configuration else configuration["model"]
        if "item" not in configuration:
            return [ModelCall(model, {}, "ask")]
        condition = configuration.get("run_condition")
        unknown = configuration.get("unknown_columns", ())
        runs = condition is None or may_hold(condition, configuration["item"], unknown)
        return [_inquiry(configuration).call] if runs else []

    async def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """One answer, or why there is none."""
        if not _runs(configuration):
            return Outcome(skipped=True)
        return await ask(services.models, _inquiry(configuration))


def _runs(configuration: Mapping[str, Any]) -> bool:
    condition = configuration.get("run_condition")
    return condition is None or holds(condition, configuration["item"])


def _inquiry(configuration: Mapping[str, Any]) -> Inquiry:
    if "definition" in configuration:
        return agent_inquiry(configuration)
    reader = _reader(configuration)
    messages = (
        system_message(render(configuration.get("system_prompt")), QUOTED_RULE, reader.instruction),
        {"role": "user", "content": render(configuration["prompt"])},
    )
    return Inquiry(configuration["model"], messages, reader, configuration.get("inference_args") or {})


def _reader(configuration: Mapping[str, Any]) -> Reader:
    if "choices" in configuration:
        return choice_reader(configuration["choices"])
    return schema_reader(configuration["response_format"])


def _faults(configuration: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    for name in OWN_ARGUMENTS:
        if name in (configuration.get("inference_args") or {}):
            yield ("inference_args", name), "is set by the task and cannot be given"
    if configuration.get("run_condition") is not None:
        for loc, message in condition_faults(configuration["run_condition"]):
            yield ("run_condition", *loc), message
    if "response_format" in configuration:
        try:
            schema_reader(configuration["response_format"])
        except UnusableSchema as error:
            yield ("response_format",), str(error)
