"""Asking a judge: the call, one attempt at repair, and an honest outcome whatever comes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from assay.core.model_calls import ModelCall
from assay.core.results import ErrorType, Outcome, Usage
from assay.judging.answers import Reader, Unreadable
from assay.ports.models import Models

RAW_LENGTH = 10_000
"""Characters that are kept of an answer that could not be read, and of a judge's reasons."""

OWN_ARGUMENTS = ("model", "messages", "response_format", "stream", "n", "tools", "tool_choice", "functions")
"""What a judge's `inference_args` may not set: the task does, or the answer could not be read."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What an endpoint's answer says: a text, or a final reason why there is none to read."""

    text: str
    final: str | None = None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What is asked of a judge about one item, and how its answer is read. `arguments` are further members of the
    chat request."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    reader: Reader
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def request(self, *sent_back: Mapping[str, Any]) -> dict[str, Any]:
        """The chat's request, with what follows the messages."""
        return {**self.arguments, "messages": [*self.messages, *sent_back]}

    @property
    def call(self) -> ModelCall:
        """The first call."""
        return self.reader.shape.call(self.model, self.request())


async def ask(models: Models, inquiry: Inquiry, *, repairs: int = 1) -> Outcome:
    """The outcome of asking a judge: the answer as the reader keeps it, or why there is none.

    An answer that cannot be read is sent back with what is wrong with it, `repairs` times; then the outcome is
    `invalid_output`. One that was cut off or filtered, or in which the model declines, is not sent back: it would
    be the same again. The usage is that of all calls. The detail holds the judge's `reasoning`, if it gave any;
    the `raw` text of an answer that could not be read (the last one); and `repaired` with the `first` text when
    there was more than one.
    """
    request = inquiry.request()
    usage: Usage | None = None
    detail: dict[str, Any] = {}
    problem = ""
    for attempt in range(repairs + 1):
        reply = await models.ask(inquiry.model, request, inquiry.reader.shape)
        usage = reply.usage if usage is None else usage.plus(reply.usage)
        if reply.error is not None:
            return Outcome(error=reply.error, usage=usage, detail=detail or None)
        said = _said(reply.body)
        if attempt == 1:
            detail = {"first": detail["raw"]}
        detail["raw"] = said.text[:RAW_LENGTH]
        if said.final is not None:
            problem = said.final
            break
        try:
            answer = inquiry.reader.read(said.text)
        except Unreadable as unreadable:
            problem = str(unreadable)
        else:
            del detail["raw"]
            if answer.reasoning is not None:
                detail["reasoning"] = answer.reasoning[:RAW_LENGTH]
            if attempt:
                detail["repaired"] = True
            return Outcome(value=answer.value, usage=usage, detail=detail or None)
        request = inquiry.request(*_sent_back(said.text, problem, inquiry.reader))
    tries = "" if "first" not in detail else " (asked twice)" if repairs == 1 else f" (asked {attempt + 1} times)"
    return Outcome.failed(ErrorType.INVALID_OUTPUT, f"{problem}{tries}", usage=usage, detail=detail)


def _sent_back(text: str, problem: str, reader: Reader) -> list[dict[str, Any]]:
    """The judge's own answer and what was wrong with it."""
    complaint = f"That answer could not be read: {problem}. {reader.instruction}"
    return [
        {"role": "assistant", "content": text[:RAW_LENGTH].strip() or "(no text)"},
        {"role": "user", "content": complaint},
    ]


def _said(body: Any) -> _Said:
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return _Said(_raw(body), "the answer has no message")
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    text = content if isinstance(content, str) else ""
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal:
        return _Said(text or refusal, f"the model declined to answer: {refusal[:200]}")
    finish = choice.get("finish_reason")
    if finish == "length":
        return _Said(text, "the answer was cut off at its token limit (finish_reason: length)")
    if finish == "content_filter":
        return _Said(text, "the answer was filtered (finish_reason: content_filter)")
    return _Said(text)


def _raw(body: Any) -> str:
    return orjson.dumps(body).decode()[:RAW_LENGTH]
