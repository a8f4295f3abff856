"""The task type `auto_evaluation.question`: a model answers a stored question about each item."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from assay.core.model_calls import ModelCall
from assay.core.questions import is_asked
from assay.core.results import Outcome
from assay.judging.asking import OWN_ARGUMENTS, Inquiry, ask
from assay.judging.prompts import DATA_RULE, ROLE, marked, placeholders, system_message
from assay.judging.questions import question_reader
from assay.judging.schemas import UnusableSchema
from assay.registry.task_types import ConfigurationProblem, Reading, Reference, Services


class QuestionConfiguration(BaseModel):
    """Which question is asked, of which model, and what the model is told beside it."""

    model_config = ConfigDict(extra="ignore", title="AutoEvaluationQuestionConfiguration", protected_namespaces=())

    model: Annotated[str, Field(min_length=1, max_length=500, description="The judge: `vendor/model`.")]
    prompt: Annotated[
        str,
        Field(min_length=1, description="What the judge is shown: text with `{{item.<column>}}` in it, or a locator."),
    ]
    question_id: Annotated[str, Field(min_length=1, max_length=500, description="The question, as it is now.")]
    system_prompt: Annotated[
        str | None, Field(description="Put before what Assay tells the judge; may hold `{{item.<column>}}` too.")
    ] = None
    optional: Annotated[
        list[str],
        Field(description="Locators in the prompts that an item may lack: nothing stands in their places then."),
    ] = []
    answers: Annotated[
        dict[str, str],
        Field(
            description="Locators of the answers to other questions, by question id. An item is skipped where none of"
            " the question's conditions holds for them."
        ),
    ] = {}
    inference_args: Annotated[
        dict[str, Any] | None, Field(description="Further members of the chat request, such as `temperature`.")
    ] = None


class TaskType:
    """One question asked about each item; the answer is the result, typed by the question.

    Categorical: the value of the choice (its text, for questions made by version 5), a list of them when it takes
    several. Rating: a whole number from 1. Number: a number within its bounds. Free text: a text within its
    lengths. Form: an object valid by its schema. Timestamp: seconds, or a list of them. Skipped where the question is
    not asked, given the `answers` to others. Errors: `invalid_output`
    for an answer that is none of these, after one attempt at repair; its text is kept in the result's detail.
    """

    name: ClassVar[str] = "auto_evaluation.question"
    executes: ClassVar[bool] = True
    judges: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = QuestionConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset()

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """`auto_evaluation_question`."""
        return "auto_evaluation_question"

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """None beside the readings."""
        return ()

    def readings(
        self, configuration: Mapping[str, Any], columns: Sequence[str], known: Collection[str]
    ) -> Sequence[Reading]:
        """What the prompts point at, and the answers that decide whether the question is asked."""
        optional = frozenset(configuration.get("optional") or ())
        shown = [
            Reading(locator, locator, (name,), required=locator not in optional)
            for name in ("system_prompt", "prompt")
            for locator in placeholders(configuration.get(name) or "", known)
        ]
        answers = configuration.get("answers") or {}
        return [*shown, *(Reading(each, each, ("answers",), required=False) for each in answers.values())]

    def references(self, configuration: Mapping[str, Any]) -> Sequence[Reference]:
        """The question."""
        return [Reference("question", configuration["question_id"], "question", ("question_id",))]

    def material_problems(
        self, configuration: Mapping[str, Any], material: Mapping[str, Any]
    ) -> Sequence[ConfigurationProblem]:
        """A form whose schema an answer cannot be held to."""
        try:
            question_reader(material["question"])
        except UnusableSchema as error:
            return [ConfigurationProblem(("question_id",), f"the question's form_schema: {error}")]
        return []

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """The judge can be called, and the arguments leave its answer readable."""
        problems = [
            ConfigurationProblem(("inference_args", name), "is set by the task and cannot be given")
            for name in OWN_ARGUMENTS
            if name in (configuration.get("inference_args") or {})
        ]
        problem = services.models.problem(configuration["model"])
        return problems if problem is None else [ConfigurationProblem(("model",), problem), *problems]

    def calls(self, configuration: Mapping[str, Any]) -> Sequence[ModelCall]:
        """The one question; a second attempt is not foreseen."""
        if "item" not in configuration:
            return [ModelCall(configuration["model"], {}, "ask")]
        return [_inquiry(configuration).call]

    async def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """One answer, or why there is none."""
        question, _ = question_reader(configuration["question"])
        item, located = configuration["item"], configuration.get("answers") or {}
        answers = {name: item[locator] for name, locator in located.items() if item.get(locator) is not None}
        if located and not is_asked(question, answers):
            return Outcome(skipped=True)
        return await ask(services.models, _inquiry(configuration))


def _inquiry(configuration: Mapping[str, Any]) -> Inquiry:
    question, reader = question_reader(configuration["question"])
    prompts = (configuration.get("system_prompt") or "", configuration["prompt"])
    missing = dict.fromkeys(configuration.get("optional") or (), "")
    (system, shown), mark = marked(prompts, {**missing, **configuration["item"]})
    messages = (
        system_message(system, ROLE, DATA_RULE.format(mark=mark)),
        {"role": "user", "content": f"{shown}\n\nQuestion: {question.prompt}\n\n{reader.instruction}"},
    )
    return Inquiry(configuration["model"], messages, reader, configuration.get("inference_args") or {})
