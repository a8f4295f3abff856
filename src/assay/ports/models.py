"""Model endpoints: chat completions and raw inference, named `vendor/model`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from assay.core.model_calls import ModelCall
from assay.core.results import TaskError, Usage


@dataclass(frozen=True, slots=True)
class ModelReply:
    """What a model endpoint gave: the vendor's parsed JSON body in OpenAI's chat shape (`chat`) or as it came
    (`inference`), or an error; `usage` holds the last attempt's round trip (no waiting for a place or
    between attempts), the number of attempts (0: refused before any) and the final answer's tokens.

    Error types: `inference_error` (the endpoint refused or could not be reached after the retries), `timeout`,
    `invalid_input` (the request cannot be said in the vendor's wire).
    Messages name the vendor, model, status and cause; never a key, a prompt or a header.
    """

    body: Any = None
    error: TaskError | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """What an answer must look like: a JSON Schema whose root is an object, and a name for it. `strict` is
    passed to endpoints that know the word; None: it is not."""

    name: str
    schema: Mapping[str, Any]
    strict: bool | None = None

    def call(self, model: str, request: Mapping[str, Any]) -> ModelCall:
        """A call that asks for an answer of this shape."""
        shape = {"name": self.name, "schema": self.schema, "strict": self.strict}
        return ModelCall(model, {**request, "answer_shape": shape}, "ask")


class Models(Protocol):
    """Calls models over the vendors that are configured, within each vendor's limits."""

    def problem(self, model: str) -> str | None:
        """Why `vendor/model` cannot be called (no vendor prefix, unknown vendor, missing key), naming the
        setting that cures it; None when it can."""
        ...

    async def chat(self, model: str, request: Mapping[str, Any]) -> ModelReply:
        """One chat completion. `request` is OpenAI's chat body without `model` and `stream`."""
        ...

    async def ask(self, model: str, request: Mapping[str, Any], shape: AnswerShape) -> ModelReply:
        """One chat completion as `chat`, whose text the endpoint itself holds to a shape where it can (the
        vendor's setting `structured_output`). Where it cannot, the request goes without; an endpoint that
        refuses the shape is asked without it, and not again with it. Nothing is promised: check the text."""
        ...

    async def infer(
        self,
        model: str,
        args: Mapping[str, Any],
        *,
        num_retries: int | None = None,
        timeout_seconds: float | None = None,
    ) -> ModelReply:
        """One raw inference call: `args` is the vendor's own body, to which `model` is added; the reply's body is
        the vendor's own. `num_retries` are attempts after the first, `timeout_seconds` bounds each of them;
        None: as the vendor is configured."""
        ...

    async def close(self) -> None:
        """Close connections. Idempotent."""
        ...
