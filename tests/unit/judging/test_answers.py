"""Reading answers: whatever a model says, the reader gives a value that is allowed or says why not."""

import contextlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.questions import Bounds, Choice, QuestionType, Scale, answer_problem
from assay.judging.agents import agent_reader
from assay.judging.answers import Answer, Unreadable, read_json
from assay.judging.constrained import choice_reader, schema_reader
from assay.judging.questions import reader_of
from tests.builders.catalogue import make_question

JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["Yes", "No"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["answer", "reasoning", "a", "n"]), inner, max_size=3),
    ),
    max_leaves=8,
)
WRAPPERS = [
    "{}",
    "```json\n{}\n```",
    "Well: {} so.",
    "<think>hm {{}}</think>{}",
    "```\n{}\n```\n```\n{}\n```",
    "{}{}",
    " {}\n",
]
SAID = st.one_of(
    st.text(),
    st.builds(lambda wrapper, value: wrapper.replace("{}", _dumped(value)), st.sampled_from(WRAPPERS), JSON),
)
QUESTIONS = [
    make_question(type=QuestionType.CATEGORICAL, choices=(Choice("Yes", 1), Choice("No", False), Choice("", ""))),
    make_question(type=QuestionType.CATEGORICAL, choices=(Choice("Yes", "y"), Choice("No", "n")), multi=True),
    make_question(type=QuestionType.RATING, scale=Scale(5, "l", "h")),
    make_question(type=QuestionType.NUMBER, bounds=Bounds(-1, None)),
    make_question(type=QuestionType.FREE_TEXT, lengths=Bounds(1, 4)),
    make_question(type=QuestionType.FORM, form_schema={"required": ["a"]}),
    make_question(type=QuestionType.TIMESTAMP, multi=True),
]
READERS = [
    choice_reader(["Yes", "No", '{"answer": "No"}']),
    schema_reader({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}),
    *(agent_reader({"output_type": kind}) for kind in ("text", "integer", "float", "boolean")),
    agent_reader({"output_values": [1, True, "Yes"]}),
]


def _dumped(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return repr(value)


@given(SAID, st.sampled_from(QUESTIONS))
def test_what_is_read_is_an_answer_to_the_question(said: str, question: Any) -> None:
    try:
        answer = reader_of(question).read(said)
    except Unreadable as unreadable:
        why = str(unreadable)
        answer = None
    if answer is None:
        assert 0 < len(why) < 2000
    else:
        assert answer_problem(question, answer.value) is None
        orjson.dumps(answer.value)


@given(SAID, st.sampled_from(READERS))
def test_a_reader_never_raises_anything_but_that_it_cannot_read(said: str, reader: Any) -> None:
    with contextlib.suppress(Unreadable):
        assert isinstance(reader.read(said), Answer)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"a": 1}\n', {"a": 1}),
        ("3", 3),
        ('```\n{"a": 1}\n```', {"a": 1}),
        ("It is:\n```json\n[1]\n```\nAs I {said}.", [1]),
        ('  ```JSON\n  {"a": 1}\n  ```', {"a": 1}),
        ('Sure: {"a": {"b": "}"}} - done.', {"a": {"b": "}"}}),
        ('<think>\n{"a": 2}\n</think>\n{"a": 1}', {"a": 1}),
    ],
)
def test_json_is_found_where_there_is_exactly_one(text: str, value: Any) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "yes",
        "NaN",
        "Infinity",
        '{"a": 1',
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": 1} {"a": 2}',
        'use {braces} like {"a": 1}',
        '```\n{"a": 1}\n```\nor\n```\n{"a": 2}\n```',
        '```\nno\n```\n{"a": 1}',
        "<think>never ends",
        '"\\ud800"',
        "[" * 100_000,
        '{"a":' * 200 + "1" + "}" * 200,
        "1e999",
    ],
)
def test_two_answers_or_half_of_one_are_none(text: str) -> None:
    with pytest.raises(Unreadable):
        read_json(text)


def test_reading_takes_no_longer_for_hostile_text() -> None:
    for text in (
        "```\n" * 100_000,
        "{" * 300_000 + "}" * 300_000,
        "<think>" * 100_000,
        "{" * 500_000,
        "```a\n" * 50_000,
    ):
        with pytest.raises(Unreadable):
            read_json(text)
