import json
import urllib.request

from assay.cli.demo_endpoint import answer, stand_in
from assay.cli.demo_job import NAMES, ROW_IDENTIFIER, VARIANTS, evaluation, rows


def test_both_variants_have_the_same_two_hundred_rows_and_more_but_their_own_answers() -> None:
    a, b = (rows(variant) for variant in VARIANTS)
    assert len(a) == len(b) >= 200
    assert [row[ROW_IDENTIFIER] for row in a] == [row[ROW_IDENTIFIER] for row in b]
    assert len({row[ROW_IDENTIFIER] for row in a}) == len(a)
    assert all(row["answer"] and row["capital"] and row["continent"] for row in (*a, *b))
    assert sum(x["answer"] != y["answer"] for x, y in zip(a, b, strict=True)) > 100


def test_the_demos_function_ignores_case_and_accents() -> None:
    space: dict[str, object] = {}
    exec(NAMES, space)
    names = space["names"]
    assert callable(names)
    assert names("It is BOGOTÁ!", "Bogota") == 1
    assert names("It is Lima.", "Bogota") == 0


def test_the_stand_in_answers_as_a_chat_endpoint_and_says_that_it_is_no_model() -> None:
    body = {"model": "x", "messages": [{"role": "user", "content": "On which continent is France? Name it."}]}
    with stand_in() as url:
        request = urllib.request.Request(
            f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as reply:
            found = json.load(reply)
    content = found["choices"][0]["message"]["content"]
    assert content == answer("On which continent is France?")
    assert "not a model" in content
    assert found["usage"]["completion_tokens"] > 0


def test_the_model_task_goes_to_the_model_that_is_given() -> None:
    tasks = evaluation(VARIANTS[1], "openai/x")["tasks"]
    (chat,) = [task for task in tasks if task["task_type"] == "chat_completion"]
    assert chat["configuration"]["model"] == "openai/x"
    assert {task["task_type"] for task in tasks} == {"metric", "custom_function", "chat_completion"}
