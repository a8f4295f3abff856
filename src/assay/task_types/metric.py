"""The `metric` task: a formula's score of a candidate text against a reference text."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from assay.core.locators import render
from assay.core.results import ErrorType, Outcome
from assay.registry.task_types import ConfigurationProblem, Services


class MetricConfiguration(BaseModel):
    """Which metric scores which two values of an item."""

    type: str = Field(min_length=1, description="The metric's name, such as `rougeL`.")
    candidate: str = Field(description="A locator (`item.<column>`) of the text that is scored.")
    reference: str = Field(description="A locator (`item.<column>`) of the text that it is scored against.")
    missing: Literal["error", "skip"] = Field(
        default="error",
        description="What an item without one of the two values gets: an error, or (`skip`) no score at all.",
    )
    structured: Literal["error", "json"] = Field(
        default="error",
        description="What a list or an object gives: an error, or (`json`) the score of its JSON text.",
    )


class TaskType:
    """Scores `candidate` against `reference` with the metric that `type` names.

    The result is a finite number in the metric's range; see the metric's own description. Numbers and booleans
    are scored by their JSON text. Errors: `missing_field` when either value is null; `invalid_input` when it
    is a list or an object, or when the metric cannot score the texts (too long). `missing` and `structured` say
    otherwise.
    """

    name: ClassVar[str] = "metric"
    executes: ClassVar[bool] = True
    judges: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = MetricConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset({"candidate", "reference"})

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """The metric's own name."""
        return str(configuration["type"])

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None: a metric gives one number."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Both texts."""
        return [((side,), configuration[side]) for side in ("candidate", "reference")]

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """Whether there is such a metric; the problem lists those that there are."""
        metric = configuration["type"]
        if metric in services.metrics:
            return ()
        known = ", ".join(services.metrics)
        return [ConfigurationProblem(("type",), f"there is no metric {metric!r}; there are: {known}")]

    def skips_missing(self, configuration: Mapping[str, Any]) -> bool:
        """Whether an item without a value is skipped."""
        return configuration.get("missing") == "skip"

    def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """The score of one item. Returns at once."""
        candidate, reference = configuration["candidate"], configuration["reference"]
        if not (type(candidate) is str and type(reference) is str):
            if self.skips_missing(configuration) and (candidate is None or reference is None):
                return Outcome(skipped=True)
            for side in ("candidate", "reference"):
                problem = _problem(side, configuration[side], as_json=configuration.get("structured") == "json")
                if problem is not None:
                    return problem
            candidate, reference = render(candidate), render(reference)
        try:
            return Outcome(value=services.metrics[configuration["type"]].score(candidate, reference))
        except ValueError as error:
            return Outcome.failed(ErrorType.INVALID_INPUT, str(error))


def _problem(side: str, value: Any, *, as_json: bool) -> Outcome | None:
    """Why a value cannot be scored."""
    if value is None:
        return Outcome.failed(ErrorType.MISSING_FIELD, f"{side}: the value is null; a metric needs text")
    if as_json or isinstance(value, str | bool | int | float):
        return None
    kind = "a list" if isinstance(value, Sequence) else "an object"
    return Outcome.failed(ErrorType.INVALID_INPUT, f"{side}: the value is {kind}; a metric needs text")
