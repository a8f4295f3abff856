"""The task type `chat_completion`: a chat with a model, whose answer is the result."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from assay.core.locators import render
from assay.core.model_calls import ModelCall
from assay.core.results import ErrorType, Outcome, Usage
from assay.registry.task_types import ConfigurationProblem, Services

RAW_LENGTH = 10_000

LocatorText = Annotated[str, Field(pattern=r"^item\..", description="A locator: `item.<column>[.path]`")]
Integer = Annotated[int, Field(strict=True)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
Temperature = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Penalty = Annotated[float, Field(strict=True, ge=-2, le=2)]
Flag = Annotated[bool, Field(strict=True)]
Object = dict[str, Any]


class ChatConfiguration(BaseModel):
    """An OpenAI chat request. Every value except `model`, `stop`, `tool_choice` and `reasoning_effort` may be
    a locator, or hold locators and templates; keys that are not listed are passed to the vendor."""

    model_config = ConfigDict(extra="allow", title="ChatCompletionConfiguration", protected_namespaces=())

    model: Annotated[str, Field(min_length=1, max_length=500, description="`vendor/model`")]
    messages: Annotated[list[Object], Field(min_length=1)] | LocatorText
    temperature: Temperature | LocatorText | None = None
    top_p: Share | LocatorText | None = None
    frequency_penalty: Penalty | LocatorText | None = None
    presence_penalty: Penalty | LocatorText | None = None
    top_k: Integer | LocatorText | None = None
    n: Positive | LocatorText | None = None
    seed: Integer | LocatorText | None = None
    max_tokens: Positive | LocatorText | None = None
    max_completion_tokens: Positive | LocatorText | None = None
    top_logprobs: Count | LocatorText | None = None
    logprobs: Flag | LocatorText | None = None
    parallel_tool_calls: Flag | LocatorText | None = None
    store: Flag | LocatorText | None = None
    response_format: Object | LocatorText | None = None
    prediction: Object | LocatorText | None = None
    audio: Object | LocatorText | None = None
    function_call: Object | LocatorText | None = None
    tools: list[Object] | LocatorText | None = None
    functions: list[Object] | LocatorText | None = None
    logit_bias: dict[str, Integer | LocatorText] | LocatorText | None = None
    metadata: dict[str, str] | LocatorText | None = None
    modalities: list[str] | LocatorText | None = None
    stop: str | list[str] | None = None
    tool_choice: str | Object | None = None
    reasoning_effort: str | None = None

    @field_validator("messages")
    @classmethod
    def _have_roles(cls, messages: list[Object] | str) -> list[Object] | str:
        if isinstance(messages, list):
            for index, message in enumerate(messages):
                problem = _message_problem(message)
                if problem is not None:
                    raise ValueError(f"message {index} {problem}")
        return messages


_NEVER_RESOLVED = frozenset({"model", "stop", "tool_choice", "reasoning_effort"})
_LOCATED = tuple(name for name in ChatConfiguration.model_fields if name not in _NEVER_RESOLVED)
_SPEAKING = ("tool_calls", "function_call")


class TaskType:
    """One chat completion for each item.

    The result is the assistant's text of the first choice; with `n` above 1 the list of all choices' texts;
    where there is no text but a call of a tool or function, the whole message object. An answer that was cut
    short, or filtered, says so in its detail as `finish_reason`.
    """

    name: ClassVar[str] = "chat_completion"
    executes: ClassVar[bool] = True
    Configuration: ClassVar[type[BaseModel]] = ChatConfiguration
    resolved: ClassVar[frozenset[str] | None] = frozenset(_LOCATED)

    def default_alias(self, configuration: Mapping[str, Any]) -> str:
        """`chat_completion`."""
        return self.name

    def output_aliases(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """None."""
        return ()

    def required_locators(self, configuration: Mapping[str, Any]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Every text that stands for a number, a flag, an object or a list."""
        return [((name,), value) for name in _LOCATED if isinstance(value := configuration.get(name), str)]

    def check(self, configuration: Mapping[str, Any], services: Services) -> Sequence[ConfigurationProblem]:
        """The model can be called."""
        problem = services.models.problem(configuration["model"])
        return [] if problem is None else [ConfigurationProblem(("model",), problem)]

    def calls(self, configuration: Mapping[str, Any]) -> Sequence[ModelCall]:
        """The one chat."""
        return [ModelCall(configuration["model"], _request(configuration))]

    async def run(self, configuration: Mapping[str, Any], services: Services) -> Outcome:
        """One chat; `invalid_input` when a located value is not what its field takes, `invalid_output` when
        the answer holds no message."""
        problem = _resolved_problem(configuration)
        if problem is not None:
            return Outcome.failed(ErrorType.INVALID_INPUT, problem)
        request = _request(configuration)
        reply = await services.models.chat(configuration["model"], request)
        if reply.error is not None:
            return Outcome(error=reply.error, usage=reply.usage)
        return _outcome(reply.body, reply.usage, several=request.get("n", 1) > 1)


def _request(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The chat's request, without the model."""
    request = {key: value for key, value in configuration.items() if value is not None and key != "model"}
    if isinstance(request.get("messages"), list):
        request["messages"] = [_as_text(message) for message in request["messages"]]
    return request


def _resolved_problem(configuration: Mapping[str, Any]) -> str | None:
    """What is wrong with values once they are resolved; names the field, never the value."""
    for name in _LOCATED:
        if isinstance(configuration.get(name), str):
            return f"{name}: text where {'a list of messages' if name == 'messages' else 'another type'} is needed"
    if configuration.get("messages") is None:
        return "messages: null where a list of messages is needed"
    try:
        ChatConfiguration.model_validate(configuration)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][:1])
        return f"{where}: {first['msg']}"
    return None


def _message_problem(message: Mapping[str, Any]) -> str | None:
    if not isinstance(message.get("role"), str) or not message["role"]:
        return "has no role"
    if message.get("content") is None and not any(message.get(key) for key in _SPEAKING):
        return "has no content"
    return None


def _as_text(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message with content that a model can read: a located number, object or list of data as its JSON."""
    content = message.get("content")
    if content is None or isinstance(content, str):
        return message
    if isinstance(content, list) and all(isinstance(part, dict) and "type" in part for part in content):
        return message
    return {**message, "content": render(content)}


def _outcome(body: Any, usage: Usage, *, several: bool) -> Outcome:
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices:
        return _unreadable("the answer has no choices", body, usage)
    values: list[Any] = []
    for choice in choices if several else choices[:1]:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            return _unreadable("a choice of the answer has no message", body, usage)
        value = _value(message)
        if value is None:
            finish = choice.get("finish_reason")
            why = f" (finish_reason: {finish[:100]})" if isinstance(finish, str) else ""
            return _unreadable(f"the answer has neither text nor a call of a tool{why}", body, usage)
        values.append(value)
    finish = choices[0].get("finish_reason")
    detail = {"finish_reason": finish[:100]} if finish in ("length", "content_filter") else None
    return Outcome(value=values if several else values[0], usage=usage, detail=detail)


def _value(message: Mapping[str, Any]) -> Any:
    """The message's text, or the message where it calls instead of speaking, or None when it does neither."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    if isinstance(content, str) and content:
        return content
    if any(message.get(key) for key in _SPEAKING):
        return message
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) and refusal else content if isinstance(content, str) else None


def _unreadable(reason: str, body: Any, usage: Usage) -> Outcome:
    raw = orjson.dumps(body).decode()[:RAW_LENGTH]
    return Outcome.failed(ErrorType.INVALID_OUTPUT, reason, usage=usage, detail={"raw": raw})
