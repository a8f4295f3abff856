"""Models in memory: what they answer is said by a function of the request."""

from collections.abc import Callable, Mapping
from typing import Any

from assay.core.results import ErrorType, TaskError, Usage
from assay.ports.models import AnswerShape, ModelReply

Answer = Callable[[str], str | None]
"""Takes the text of the first user message; gives the model's text, or None when the endpoint is to fail."""


class FakeModels:
    """Implements `ports.models.Models` for the vendors `openai` and `fake`. Remembers the requests."""

    def __init__(self, answer: Answer = lambda text: '{"reasoning": "so it seems", "answer": 1}') -> None:
        self.answer = answer
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def problem(self, model: str) -> str | None:
        """Why a model cannot be called."""
        return None if model.startswith(("openai/", "fake/")) else f"no vendor of {model!r}; set vendors.<name>"

    async def chat(self, model: str, request: Mapping[str, Any]) -> ModelReply:
        """The function's answer."""
        self.asked.append((model, request))
        first = next(each["content"] for each in request["messages"] if each["role"] == "user")
        text = self.answer(first)
        usage = Usage(latency=1.25, prompt_tokens=10, completion_tokens=3)
        if text is None:
            return ModelReply(error=TaskError(ErrorType.INFERENCE_ERROR, "scripted"), usage=usage)
        return ModelReply(body={"choices": [{"message": {"role": "assistant", "content": text}}]}, usage=usage)

    async def ask(self, model: str, request: Mapping[str, Any], shape: AnswerShape) -> ModelReply:
        """As `chat`; the shape is promised by nobody."""
        return await self.chat(model, request)

    async def infer(self, model: str, args: Mapping[str, Any], **_options: Any) -> ModelReply:
        """Not in this fake."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""
