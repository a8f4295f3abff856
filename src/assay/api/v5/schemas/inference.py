"""Chats, completions and generic inference on the v5 wire: OpenAI's requests and answers, with `vendor/model`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from assay.api.shared.bodies import BodyModel

_OWN = ("model", "stream", "stream_options")


def _as_messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for index, message in enumerate(messages):
        role, content, calls = message.get("role"), message.get("content"), message.get("tool_calls")
        if not isinstance(role, str) or not role:
            raise ValueError(f"message {index} has no role")
        parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
        if content is not None and not isinstance(content, str) and not parts:
            raise ValueError(f"message {index}: content must be text or a list of parts")
        if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
            raise ValueError(f"message {index}: tool_calls must be a list of objects")
    return messages


ModelName = Annotated[str, Field(min_length=1, max_length=500, description="`vendor/model`")]
Object = dict[str, Any]
Temperature = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Stop = str | list[str]


class StreamOptions(BodyModel):
    """`include_usage`: the last chunk has no choices but the usage."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = None


class _Request(BodyModel):
    """Keys that are not listed are passed to the vendor as they are."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())

    model: ModelName
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def passed_on(self) -> Object:
        """The vendor's part of the request: everything that was given, but for what says how to answer."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name not in _OWN}
        if self.stream and self.stream_options is not None:
            given["stream_options"] = self.stream_options.model_dump(exclude_none=True)
        return {name: value for name, value in given.items() if value is not None}


class CreateChatCompletion(_Request):
    """A chat to complete."""

    messages: Annotated[list[Object], Field(min_length=1), AfterValidator(_as_messages)]
    audio: Object | None = None
    frequency_penalty: Penalty | None = None
    function_call: str | Object | None = None
    functions: list[Object] | None = None
    logit_bias: dict[str, int] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Positive | None = None
    max_tokens: Positive | None = None
    metadata: dict[str, str] | None = None
    modalities: list[str] | None = None
    n: Positive | None = None
    parallel_tool_calls: bool | None = None
    prediction: Object | None = None
    presence_penalty: Penalty | None = None
    reasoning_effort: str | None = None
    response_format: Object | None = None
    seed: int | None = None
    stop: Stop | None = None
    store: bool | None = None
    temperature: Temperature | None = None
    tool_choice: str | Object | None = None
    tools: list[Object] | None = None
    top_k: int | None = None
    top_logprobs: Count | None = None
    top_p: Share | None = None


class CreateCompletion(_Request):
    """A prompt to complete, or several."""

    prompt: str | Annotated[list[str], Field(min_length=1)]
    best_of: Positive | None = None
    echo: bool | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, int] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    max_tokens: Count | None = None
    n: Positive | None = None
    presence_penalty: Penalty | None = None
    seed: int | None = None
    stop: Stop | None = None
    suffix: str | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    user: str | None = None


class InferenceAttempts(BodyModel):
    """How often again after a failure, and how long each attempt may take."""

    num_retries: Annotated[int, Field(ge=0, le=100)] | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] | None = None


class CreateInference(BodyModel):
    """A vendor's own request: `args` is its body, without the model."""

    model_config = ConfigDict(protected_namespaces=())

    model: ModelName
    args: Object | None = None
    inference_configuration: InferenceAttempts | None = None


class Answer(BaseModel):
    """Answers may hold more than is listed: whatever the vendor says."""

    model_config = ConfigDict(extra="allow")


class TokenUsage(Answer):
    """How many tokens a call took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatMessage(Answer):
    """What the assistant says, or calls."""

    role: Literal["assistant"]
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[Object] | None = None


class ChatChoice(Answer):
    """One of the answers."""

    index: int
    finish_reason: str
    message: ChatMessage


class ChatCompletion(Answer):
    """A completed chat."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage | None = None


class ChatDelta(Answer):
    """What a chunk adds to the message."""

    role: str | None = None
    content: str | None = None
    tool_calls: list[Object] | None = None


class ChunkChoice(Answer):
    """A part of one of the answers."""

    index: int
    delta: ChatDelta
    finish_reason: str | None = None


class ChatCompletionChunk(Answer):
    """A part of a chat that is streamed."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: TokenUsage | None = None


class CompletionChoice(Answer):
    """One of the texts."""

    index: int
    text: str
    finish_reason: str | None


class Completion(Answer):
    """A completed prompt, or a part of it that is streamed."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage | None = None


class GenericInference(BaseModel):
    """A vendor's own answer, as it came."""

    object: Literal["generic_inference"]
    response: Any


class CatalogueModel(BaseModel):
    """A model that can be asked for, as `model_vendor/model_name`."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_type: Literal["generic", "completion", "chat_completion"]
    model_vendor: str
    model_availability: Literal["unknown", "available", "unavailable"]


class ModelCatalogue(BaseModel):
    """All models that there are, on one page."""

    object: Literal["list"]
    items: list[CatalogueModel]
