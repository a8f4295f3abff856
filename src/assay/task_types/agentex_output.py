"""The task type `agentex_output`: an agent of the user's own, given a message and heard until its turn is over."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from assay.core.application_spans import read_spans
from assay.core.endpoints import read_endpoint
from assay.core.locators import render
from assay.core.results import ErrorType, Outcome
from assay.core.spans import NewSpan, SpanType
from assay.registry.agent_turns import Turn, TurnEnd, run_turn
from assay.registry.task_types import ConfigurationProblem, Reference, Services

DEFAULT_TIMEOUT = 600
LONGEST_TIMEOUT = 1500
DEFAULT_QUIESCENCE = 5

LocatorText = Annotated[str, Field(pattern=r"^item\..", description="A locator: `item.<column>[.path]`")]
Seconds = Annotated[int, Field(strict=True, ge=1, le=LONGEST_TIMEOUT)]
Object = dict[str, Any]

_AGENT = "agent"
_NUMBERS = {"quiescence_seconds": DEFAULT_QUIESCENCE, "timeout_seconds": DEFAULT_TIMEOUT}


class AgentexOutputConfiguration(BaseModel):
    """A registered agent, what it is sent, and when its turn is over. `input_column`, `agent_task_params` and the
    numbers may be locators, or hold locators and templates."""

    model_config = ConfigDict(extra="ignore", title="AgentexOutputConfiguration")

    agentex_agent_id: Annotated[
        str,
        Field(
            strict=True,
            min_length=1,
            max_length=256,
            description="The id of an application variant whose endpoint speaks the protocol `agent`.",
        ),
    ]
    input_column: Annotated[str | Object | list[Any], Field(description="What is sent to the agent.")]
    input_mode: Literal["text", "data"] = "text"
    completion_mode: Literal["first_message", "turn_quiescence"] = "first_message"
    quiescence_seconds: Seconds | LocatorText | None = None
    timeout_seconds: Seconds | LocatorText | None = None
    deployment_id: Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,199}$")] | None = None
    agent_task_params: Object | LocatorText | None = None
    include_traces: Annotated[bool, Field(strict=True)] | LocatorText | None = None


class TaskType:
    """One turn of an agent for each item; the result is the content of its message, of the last one where the turn
    has several.

    The detail holds `task_id`, the task's `status`, and `messages` where there are several. With `include_traces`
    the agent's spans are stored as a trace, whose id is the detail's `trace_id`. Errors: `timeout`,
    `inference_error`, `invalid_output`, `invalid_input`.
    """

    name: ClassVar[str] = "agentex_output"
    executes: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = AgentexOutputConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset(
        {"input_column", "agent_task_params", "include_traces", *_NUMBERS}
    )

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """`agentex_output`."""
        return self.name

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Text that stands for something else, and an input that looks like a locator."""
        names = ("agent_task_params", "include_traces", *_NUMBERS)
        found = [((name,), value) for name in names if isinstance(value := configuration.get(name), str)]
        given = configuration["input_column"]
        if isinstance(given, str) and given.startswith("item.") and " " not in given:
            found.append((("input_column",), given))
        return found

    def references(self, configuration: Mapping[str, Any]) -> Sequence[Reference]:
        """The agent."""
        return [Reference(_AGENT, configuration["agentex_agent_id"], _AGENT, ("agentex_agent_id",))]

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """Nothing beyond the schema: the agent is looked up when the evaluation is made."""
        return ()

    async def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """One turn; `invalid_input` when a located value is not what its field takes."""
        try:
            turn = _turn(configuration)
        except ValueError as wrong:
            return Outcome.failed(ErrorType.INVALID_INPUT, str(wrong))
        agent = configuration[_AGENT]
        started_at = datetime.now(UTC)
        end = await run_turn(services.applications, read_endpoint(agent["endpoint"]), turn)
        root = NewSpan(
            trace_id="",
            name=agent.get("name") or _AGENT,
            started_at=started_at,
            ended_at=max(started_at, datetime.now(UTC)),
            input=turn.content if isinstance(turn.content, Mapping) else {"message": turn.content},
            output={"messages": [message.get("content") for message in end.messages]},
            metadata={"__agent_id__": agent.get("id"), "__agent_name__": agent.get("name")},
            type=SpanType.AGENT_WORKFLOW,
            application_variant_id=agent.get("id"),
        )
        return _outcome(end, turn, root)


def _turn(configuration: Mapping[str, Any]) -> Turn:
    """The turn that a resolved configuration asks for. Raises ValueError naming the field that is wrong."""
    numbers: dict[str, int] = {}
    for name, default in _NUMBERS.items():
        value = configuration.get(name)
        if value is not None and (type(value) is not int or not 1 <= value <= LONGEST_TIMEOUT):
            raise ValueError(f"{name}: a whole number from 1 to {LONGEST_TIMEOUT} is needed")
        numbers[name] = default if value is None else value
    params = configuration.get("agent_task_params")
    if params is not None and not isinstance(params, dict):
        raise ValueError("agent_task_params: an object is needed")
    traces = configuration.get("include_traces")
    if traces is not None and not isinstance(traces, bool):
        raise ValueError("include_traces: true or false is needed")
    mode = configuration.get("input_mode", "text")
    given = configuration["input_column"]
    return Turn(
        content=_data(given) if mode == "data" else render(given),
        kind=mode,
        params=params or {},
        completion=configuration.get("completion_mode", "first_message"),
        quiescence_seconds=numbers["quiescence_seconds"],
        timeout_seconds=numbers["timeout_seconds"],
        deployment_id=configuration.get("deployment_id"),
        include_traces=bool(traces),
    )


def _data(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            value = None
    if isinstance(value, dict):
        return value
    raise ValueError("input_column: with input_mode data an object is needed, or text that holds one")


def _outcome(end: TurnEnd, turn: Turn, root: NewSpan) -> Outcome:
    kept = {"task_id": end.task_id, "status": end.status, "ignored": end.ignored, "raw": end.raw}
    detail: dict[str, Any] = {name: value for name, value in kept.items() if value is not None}
    if len(end.messages) > 1:
        detail["messages"] = [message.get("content") for message in end.messages]
    if end.error is not None:
        return Outcome(error=end.error, usage=end.usage, detail=detail or None)
    last = end.messages[0 if turn.completion == "first_message" else -1]
    if last.get("content") is None:
        return Outcome.failed(
            ErrorType.INVALID_OUTPUT, "the agent's message has no content", usage=end.usage, detail=detail
        )
    return Outcome(value=last["content"], usage=end.usage, detail=detail or None, spans=read_spans(end.spans, root))
