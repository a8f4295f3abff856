"""What several answers come to, by the type of the question, and when they come to nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.consensus import Disagreement, consensus, rule_of
from assay.core.questions import Choice, Question, QuestionType, Scale
from tests.builders.catalogue import make_question


def asked(kind: QuestionType, **changes: Any) -> Question:
    choices = tuple(Choice(value, value) for value in ("a", "b", "c"))
    return make_question(type=kind, choices=choices, scale=Scale(5, "l", "h"), **changes)


CATEGORICAL = asked(QuestionType.CATEGORICAL)
SEVERAL = asked(QuestionType.CATEGORICAL, multi=True)


@pytest.mark.parametrize("kind", list(QuestionType))
def test_a_single_answer_is_itself(kind: QuestionType) -> None:
    answer = object()
    assert consensus(asked(kind), [answer]) is answer


@pytest.mark.parametrize(
    ("question", "answers", "value"),
    [
        (CATEGORICAL, ["a", "b", "a"], "a"),
        (CATEGORICAL, ["a", "b", "c", "c"], "c"),
        (CATEGORICAL, ["b", "b"], "b"),
        (SEVERAL, [["a"], ["a", "b"], ["b", "c"]], ["a", "b"]),
        (SEVERAL, [["a"], ["b"], ["c"]], []),
        (asked(QuestionType.RATING), [1, 5, 4], 4),
        (asked(QuestionType.RATING), [3, 4], 3.5),
        (asked(QuestionType.RATING), [3, 5], 4),
        (asked(QuestionType.NUMBER), [0.5, 100.0, 1.5], 1.5),
        (asked(QuestionType.TIMESTAMP), [10, 20, 60], 20),
        (asked(QuestionType.TIMESTAMP, multi=True), [[1], [2]], [[1], [2]]),
        (asked(QuestionType.FREE_TEXT), ["x", "x"], ["x", "x"]),
        (asked(QuestionType.FORM), [{"a": 1}, {}], [{"a": 1}, {}]),
    ],
)
def test_several_answers_become_one_value(question: Question, answers: list[Any], value: Any) -> None:
    found = consensus(question, answers)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("question", "answers"),
    [
        (CATEGORICAL, ["a", "b"]),
        (CATEGORICAL, ["a", "b", "a", "b", "c"]),
        (SEVERAL, [["a"], ["a", "b"]]),
        (SEVERAL, [["a"], []]),
    ],
)
def test_a_tie_is_a_disagreement_that_says_how_the_answers_fell(question: Question, answers: list[Any]) -> None:
    with pytest.raises(Disagreement, match=f"of {len(answers)} say"):
        consensus(question, answers)


def test_true_is_not_one() -> None:
    question = make_question(type=QuestionType.CATEGORICAL, choices=(Choice("yes", True), Choice("one", 1)))
    with pytest.raises(Disagreement):
        consensus(question, [True, 1])


def test_each_type_has_its_rule() -> None:
    assert {kind: rule_of(asked(kind)) for kind in QuestionType} == {
        QuestionType.CATEGORICAL: "majority",
        QuestionType.FREE_TEXT: "all",
        QuestionType.RATING: "median",
        QuestionType.NUMBER: "median",
        QuestionType.FORM: "all",
        QuestionType.TIMESTAMP: "median",
    }


@given(st.permutations(["a", "a", "b", "c", "b", "a"]))
def test_a_majority_does_not_depend_on_the_order(answers: list[str]) -> None:
    assert consensus(CATEGORICAL, answers) == "a"
