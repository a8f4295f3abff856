"""Reading a judge's answer: JSON out of text, strictly. What is not exactly an answer is none.

Allowed are, in this order: a text that is JSON as a whole; JSON in the one fenced block of a text; one JSON object
with text before or after it but no brace outside. A leading `<think>...</think>` block is passed over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from assay.judging.schemas import Schema
from assay.ports.models import AnswerShape

SHOWN = 200
MOST_LEVELS = 100
_THOUGHTS = "</think>"


class Unreadable(Exception):
    """A text that is no answer; the message says why, in words that the judge is told too."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a judge answered, and what it gave as its reasons, if it was asked for them."""

    value: Any
    reasoning: str | None = None


class Reader(Protocol):
    """Knows the answers that are wanted: says so to the model, and reads them."""

    @property
    def shape(self) -> AnswerShape:
        """What an endpoint can hold the answer to."""
        ...

    @property
    def instruction(self) -> str:
        """How to answer, in words for the model."""
        ...

    def read(self, text: str) -> Answer:
        """The answer in a text. Raises Unreadable."""
        ...


def without_thoughts(text: str) -> str:
    """The text after a leading block of thoughts, without blanks at its ends."""
    text = text.strip()
    if text.startswith("<think>") and (end := text.find(_THOUGHTS)) != -1:
        return text[end + len(_THOUGHTS) :].strip()
    return text


def read_json(text: str) -> Any:
    """The JSON value in a text (see the module). Raises Unreadable, never anything else."""
    text = without_thoughts(text)
    if not text:
        raise Unreadable("the answer is empty")
    for candidate in _candidates(text):
        try:
            value = orjson.loads(candidate)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            continue
        if candidate.count("{") + candidate.count("[") > MOST_LEVELS and _is_deep(value):
            raise Unreadable(f"the answer is nested more than {MOST_LEVELS} levels deep")
        return value
    raise Unreadable(f"the answer is not JSON: {shown(text)}")


def _is_deep(value: Any) -> bool:
    """Whether containers nest more than MOST_LEVELS deep; goes level by level, so that no depth is too much."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        if not containers:
            return False
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
    return True


def _candidates(text: str) -> Sequence[str]:
    found = [text]
    if "```" in text:
        blocks = _fenced(text)
        if len(blocks) == 1:
            found.append(blocks[0])
        return found  # a fence and an object outside of it would be two answers
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        found.append(text[start : end + 1])
    return found


def _fenced(text: str) -> list[str]:
    """What stands in the closed fenced blocks of a text, line by line."""
    blocks: list[str] = []
    inside: list[str] | None = None
    for line in text.split("\n"):
        bare = line.strip()
        if inside is None:
            if bare.startswith("```") and "`" not in bare[3:]:
                inside = []
        elif bare == "```":
            blocks.append("\n".join(inside))
            inside = None
        else:
            inside.append(line)
    return blocks


def shown(text: str) -> str:
    """The beginning of a text, on one line, for a message."""
    line = " ".join(text[: SHOWN * 2].split())
    return repr(line if len(line) <= SHOWN and len(text) <= SHOWN * 2 else line[:SHOWN] + "...")


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """Reads an object that a JSON Schema describes; the object is the answer."""

    shape: AnswerShape
    instruction: str
    schema: Schema

    def read(self, text: str) -> Answer:
        """The object. Raises Unreadable."""
        if len(text) > self.schema.longest:
            raise Unreadable(f"the answer is longer than {self.schema.longest} characters")
        value = read_json(text)
        problem = self.schema.check(value) if isinstance(value, Mapping) else "must be an object"
        if problem is not None:
            raise Unreadable(f"the answer does not match the schema: {problem}")
        return Answer(value)


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Reads one value: the member `answer` of an object, beside which there may be `reasoning`; or the value
    alone, when the whole text is JSON other than an object or is exactly one of `words`.

    `kept` gives what is kept for a value as the model says it, or raises Unreadable.
    """

    shape: AnswerShape
    instruction: str
    kept: "Kept"
    words: frozenset[str] = frozenset()

    def read(self, text: str) -> Answer:
        """The value and its reasons. Raises Unreadable."""
        bare = without_thoughts(text)
        if bare in self.words or text in self.words:
            return Answer(self.kept(bare if bare in self.words else text))
        found = read_json(text)
        if not isinstance(found, Mapping):
            return Answer(self.kept(found))
        if "answer" not in found:
            raise Unreadable('the object has no member "answer"')
        reasoning = found.get("reasoning")
        return Answer(self.kept(found["answer"]), reasoning if isinstance(reasoning, str) and reasoning else None)


class Kept(Protocol):
    """From what a model says to what is kept."""

    def __call__(self, said: Any, /) -> Any:
        """The value to keep. Raises Unreadable."""
        ...


def one_value_shape(name: str, schema: Mapping[str, Any], *, reasons: bool) -> AnswerShape:
    """The shape of `{"answer": ...}`, with `reasoning` before it if reasons are wanted: a model that gives
    them first can still be led by them."""
    members: dict[str, Any] = {"reasoning": {"type": "string"}} if reasons else {}
    members["answer"] = schema
    shape = {"type": "object", "properties": members, "required": list(members), "additionalProperties": False}
    return AnswerShape(name, shape, strict=True)
