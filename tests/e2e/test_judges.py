"""Judges against a real server and a judge that misbehaves on purpose, through the official client."""

from typing import Any

from scale_gp_beta import SGPClient

from tests.builders.judging import question_task
from tests.builders.wire import run, standalone


def a_question(client: SGPClient, kind: str = "categorical", **configuration: Any) -> str:
    if kind == "categorical" and not configuration:
        configuration = {"choices": ["Yes", "No"]}
    question: Any = {"question_type": kind, "name": "q", "prompt": "Is it right?", "configuration": configuration}
    return client.questions.create(question=question).id


def test_a_judge_answers_a_stored_question_about_each_item(strict: SGPClient) -> None:
    question_id = a_question(strict)
    rows = [
        {"text": '[[{"reasoning": "blue it is", "answer": "Yes"}]]'},
        {"text": "[[No]]"},
        {"text": '[[Sure! {"answer": "Yes"} Anything else?]]'},
        {"text": '[[Maybe]] [[{"answer": "No"}]]'},
        {"text": "[[Perhaps]]"},
        {"text": '[[!length {"answer": "Yes"}]]'},
        {"text": "[[!refuse I would rather not.]]"},
        {"text": '[[!filter {"answer": "Yes"}]]'},
        {"other": 1},
    ]

    done, items = run(strict, standalone(rows, question_task(question_id)))

    alias = "auto_evaluation_question"
    assert [item.data.get(alias) for item in items] == ["Yes", "No", "Yes", "No", *[None] * 5]
    assert (done.status, done.error_count) == ("completed", 5)
    errors = [(item.task_errors or {})[alias] for item in items[4:]]
    assert [error.type for error in errors] == [*["invalid_output"] * 4, "missing_field"]
    for error, words in zip(errors, ("'Perhaps'", "cut off", "declined", "filtered", "text"), strict=True):
        assert words in error.message
    assert {item.task_result_statuses[alias] for item in items[4:] if item.task_result_statuses} == {"errored"}
