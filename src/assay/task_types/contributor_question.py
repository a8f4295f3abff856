"""The `contributor_evaluation.question` task: people answer a question about each item."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Discriminator, Field, Tag

from assay.core.annotation import DEFAULT_QUEUE, HIGHEST_LEVEL
from assay.core.results import ErrorType, Outcome
from assay.registry.task_types import ConfigurationProblem, Reference, Services

MOST_ANSWERS = 100


class LayoutComponent(BaseModel):
    """One value of an item, as people see it."""

    data: str = Field(description="A locator (`item.<column>`) of the value.")
    label: str | None = Field(default=None, description="Shown with it; by default the column's name.")


class LayoutContainer(BaseModel):
    """Values and other containers, side by side or one below the other."""

    children: list["LayoutNode"] = Field(max_length=1000)
    direction: Literal["row", "column"] = "row"


def _kind_of(node: Any) -> str:
    has_children = "children" in node if isinstance(node, Mapping) else isinstance(node, LayoutContainer)
    return "container" if has_children else "component"


LayoutNode = Annotated[
    Annotated[LayoutContainer, Tag("container")] | Annotated[LayoutComponent, Tag("component")],
    Discriminator(_kind_of),
]
LayoutContainer.model_rebuild()


class ContributorQuestionConfiguration(BaseModel):
    """What people are asked about each item, and what they see of it. `overlap` and `audit_levels` are additions of
    Assay's; tasks with the same queue must agree on both, for people answer them together."""

    question_id: str = Field(min_length=1, description="The question.")
    layout: LayoutContainer
    queue_id: str = Field(
        default=DEFAULT_QUEUE, min_length=1, max_length=256, description="Tasks of one queue are answered together."
    )
    required: bool = Field(default=False, description="Whether the item cannot be done without an answer to it.")
    prefill_from: str | None = Field(
        default=None, description="A column of the rows whose value is the answer until somebody gives one."
    )
    rubric_id: str | None = Field(default=None, description="The rubric to answer by; people see it.")
    overlap: int = Field(default=1, ge=1, le=MOST_ANSWERS, description="How many people answer about each item.")
    audit_levels: int = Field(
        default=0, ge=0, le=HIGHEST_LEVEL, description="How many times each answer is looked at by somebody else."
    )


class TaskType:
    """A question that people answer: the engine does not run it, its annotation tasks are queued with the evaluation.

    The result is the answer, or what `overlap` answers come to (see `core.consensus`); `prefilled` while it is the
    value of `prefill_from`, `pending` while people are waited for. Errors: `no_consensus` when the answers are at odds.
    """

    name: ClassVar[str] = "contributor_evaluation.question"
    executes: ClassVar[bool] = False
    Configuration: ClassVar[type[BaseModel]] = ContributorQuestionConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset()

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """The type's name without the dot."""
        return "contributor_evaluation_question"

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None: an answer is one value."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Every value of the layout, and the column of the prefilled answer."""
        found = list(_components(configuration["layout"], ("layout",)))
        prefill = configuration.get("prefill_from")
        if prefill is not None:
            found.append((("prefill_from",), prefill if prefill.startswith("item.") else f"item.{prefill}"))
        return found

    def references(self, configuration: Mapping[str, Any]) -> Sequence[Reference]:
        """The question, and the rubric if there is one, which are as they were when the evaluation was made."""
        question = Reference("question", configuration["question_id"], "question", ("question_id",))
        rubric_id = configuration.get("rubric_id")
        return [question] if rubric_id is None else [question, Reference("rubric", rubric_id, "rubric", ("rubric_id",))]

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """Whether the layout shows anything."""
        if any(_components(configuration["layout"], ("layout",))):
            return ()
        return [ConfigurationProblem(("layout",), "shows nothing: it needs a component with `data`")]

    def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """Never called: people are no engine."""
        return Outcome.failed(ErrorType.UNSUPPORTED_TASK, "people answer this")


def _components(node: Mapping[str, Any], loc: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(place, locator) of every value that a layout shows."""
    for index, child in enumerate(node["children"]):
        place = (*loc, "children", index)
        if "children" in child:
            yield from _components(child, place)
        else:
            yield (*place, "data"), child["data"]
