"""Questions that people and judges answer, sets of them, and what a right answer looks like.

One Question serves every version of the API: it is the superset of what each of them can say.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from assay.core.errors import Problem
from assay.core.identity import Identity


class QuestionType(StrEnum):
    """What kind of answer a question wants."""

    CATEGORICAL = "categorical"
    FREE_TEXT = "free_text"
    RATING = "rating"
    NUMBER = "number"
    FORM = "form"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a categorical question's answers. The answer that is kept is `value`; people see `label`.

    `audit_required`: choosing it flags the result for review. None: nobody said.
    """

    label: str
    value: str | bool | int | float
    audit_required: bool | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """A rating's scale: whole numbers from 1 to `steps`, with a label at each end."""

    steps: int
    min_label: str
    max_label: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the greatest that is allowed, both included; None: no bound."""

    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `title` is the short label (a name, to some versions), `prompt` the question itself.

    `choices` are a categorical question's; `multi` allows several of them, or several timestamps; `scale`,
    `bounds` and `lengths` belong to ratings, numbers and texts (in characters); `form_schema` is a form's JSON
    Schema. Settings of other types are kept though they say nothing. None is absent, () is empty.
    `conditions`: the question is asked when one of them holds, see `is_asked`.
    """

    id: str
    seq: int
    account_id: str
    type: QuestionType
    title: str
    prompt: str
    created_at: datetime
    created_by: Identity
    choices: tuple[Choice, ...] | None = None
    multi: bool | None = None
    dropdown: bool | None = None
    scale: Scale | None = None
    bounds: Bounds | None = None
    lengths: Bounds | None = None
    form_schema: Mapping[str, Any] | None = None
    allow_multi_timestamps: bool | None = None
    default: Any = None
    required: bool | None = None
    conditions: tuple[Mapping[str, Any], ...] | None = None
    archived_at: datetime | None = None

    @property
    def takes_many(self) -> bool:
        """Whether an answer is a list."""
        if self.type is QuestionType.TIMESTAMP:
            return bool(self.multi or self.allow_multi_timestamps)
        return self.type is QuestionType.CATEGORICAL and bool(self.multi)


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions in an order. `question_id_to_config` may say of a question that it is `required` in this set;
    None: it was not given."""

    id: str
    seq: int
    account_id: str
    name: str
    question_ids: tuple[str, ...]
    created_at: datetime
    created_by: Identity
    instructions: str | None = None
    question_id_to_config: Mapping[str, Mapping[str, Any]] | None = None
    archived_at: datetime | None = None

    def requires(self, question: Question) -> bool:
        """Whether the question must be answered in this set: the set's word, else the question's, else no."""
        required = ((self.question_id_to_config or {}).get(question.id) or {}).get("required")
        return bool(question.required if required is None else required)


def question_document(question: Question) -> dict[str, Any]:
    """The question as a JSON object, which `question_from` reads back: all but who made it and when. What was
    not given is left out."""
    document = {name: value for name in _DOCUMENTED if (value := getattr(question, name)) is not None}
    for name in ("scale", "bounds", "lengths"):
        if name in document:
            document[name] = asdict(document[name])
    if question.choices is not None:
        document["choices"] = [asdict(choice) for choice in question.choices]
    if question.conditions is not None:
        document["conditions"] = [dict(each) for each in question.conditions]
    return document


def question_from(document: Mapping[str, Any]) -> Question:
    """The question that `question_document` made the object of; its creation is not known."""
    given = dict(document)
    for name, kind in (("scale", Scale), ("bounds", Bounds), ("lengths", Bounds)):
        if name in given:
            given[name] = kind(**given[name])
    if "choices" in given:
        given["choices"] = tuple(Choice(**each) for each in given["choices"])
    if "conditions" in given:
        given["conditions"] = tuple(given["conditions"])
    given["type"] = QuestionType(given["type"])
    return Question(seq=0, account_id="", created_at=_NEVER, created_by=_NOBODY, **given)


_NEVER = datetime.min.replace(tzinfo=UTC)
_NOBODY = Identity("", "user")
_DOCUMENTED = tuple(
    name
    for name in Question.__dataclass_fields__
    if name not in ("seq", "account_id", "created_at", "created_by", "archived_at")
)


def question_problems(question: Question) -> Iterator[tuple[str, Problem]]:
    """What is wrong with a question, each with the name of the attribute at fault; places are within it."""
    if question.type is QuestionType.CATEGORICAL and not question.choices:
        yield "choices", Problem((), "a categorical question needs at least one choice", "missing")
    if question.type is QuestionType.CATEGORICAL and question.multi and question.dropdown:
        yield "dropdown", Problem((), "a dropdown cannot take several choices", "conflict")
    if question.type is QuestionType.RATING and question.scale is None:
        yield "scale", Problem((), "a rating question needs its scale", "missing")
    if question.type is QuestionType.FORM and question.form_schema is None:
        yield "form_schema", Problem((), "a form question needs its schema", "missing")
    if question.scale is not None and question.scale.steps < 2:
        yield "scale", Problem(("steps",), "a scale has at least 2 steps", "greater_than_equal", question.scale.steps)
    for name, bounds in (("bounds", question.bounds), ("lengths", question.lengths)):
        if bounds is not None and None not in (bounds.minimum, bounds.maximum) and bounds.minimum > bounds.maximum:  # type: ignore[operator]
            yield name, Problem(("minimum",), "must not be above the maximum", "range", bounds.minimum)
    if question.lengths is not None and min(question.lengths.minimum or 0, question.lengths.maximum or 0) < 0:
        yield "lengths", Problem((), "a length cannot be negative", "greater_than_equal")
    yield from _choice_problems(question.choices or ())


def _choice_problems(choices: Sequence[Choice]) -> Iterator[tuple[str, Problem]]:
    labels: set[str] = set()
    values: set[str] = set()
    for index, choice in enumerate(choices):
        if choice.label in labels:
            yield "choices", Problem((index, "label"), "another choice has this label", "duplicate", choice.label)
        if answer_key(choice.value) in values:
            yield "choices", Problem((index, "value"), "another choice has this value", "duplicate", choice.value)
        labels.add(choice.label)
        values.add(answer_key(choice.value))


def answer_key(value: Any) -> str:
    """A text that two JSON values share exactly when they are equal: true is not 1, and 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def answer_problem(question: Question, answer: Any) -> str | None:
    """Why a value is no answer to the question, in words; None when it is one.

    Categorical: the value of a choice; rating: a whole number from 1; number; text; timestamp: seconds; lists
    of them where the question takes many. A form's answer is an object or the JSON text of one.
    """
    if not question.takes_many:
        return _one_problem(question, answer)
    if not isinstance(answer, list):
        return "must be a list, for the question takes several answers"
    keys = {answer_key(each) for each in answer}
    if len(keys) < len(answer):
        return "must not name an answer twice"
    return next((problem for each in answer if (problem := _one_problem(question, each))), None)


def _one_problem(question: Question, answer: Any) -> str | None:
    match question.type:
        case QuestionType.CATEGORICAL:
            known = {answer_key(choice.value) for choice in question.choices or ()}
            return (
                None if not isinstance(answer, dict | list) and answer_key(answer) in known else "is no choice's value"
            )
        case QuestionType.FREE_TEXT:
            if not isinstance(answer, str):
                return "must be text"
            return _outside(question.lengths, len(answer), "characters long")
        case QuestionType.FORM:
            return None if _is_form(answer) else "must be an object or the JSON text of one"
        case _ if not _is_number(answer):
            return "must be a number"
        case QuestionType.RATING:
            if answer != int(answer):
                return "must be a whole number"
            return _outside(Bounds(1, question.scale.steps if question.scale else None), answer, "")
        case QuestionType.NUMBER:
            return _outside(question.bounds, answer, "")
        case _:
            return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_form(answer: Any) -> bool:
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError):
            return False
    return isinstance(answer, dict)


def _outside(bounds: Bounds | None, value: float, unit: str) -> str | None:
    if bounds is None:
        return None
    for bound, wrong, word in (
        (bounds.minimum, bounds.minimum is not None and value < bounds.minimum, "least"),
        (bounds.maximum, bounds.maximum is not None and value > bounds.maximum, "most"),
    ):
        if wrong:
            return f"must be at {word} {bound:g} {unit}".rstrip()
    return None


def is_asked(question: Question, answers: Mapping[str, Any]) -> bool:
    """Whether the question is asked, given the other answers by question id.

    One of its conditions must hold, or there are none. A condition holds when each question that it names has
    an answer that matches: equal to the value, or to one of a list of values; of several answers one is enough.
    Values are compared as JSON, and failing that by their text.
    """
    if not question.conditions:
        return True
    return any(
        all(question_id in answers and _matches(answers[question_id], wanted) for question_id, wanted in each.items())
        for each in question.conditions
    )


def _matches(answer: Any, wanted: Any) -> bool:
    given = answer if isinstance(answer, list) else [answer]
    options = wanted if isinstance(wanted, list) else [wanted]
    return any(answer_key(one) == answer_key(other) or _text(one) == _text(other) for one in given for other in options)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else answer_key(value)
