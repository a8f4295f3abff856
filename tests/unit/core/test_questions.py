"""Questions: what cannot be asked, what is an answer, when a question is asked, and what a set requires."""

import json
from dataclasses import replace
from typing import Any

import pytest

from assay.core.questions import (
    Bounds,
    Choice,
    Question,
    QuestionType,
    Scale,
    answer_problem,
    is_asked,
    question_document,
    question_from,
    question_problems,
)
from tests.builders.catalogue import make_question, make_question_set

CHOICES = (Choice("yes", True), Choice("one", 1), Choice("half", 0.5), Choice("text", "1"))


def question_of(kind: str, **settings: Any) -> Question:
    return make_question(type=QuestionType(kind), **settings)


SCALE = Scale(5, "low", "high")


@pytest.mark.parametrize(
    ("question", "faults"),
    [
        (question_of("categorical", choices=CHOICES, multi=True), []),
        (question_of("categorical", choices=CHOICES, dropdown=True), []),
        (question_of("categorical"), [("choices", ())]),
        (question_of("categorical", choices=()), [("choices", ())]),
        (question_of("categorical", choices=CHOICES, dropdown=True, multi=True), [("dropdown", ())]),
        (question_of("categorical", choices=(*CHOICES, Choice("yes", 2))), [("choices", (4, "label"))]),
        (question_of("categorical", choices=(*CHOICES, Choice("uno", 1.0))), [("choices", (4, "value"))]),
        (question_of("free_text", choices=(), dropdown=True, multi=True), []),
        (question_of("free_text", lengths=Bounds(3, 3)), []),
        (question_of("free_text", lengths=Bounds(4, 3)), [("lengths", ("minimum",))]),
        (question_of("free_text", lengths=Bounds(None, -1)), [("lengths", ())]),
        (question_of("rating", scale=SCALE), []),
        (question_of("rating"), [("scale", ())]),
        (question_of("rating", scale=Scale(1, "", "")), [("scale", ("steps",))]),
        (question_of("number"), []),
        (question_of("number", bounds=Bounds(0, None)), []),
        (question_of("number", bounds=Bounds(1, 0.5)), [("bounds", ("minimum",))]),
        (question_of("form", form_schema={}), []),
        (question_of("form"), [("form_schema", ())]),
        (question_of("timestamp"), []),
    ],
)
def test_a_question_that_cannot_be_asked_says_where_it_is_wrong(question: Question, faults: list[Any]) -> None:
    assert [(name, problem.loc) for name, problem in question_problems(question)] == faults


CATEGORICAL = question_of("categorical", choices=CHOICES)
MULTI = question_of("categorical", choices=CHOICES, multi=True)
TEXT = question_of("free_text", lengths=Bounds(2, 3))
RATING = question_of("rating", scale=SCALE)
NUMBER = question_of("number", bounds=Bounds(-1, 1.5))
FORM = question_of("form", form_schema={})


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        (CATEGORICAL, [True, 1, 1.0, 0.5, "1"]),
        (MULTI, [[], [True, 1], ["1"]]),
        (TEXT, ["ab", "äöü"]),
        (question_of("free_text"), [""]),
        (RATING, [1, 5, 3.0]),
        (NUMBER, [-1, 0, 1.5]),
        (question_of("number"), [1e300]),
        (FORM, [{}, '{"a": 1}']),
        (question_of("timestamp"), [0, 12.5]),
        (question_of("timestamp", multi=True), [[], [0, 1.5]]),
        (question_of("timestamp", allow_multi_timestamps=True), [[3]]),
        (question_of("free_text", multi=True), ["one text"]),
    ],
)
def test_a_right_answer_is_taken(question: Question, answers: list[Any]) -> None:
    assert [answer_problem(question, answer) for answer in answers] == [None] * len(answers)


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        (CATEGORICAL, [False, 0, "yes", "True", None, [True], {}]),
        (MULTI, [True, [False], [1, 1.0], None, [[1]]]),
        (TEXT, ["a", "abcd", 12, None, ["ab"]]),
        (RATING, [0, 6, 2.5, "3", True, None, float("nan")]),
        (NUMBER, [-1.1, 2, "0", False, float("inf")]),
        (FORM, [1, None, "[]", "{", "[" * 100_000]),
        (question_of("timestamp"), ["now", [1], True]),
        (question_of("timestamp", multi=True), [1, ["now"], [1, 1]]),
    ],
)
def test_a_wrong_answer_is_told_why(question: Question, answers: list[Any]) -> None:
    assert all(isinstance(answer_problem(question, answer), str) for answer in answers)


def test_what_is_wrong_with_an_answer_names_the_bound() -> None:
    assert answer_problem(TEXT, "a") == "must be at least 2 characters long"
    assert answer_problem(NUMBER, 2) == "must be at most 1.5"
    assert answer_problem(RATING, 6) == "must be at most 5"


@pytest.mark.parametrize(
    ("conditions", "answers", "asked"),
    [
        (None, {}, True),
        ((), {}, True),
        (({"a": 1},), {"a": 1}, True),
        (({"a": 1},), {"a": 2}, False),
        (({"a": 1},), {}, False),
        (({"a": 1, "b": "x"},), {"a": 1}, False),
        (({"a": 1, "b": "x"},), {"a": 1, "b": "x"}, True),
        (({"a": 1}, {"b": "x"}), {"b": "x"}, True),
        (({"a": [1, 2]},), {"a": 2}, True),
        (({"a": [1, 2]},), {"a": [3, 2]}, True),
        (({"a": [1, 2]},), {"a": [3]}, False),
        (({"a": []},), {"a": 1}, False),
        (({"a": "1"},), {"a": 1}, True),
        (({"a": 1},), {"a": "1.0"}, False),
        (({"a": 1},), {"a": True}, False),
        (({"a": True},), {"a": "true"}, True),
    ],
)
def test_a_question_is_asked_when_one_of_its_conditions_holds(conditions: Any, answers: Any, asked: bool) -> None:
    assert is_asked(make_question(conditions=conditions), answers) is asked


@pytest.mark.parametrize(
    ("own", "config", "required"),
    [
        (None, None, False),
        (True, None, True),
        (True, {}, True),
        (True, {"required": None}, True),
        (True, {"required": False}, False),
        (None, {"required": True}, True),
    ],
)
def test_a_sets_word_on_whether_a_question_is_required_goes_before_the_questions(
    own: bool | None, config: dict[str, Any] | None, required: bool
) -> None:
    question = make_question(required=own)
    configs = None if config is None else {question.id: config}
    assert make_question_set(question, question_id_to_config=configs).requires(question) is required


@pytest.mark.parametrize(
    "question",
    [
        question_of("categorical", choices=CHOICES, multi=True, required=False, conditions=({"q": [1]},)),
        question_of("rating", scale=SCALE, default=3),
        question_of("number", bounds=Bounds(None, 2.5)),
        question_of("free_text", lengths=Bounds(0, None), choices=(), dropdown=True),
        question_of("form", form_schema={"type": "object"}),
        question_of("timestamp", allow_multi_timestamps=True),
    ],
)
def test_a_questions_document_is_json_and_keeps_what_is_asked(question: Question) -> None:
    kept = question_from(json.loads(json.dumps(question_document(question))))

    same = {"seq": 0, "account_id": "", "created_at": kept.created_at, "created_by": kept.created_by}
    assert kept == replace(question, **same)
