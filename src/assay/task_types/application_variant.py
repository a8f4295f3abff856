"""The task type `application_variant`: the user's own application, called once for each item."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from assay.core.application_calls import ApplicationCall
from assay.core.application_spans import read_spans
from assay.core.endpoints import read_endpoint
from assay.core.results import ErrorType, Outcome
from assay.core.spans import NewSpan, SpanType
from assay.registry.application_calls import ApplicationRun, run_application
from assay.registry.task_types import ConfigurationProblem, Reference, Services

LocatorText = Annotated[str, Field(pattern=r"^item\..", description="A locator: `item.<column>[.path]`")]
Object = dict[str, Any]

_VARIANT = "application_variant"
_OBJECTS = ("inputs", "operation_metadata", "overrides")


class ApplicationVariantConfiguration(BaseModel):
    """A registered application variant and what it is given. Values may be locators, or hold locators and
    templates."""

    model_config = ConfigDict(extra="ignore", title="ApplicationVariantConfiguration")

    application_variant_id: Annotated[str, Field(strict=True, min_length=1, max_length=256)]
    inputs: Annotated[Object | LocatorText, Field(description="The inputs by name; of V0 variants by node first.")]
    history: Annotated[
        list[Object] | LocatorText | None, Field(description="Earlier turns: `request`, `response`, `session_data`.")
    ] = None
    operation_metadata: Object | LocatorText | None = None
    overrides: Object | LocatorText | None = None


class TaskType:
    """One call of an application's endpoint for each item; the result is what its response mapping calls the
    output.

    What the mapping calls extra info is in the detail as `extra_info`; its spans are stored as a trace, whose id is
    there as `trace_id`. Errors: `timeout`, `inference_error`,
    `invalid_output` (with the answer's beginning in the detail as `raw`), `missing_field`, `invalid_input`.
    """

    name: ClassVar[str] = _VARIANT
    executes: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = ApplicationVariantConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset({*_OBJECTS, "history"})

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """`application_variant`."""
        return self.name

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Text that stands for an object or a list."""
        names = (*_OBJECTS, "history")
        return [((name,), value) for name in names if isinstance(value := configuration.get(name), str)]

    def references(self, configuration: Mapping[str, Any]) -> Sequence[Reference]:
        """The variant."""
        identifier = configuration["application_variant_id"]
        return [Reference(_VARIANT, identifier, _VARIANT, ("application_variant_id",))]

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """Nothing beyond the schema: the variant is looked up when the evaluation is made."""
        return ()

    async def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """One call; `invalid_input` when a located value is not what its field takes."""
        for name in _OBJECTS:
            value = configuration.get(name)
            if not isinstance(value, dict) and (value is not None or name == "inputs"):
                return Outcome.failed(ErrorType.INVALID_INPUT, f"{name}: an object is needed")
        history = configuration.get("history")
        if history is not None and not (isinstance(history, list) and all(isinstance(turn, dict) for turn in history)):
            return Outcome.failed(ErrorType.INVALID_INPUT, "history: a list of objects is needed")
        endpoint = read_endpoint(configuration[_VARIANT]["endpoint"])
        call = ApplicationCall(
            configuration["inputs"], history, configuration.get("operation_metadata"), configuration.get("overrides")
        )
        started_at = datetime.now(UTC)
        run = await run_application(services.applications, endpoint, call)
        return _outcome(run, _root(configuration, call, run, started_at))


def _root(
    configuration: Mapping[str, Any], call: ApplicationCall, run: ApplicationRun, started_at: datetime
) -> NewSpan:
    """The span of the whole call, under which the application's own hang."""
    variant = configuration[_VARIANT]
    return NewSpan(
        trace_id="",
        name=variant.get("name") or _VARIANT,
        started_at=started_at,
        ended_at=max(started_at, datetime.now(UTC)),
        input=call.inputs,
        output=None if run.answer is None else {"output": run.answer.output},
        type=SpanType.EXTERNAL_ENDPOINT,
        application_variant_id=variant.get("id"),
    )


def _outcome(run: ApplicationRun, root: NewSpan) -> Outcome:
    if run.answer is None:
        return Outcome(error=run.error, usage=run.usage, detail=None if run.raw is None else {"raw": run.raw})
    kept = {"extra_info": run.answer.extra_info, "ignored": run.answer.ignored}
    detail = {name: value for name, value in kept.items() if value is not None}
    spans = read_spans(run.answer.spans, root)
    return Outcome(value=run.answer.output, usage=run.usage, detail=detail or None, spans=spans)
