"""Judges against a real server and a judge that misbehaves on purpose, through the official client."""

import json
import os
import subprocess
import sys
from typing import Any

import httpx
import pytest
from scale_gp_beta import BadRequestError, SGPClient, UnprocessableEntityError

from assay.api.v5.schemas.evaluation_items import ItemResults
from tests.builders.judging import agent_task, guided_task, question_task
from tests.builders.wire import chat, run, standalone
from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.server_process import ServerProcess


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


def test_a_judge_of_the_answers_of_a_model(strict: SGPClient) -> None:
    """The worked exchange of the contract, with a model that says what it is told."""
    rows = [{"input": "[[Blue.]] [[Yes]]", "expected": "Blue"}]
    judge = guided_task("Q [[{{item.expected}}]] A {{item.output}} ok?", choices=["Blue", "No"], alias="correctness")

    done, items = run(strict, standalone(rows, chat("item.input", alias="output"), judge))

    assert done.status == "completed"
    assert items[0].data == {**rows[0], "output": "Blue.", "correctness": "Blue"}
    assert items[0].task_result_statuses == {"output": "completed", "correctness": "completed"}


def test_every_kind_of_question_is_answered(strict: SGPClient) -> None:
    questions = {
        "rating": a_question(strict, "rating", steps=5, min_label="bad", max_label="good"),
        "number": a_question(strict, "number", min=0, max=1),
        "words": a_question(strict, "free_text", max_length=10),
        "form": a_question(strict, "form", form_schema={"type": "object", "required": ["a"]}),
        "times": a_question(strict, "timestamp", multi=True),
        "several": a_question(strict, "categorical", choices=["a", "b", "c"], multi=True),
    }
    said = {"rating": 4, "number": 0.5, "words": "fine", "form": {"a": 1}, "times": [1.5, 2], "several": ["c", "a"]}
    row = {kind: f"[[{json.dumps(value if kind == 'form' else {'answer': value})}]]" for kind, value in said.items()}
    tasks = [
        question_task(question_id, f"{{{{item.{kind}}}}}", alias=f"q {kind}") for kind, question_id in questions.items()
    ]

    done, items = run(strict, standalone([row], *tasks))

    assert (done.status, done.error_count) == ("completed", 0)
    assert {alias.removeprefix("q "): items[0].data[alias] for alias in items[0].data if alias.startswith("q ")} == said


def test_an_agent_judges_by_a_pinned_rubric(strict: SGPClient, model_endpoint: EndpointProcess) -> None:
    rubric = strict.rubrics.create(title="Helpful", criteria=[{"title": "is kind", "weight": 2}])
    strict.rubrics.update(rubric.id, rubric={"title": "Helpful and short"})
    row = {"text": '[[{"reasoning": "it is kind", "answer": 1}]]'}
    pinned = agent_task(output_type="integer", output_values=[0, 1], rubric_id=rubric.id, rubric_version=1)

    done, items = run(strict, standalone([row], pinned))

    assert (done.status, items[0].data["auto_evaluation_agent"]) == ("completed", 1)
    asked = [call.message for call in model_endpoint.calls() if "Criterion: Correct" in call.message]
    assert asked
    for wrong, words in (({"rubric_id": "nobody"}, "rubric not found"), ({"rubric_version": 9}, "no version 9")):
        with pytest.raises(BadRequestError, match=words):
            run(strict, standalone([row], agent_task(**{"rubric_id": rubric.id, **wrong})))


def test_an_item_for_which_the_condition_is_not_true_is_skipped(strict: SGPClient) -> None:
    condition = {
        "op": "and",
        "operands": [
            {"op": "gte", "left": {"op": "var", "path": "item.n"}, "right": 2},
            {"op": "is_null", "operands": [{"op": "var", "path": "gone"}]},
        ],
    }
    rows = [{"text": "[[Yes]]", "n": n, **({"gone": 1} if n == 3 else {})} for n in range(4)]
    reads = {
        "task_type": "custom_function",
        "configuration": {
            "function_source": "def seen(v=None):\n    return 1 if v is None else 0\n",
            "arg_mapping": {"v": "item.judged"},
        },
    }

    done, items = run(
        strict, standalone(rows, guided_task(choices=["Yes"], alias="judged", run_condition=condition), reads)
    )

    statuses = [(item.task_result_statuses or {})["judged"] for item in items]
    assert statuses == ["skipped", "skipped", "completed", "skipped"]
    assert [item.data.get("judged") for item in items] == [None, None, "Yes", None]
    assert [item.data["seen"] for item in items] == [1, 1, 0, 1], "what reads a skipped task reads null"
    assert (done.status, done.error_count) == ("completed", 0)


def test_a_structured_answer_is_the_object_and_what_does_not_match_is_an_error(strict: SGPClient) -> None:
    schema = {"type": "object", "properties": {"score": {"type": "integer"}}, "required": ["score"]}
    rows = [{"text": '[[{"score": 3}]]'}, {"text": '[[{"score": "3"}]]'}, {"text": '[[!shapeless {"score": 1}]]'}]

    done, items = run(strict, standalone(rows, guided_task(response_format=schema, alias="s")))

    assert [item.data.get("s") for item in items] == [{"score": 3}, None, {"score": 1}]
    assert (items[1].task_errors or {})["s"].type == "invalid_output"
    assert done.error_count == 1


@pytest.mark.parametrize(
    ("task", "place", "words"),
    [
        (guided_task(choices=["a"], model="nowhere/m"), ["model"], "ASSAY_VENDORS__NOWHERE__BASE_URL"),
        (guided_task(), [], "exactly one of"),
        (guided_task(choices=["a", "a"]), ["choices"], "the choice at 1 is the same"),
        (guided_task("{{item.typo}}", choices=["a"]), ["prompt"], "points at no column"),
        (
            guided_task(choices=["a"], run_condition={"op": "var", "path": "item.text"}),
            ["run_condition"],
            "a var alone",
        ),
        (
            guided_task(choices=["a"], run_condition={"op": "is_null", "operands": [{"op": "var", "path": "typo"}]}),
            ["run_condition", "operands", 0, "path"],
            "points at no column",
        ),
        (
            guided_task(response_format={"$ref": "http://127.0.0.1:1/x"}),
            ["response_format"],
            "only parts of the schema",
        ),
        (agent_task(data_fields=["typo"]), ["data_fields", 0], "points at no column"),
        (question_task("q", "{{item.typo}}"), ["prompt"], "points at no column"),
    ],
)
def test_a_judge_that_cannot_work_is_refused_at_its_place(
    strict: SGPClient, task: Any, place: list[Any], words: str
) -> None:
    with pytest.raises(UnprocessableEntityError) as refused:
        strict.evaluations.create(evaluation=standalone([{"text": "x"}], task))  # type: ignore[arg-type]
    body: Any = refused.value.body
    (problem,) = body["detail"]
    assert problem["loc"] == ["body", "tasks", 0, "configuration", *place]
    assert words in problem["msg"]
    assert not problem["msg"].startswith("Value error")


def test_a_question_that_is_not_there_or_archived_is_refused(strict: SGPClient) -> None:
    question_id = a_question(strict)
    strict.questions.archive(question_id)
    for asked, words in (("nobody", "question not found"), (question_id, "archived")):
        with pytest.raises(BadRequestError, match=f"tasks.0.configuration.question_id: .*{words}"):
            run(strict, standalone([{"text": "x"}], question_task(asked)))
    form = a_question(strict, "form", form_schema={"$ref": "http://127.0.0.1:1/x"})
    with pytest.raises(UnprocessableEntityError, match="form_schema"):
        run(strict, standalone([{"text": "x"}], question_task(form)))


def test_an_evaluation_keeps_the_question_that_it_was_made_with(
    strict: SGPClient, model_endpoint: EndpointProcess
) -> None:
    question_id = a_question(strict)
    body = standalone([{"text": "[[Yes]]"}], question_task(question_id, alias="judged"))
    made = strict.evaluations.create(evaluation=body)  # type: ignore[arg-type]
    strict.questions.archive(question_id)
    read = strict.evaluations.retrieve(made.id, views=["tasks"])
    assert read.tasks is not None
    assert read.tasks[0].configuration.to_dict() == body["tasks"][0]["configuration"]  # type: ignore[union-attr]


def test_what_is_kept_of_an_answer_can_be_read(strict: SGPClient, raw: httpx.Client) -> None:
    rows = [{"text": '[[{"reasoning": "so it is", "answer": "Yes"}]]'}, {"text": "[[Hm]]"}, {"text": "[[Hm]] [[No]]"}]
    _, items = run(strict, standalone(rows, question_task(a_question(strict), alias="judged")))

    found = [raw.get(f"/v5/evaluation-items/{item.id}/results") for item in items]
    results = [ItemResults.model_validate_json(each.content).items[0] for each in found]

    assert [each.value for each in results] == ["Yes", None, "No"]
    assert [each.detail for each in results] == [
        {"reasoning": "so it is"},
        {"first": "Hm", "raw": "Hm"},
        {"first": "Hm", "repaired": True},
    ]
    assert [each.usage and (each.usage.attempts, each.usage.prompt_tokens) for each in results] == [
        (1, 10),
        (2, 20),
        (2, 20),
    ]
    assert results[1].error is not None
    assert results[1].error.type == "invalid_output"
    assert raw.get("/v5/evaluation-items/nobody/results").status_code == 404


def test_choices_are_shares_with_intervals_and_unreadable_answers_are_missing(
    strict: SGPClient, server: ServerProcess
) -> None:
    rows = [{"text": "[[Yes]]"}] * 6 + [{"text": "[[No]]"}] * 2 + [{"text": "[[Hm]]"}] * 2
    done, _ = run(strict, standalone(rows, guided_task(choices=["Yes", "No"], alias="judged")))

    found: Any = strict.get(f"/v5/evaluations/{done.id}/aggregates", cast_to=object)
    (task,) = found["tasks"]
    shown = subprocess.run(
        [sys.executable, "-m", "assay.cli.main", "evaluations", "show", done.id],
        env={**os.environ, "ASSAY_BASE_URL": server.base_url, "ASSAY_API_KEY": server.api_key},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert task["values"] == {"Yes": 6, "No": 2}
    assert (task["completed"], task["missing"], task["errored"]) == (8, 2, 2)
    assert task["error_types"] == {"invalid_output": 2}
    yes = task["shares"]["Yes"]
    assert (yes["share"], yes["interval"]["method"]) == (0.75, "wilson")
    assert (round(yes["interval"]["low"], 3), round(yes["interval"]["high"], 3)) == (0.409, 0.929)
    assert "Yes 0.750" in shown
    assert "(0.409, 0.929)" in shown
