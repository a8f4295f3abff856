"""Asking a stored question: what its answer must look like, how that is said to a model, and what is kept of it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from assay.core.questions import Bounds, Question, QuestionType, answer_problem, question_from
from assay.judging.answers import Kept, ObjectReader, Reader, Unreadable, ValueReader, one_value_shape, shown
from assay.judging.schemas import UnusableSchema, compiled_schema
from assay.ports.models import AnswerShape

_NAME = "judgement"


def question_reader(document: Mapping[str, Any]) -> tuple[Question, Reader]:
    """A question out of its document (`core.questions.question_document`), and the reader of its answers.

    Making them again from the same document costs next to nothing. Raises UnusableSchema for a form whose
    schema answers cannot be held to.
    """
    return _made(orjson.dumps(document))


@lru_cache(maxsize=1024)
def _made(document: bytes) -> tuple[Question, Reader]:
    question = question_from(orjson.loads(document))
    return question, reader_of(question)


def reader_of(question: Question) -> Reader:
    """The reader of a question's answers. Raises UnusableSchema."""
    if question.type is QuestionType.FORM:
        return _form(question)
    labels = {choice.label: choice.value for choice in question.choices or ()}
    schema, words = _wanted(question, list(labels))
    if question.takes_many:
        schema = {"type": "array", "items": schema}
        words = f"a list, each member of it {words}; name none twice; the list may be empty"
    return ValueReader(
        one_value_shape(_NAME, schema, reasons=True),
        f'Answer with a JSON object and nothing else: {{"reasoning": "...", "answer": ...}}. '
        f'"reasoning" is your reasons, in a few sentences. "answer" is {words}.',
        _kept(question, labels),
        frozenset(labels) if question.type is QuestionType.CATEGORICAL and not question.takes_many else frozenset(),
    )


def _form(question: Question) -> ObjectReader:
    schema = question.form_schema or {}
    compiled = compiled_schema(schema)
    if schema.get("type", "object") != "object":
        raise UnusableSchema("a form's answer is an object: the schema's type must be object")
    text = orjson.dumps(schema).decode()
    return ObjectReader(
        AnswerShape(_NAME, {"type": "object", **schema}),
        f"Answer with a JSON object and nothing else. It must match this JSON Schema: {text}",
        compiled,
    )


def _wanted(question: Question, labels: list[str]) -> tuple[dict[str, Any], str]:
    """One answer as a JSON Schema, of the words that every endpoint knows, and in words."""
    match question.type:
        case QuestionType.CATEGORICAL:
            return {"type": "string", "enum": labels}, f"exactly one of: {', '.join(map(_quoted, labels))}"
        case QuestionType.RATING:
            steps = question.scale.steps if question.scale else 1
            low, high = (question.scale.min_label, question.scale.max_label) if question.scale else ("", "")
            words = f"a whole number from 1 ({_quoted(low)}) to {steps} ({_quoted(high)})"
            return {"type": "integer", "minimum": 1, "maximum": steps}, words
        case QuestionType.NUMBER:
            bounds = question.bounds or Bounds()
            given = {"minimum": bounds.minimum, "maximum": bounds.maximum}
            return {"type": "number", **_said(given)}, f"a number{_between(bounds, '')}"
        case QuestionType.FREE_TEXT:
            return {"type": "string"}, f"a text{_between(question.lengths or Bounds(), ' characters long')}"
        case _:
            return {"type": "number"}, "a time as a number of seconds"


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _between(bounds: Bounds, unit: str) -> str:
    parts = [
        f" at {word} {bound:g}"
        for word, bound in (("least", bounds.minimum), ("most", bounds.maximum))
        if bound is not None
    ]
    return " and".join(parts) + unit if parts else ""


def _quoted(text: str) -> str:
    return orjson.dumps(text).decode()


def _kept(question: Question, labels: Mapping[str, Any]) -> Kept:
    """What is kept of an answer: of a choice its value, of a rating a whole number, of the rest what was said."""
    whole = question.type is QuestionType.RATING

    def value(said: Any) -> Any:
        if question.type is QuestionType.CATEGORICAL:
            if not isinstance(said, str) or said not in labels:
                raise Unreadable(f"{shown(_text(said))} is not one of the choices: {', '.join(map(_quoted, labels))}")
            return labels[said]
        return int(said) if whole and isinstance(said, float) and said.is_integer() else said

    def kept(said: Any) -> Any:
        if question.takes_many:
            if not isinstance(said, list):
                raise Unreadable("the answer must be a list")
            answer: Any = [value(each) for each in said]
        else:
            answer = value(said)
        problem = answer_problem(question, answer)
        if problem is not None:
            raise Unreadable(f"the answer {shown(_text(said))} {problem}")
        return answer

    return kept


def _text(said: Any) -> str:
    return said if isinstance(said, str) else orjson.dumps(said).decode()
