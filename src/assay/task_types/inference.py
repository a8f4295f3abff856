"""The task type `inference`: a vendor's own request, whose whole answer is the result."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assay.core.model_calls import ModelCall
from assay.core.results import ErrorType, Outcome
from assay.registry.task_types import ConfigurationProblem, Services

LocatorText = Annotated[str, Field(pattern=r"^item\..", description="A locator: `item.<column>[.path]`")]


class Attempts(BaseModel):
    """How a call is attempted: how often again after a failure, and how long each time."""

    model_config = ConfigDict(extra="ignore")

    num_retries: Annotated[int, Field(strict=True, ge=0, le=100)] | LocatorText | None = None
    timeout_seconds: Annotated[float, Field(strict=True, gt=0, le=3600)] | LocatorText | None = None


class InferenceConfiguration(BaseModel):
    """A raw call: `args` is the vendor's own body, without the model."""

    model_config = ConfigDict(extra="ignore", title="InferenceConfiguration", protected_namespaces=())

    model: Annotated[str, Field(min_length=1, max_length=500, description="`vendor/model`")]
    args: dict[str, Any] | LocatorText | None = None
    inference_configuration: Attempts | LocatorText | None = None


class TaskType:
    """One raw inference call for each item; the result is the vendor's answer as it came.

    For OpenAI's dialect the keys of `args` say where it goes: `messages` to `/chat/completions`, `prompt` to
    `/completions`, `input` to `/embeddings`, anything else to the vendor's base URL; for Anthropic's it goes
    to `/v1/messages`.
    """

    name: ClassVar[str] = "inference"
    executes: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = InferenceConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset({"args", "inference_configuration"})

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """`inference`."""
        return self.name

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Text that stands for an object or a number."""
        found: list[tuple[tuple[str | int, ...], str]] = []
        for name in ("args", "inference_configuration"):
            value = configuration.get(name)
            if isinstance(value, str):
                found.append(((name,), value))
        attempts = configuration.get("inference_configuration")
        if isinstance(attempts, Mapping):
            found.extend(
                (("inference_configuration", key), value)
                for key in ("num_retries", "timeout_seconds")
                if isinstance(value := attempts.get(key), str)
            )
        return found

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """The model can be called."""
        problem = services.models.problem(configuration["model"])
        return [] if problem is None else [ConfigurationProblem(("model",), problem)]

    def calls(self, configuration: Mapping[str, Any]) -> Sequence[ModelCall]:
        """The one call."""
        args = configuration.get("args")
        return [ModelCall(configuration["model"], args if isinstance(args, dict) else {}, "inference")]

    async def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """One call; `invalid_input` when a located value is not what its field takes."""
        args = configuration.get("args")
        if args is None:
            args = {}
        if not isinstance(args, dict):
            return Outcome.failed(ErrorType.INVALID_INPUT, "args: an object is needed")
        given = configuration.get("inference_configuration")
        try:
            attempts = Attempts.model_validate({} if given is None else given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(("inference_configuration", *(str(part) for part in first["loc"][:1])))
            return Outcome.failed(ErrorType.INVALID_INPUT, f"{where}: {first['msg']}")
        if isinstance(attempts.num_retries, str) or isinstance(attempts.timeout_seconds, str):
            return Outcome.failed(ErrorType.INVALID_INPUT, "inference_configuration: a number is needed, not text")
        reply = await services.models.infer(
            configuration["model"],
            args,
            num_retries=attempts.num_retries,
            timeout_seconds=attempts.timeout_seconds,
        )
        if reply.error is not None:
            return Outcome(error=reply.error, usage=reply.usage)
        return Outcome(value=reply.body, usage=reply.usage)
