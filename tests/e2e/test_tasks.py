"""Every task type, with locators, templates and dependencies, through the official client and a real server."""

from typing import Any

import pytest
from scale_gp_beta import SGPClient, UnprocessableEntityError
from scale_gp_beta.lib.custom_function import CustomFunction

from tests.builders.wire import chat, function, metric, run, standalone
from tests.fakes.model_endpoint import EndpointProcess

METRICS = ["bleu", "meteor", "rouge1", "rouge2", "rougeL", "f1", "cosine_similarity", "exact_match"]


@pytest.fixture(scope="module")
def server_environment() -> dict[str, str]:
    return {"ASSAY_VENDORS__FAKE__MAX_ATTEMPTS": "2", "ASSAY_VENDORS__FAKE__TIMEOUT": "3"}


def columns(client: SGPClient, rows: list[dict[str, Any]], *tasks: dict[str, Any]) -> list[dict[str, Any]]:
    """The items' data once all tasks have run without an error."""
    done, items = run(client, standalone(rows, *tasks))
    assert done.error_count == 0, [item.task_errors for item in items]
    return [dict(item.data) for item in items]


def errors(client: SGPClient, rows: list[dict[str, Any]], *tasks: dict[str, Any]) -> list[dict[str, tuple[str, str]]]:
    """For each item the errors by alias, as (type, message)."""
    done, items = run(client, standalone(rows, *tasks))
    found = [
        {alias: (error.type, error.message) for alias, error in (item.task_errors or {}).items()} for item in items
    ]
    assert done.error_count == sum(len(one) for one in found)
    return found


def test_all_eight_metrics_score_the_same_and_the_different(strict: SGPClient) -> None:
    same = "the quick brown fox jumps over the lazy dog"
    rows = [{"a": same, "b": same}, {"a": same, "b": "hello unrelated world"}]

    equal, unequal = columns(strict, rows, *(metric(kind, "a", "b") for kind in METRICS))

    for kind in METRICS:
        assert equal[kind] == pytest.approx(1.0, abs=1e-3), kind
        assert 0 <= unequal[kind] < (0.5 if kind == "cosine_similarity" else 0.05), kind


def test_a_metric_has_its_textbook_value(strict: SGPClient) -> None:
    rows = [{"a": "the cat sat", "b": "the cat ran"}]

    (row,) = columns(strict, rows, *(metric(kind, "a", "b") for kind in ("rouge1", "rouge2", "rougeL", "f1")))

    assert row["rouge1"] == pytest.approx(2 / 3)
    assert row["rouge2"] == pytest.approx(1 / 2)
    assert row["rougeL"] == pytest.approx(2 / 3)
    assert row["f1"] == pytest.approx(1 / 2)  # articles are dropped: one of two words


def test_messages_are_filled_by_locators_and_templates(strict: SGPClient) -> None:
    rows = [{"q": "why?", "n": 3, "deep": {"a.b": [{"x": "é"}]}, "none": None}]

    (row,) = columns(
        strict,
        rows,
        chat("item.q", alias="whole"),
        chat("{{item.q}} {{ item.n }} {{item.deep.a.b.0.x}} [{{item.none}}] {{item.deep}}", alias="filled"),
        chat("item.unknown is no column", alias="literal"),
    )

    assert row["whole"] == "why?"
    assert row["filled"] == 'why? 3 é [] {"a.b":[{"x":"é"}]}'
    assert row["literal"] == "item.unknown is no column"


def test_all_messages_can_come_from_the_row(strict: SGPClient) -> None:
    history = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "x"}]
    task = {
        "task_type": "chat_completion",
        "alias": "reply",
        "configuration": {"model": "fake/echo", "messages": "item.history", "temperature": "item.heat"},
    }

    rows = columns(strict, [{"history": history, "heat": 0.5}, {"history": history[:1], "heat": 1}], task)

    assert [row["reply"] for row in rows] == ["first", "first"]


def test_several_choices_are_a_list(strict: SGPClient) -> None:
    (row,) = columns(strict, [{"question": "hi"}], chat(alias="many", n=3))

    assert row["many"] == ["hi", "hi", "hi"]


def test_a_reply_of_tool_calls_is_kept_as_the_message(strict: SGPClient) -> None:
    tool = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}

    (row,) = columns(strict, [{"question": "!tool_calls"}], chat(alias="reply", tools=[tool]))

    assert row["reply"]["tool_calls"][0]["function"]["name"] == "lookup"


def test_inference_stores_what_the_endpoint_answered(strict: SGPClient) -> None:
    task = {
        "task_type": "inference",
        "configuration": {
            "model": "fake/raw",
            "args": {"question": "item.q", "nested": {"list": ["{{item.q}}!", 1, None]}},
            "inference_configuration": {"num_retries": 0, "timeout_seconds": 5},
        },
    }

    (row,) = columns(strict, [{"q": "hello"}], task)

    assert row["inference"]["received"]["question"] == "hello"
    assert row["inference"]["received"]["nested"] == {"list": ["hello!", 1, None]}


def test_tasks_run_after_those_they_read_whatever_their_order(strict: SGPClient) -> None:
    length = "def length(text):\n    return len(text)\n"

    (row,) = columns(
        strict,
        [{"question": "abc"}],
        metric("exact_match", "second", "question"),
        function(length, arg_mapping={"text": "item.second"}),
        chat("{{item.first}}", alias="second"),
        chat("item.question", alias="first"),
        chat("{{item.length}} {{item.exact_match}}", alias="last"),
    )

    assert row["first"] == row["second"] == "abc"
    assert row["length"] == 3
    assert row["exact_match"] == 1
    assert row["last"] in {"3 1", "3 1.0", "3.0 1.0"}


def test_a_result_lies_over_the_column_of_its_name(strict: SGPClient) -> None:
    rows = [{"question": "new", "answer": "old"}]

    (row,) = columns(strict, rows, chat(alias="answer"), metric("exact_match", "answer", "question"))

    assert (row["answer"], row["exact_match"]) == ("new", 1)


def test_a_task_on_a_failed_task_is_an_upstream_error(strict: SGPClient) -> None:
    good, bad = errors(
        strict,
        [{"question": "fine"}, {"question": "!status 400"}],
        chat(alias="answer"),
        metric("f1", "answer", "question"),
        metric("exact_match", "question", "question"),
    )

    assert good == {}
    assert {alias: kind for alias, (kind, _) in bad.items()} == {"answer": "inference_error", "f1": "upstream_error"}
    assert "400" in bad["answer"][1]
    assert "answer" in bad["f1"][1]


def test_a_row_without_the_column_is_a_missing_field(strict: SGPClient) -> None:
    good, bad = errors(strict, [{"a": "x", "b": "x"}, {"a": "x"}], metric("exact_match", "a", "b"))

    assert good == {}
    assert bad["exact_match"][0] == "missing_field"
    assert "b" in bad["exact_match"][1]


@pytest.mark.parametrize("failure", ["!status 401", "!html", "!malformed", "!empty_choices", "!reset", "!status 500"])
def test_an_endpoint_that_misbehaves_fails_that_item_only(strict: SGPClient, failure: str) -> None:
    first, second, third = errors(
        strict, [{"question": "a"}, {"question": failure}, {"question": "b"}], chat(alias="answer")
    )

    assert first == third == {}
    assert second["answer"][0] in {"inference_error", "invalid_output"}
    assert "Traceback" not in second["answer"][1]


def test_an_endpoint_that_hangs_is_a_timeout(strict: SGPClient) -> None:
    (item,) = errors(strict, [{"question": "!hang"}], chat(alias="answer"))

    assert item["answer"][0] == "timeout"


def test_a_failed_call_is_tried_again_and_the_attempts_are_bounded(
    strict: SGPClient, model_endpoint: EndpointProcess
) -> None:
    model_endpoint.reset()

    (item,) = errors(strict, [{"question": "!status 503"}], chat(alias="answer"))

    assert item["answer"][0] == "inference_error"
    assert len([call for call in model_endpoint.calls() if call.message == "!status 503"]) == 2


def test_a_function_takes_its_arguments_from_columns_of_their_names(strict: SGPClient) -> None:
    def total(first: float, second: float, third: float = 100) -> float:
        return first + second + third

    task: Any = CustomFunction(total).serialize()

    rows = columns(strict, [{"first": 1, "second": 2}, {"first": 1, "second": 2, "third": 3}], task)

    assert rows[0]["total"] in (103, 6)
    assert rows[1]["total"] in (103, 6)


def test_a_function_takes_its_arguments_from_where_it_is_told(strict: SGPClient) -> None:
    def overlap(left: str, right: str, scale: float) -> float:
        import re

        words = [set(re.findall(r"\w+", text.lower())) for text in (left, right)]
        return scale * len(words[0] & words[1]) / max(1, len(words[0] | words[1]))

    task: Any = CustomFunction(
        overlap, alias="jaccard", arg_mapping={"left": "deep.text", "right": "item.answer"}
    ).serialize()
    task["configuration"]["config_args"] = {"scale": 10}

    (row,) = columns(
        strict, [{"deep": {"text": "a b c"}, "question": "B c d"}], chat("item.question", alias="answer"), task
    )

    assert row["jaccard"] == 5


def test_a_functions_outputs_are_columns(strict: SGPClient) -> None:
    source = "def parse(text):\n    import json\n    return json.loads(text)\n"
    task = function(source, outputs=[{"path": "score"}, {"path": "deep.word"}, {"path": "deep.word", "alias": "said"}])

    (row,) = columns(
        strict,
        [{"text": '{"score": 2, "deep": {"word": "w", "list": [1]}}'}],
        task,
        chat("{{item.said}} {{item.score}}", alias="reply"),
    )

    assert row["score"] == 2
    assert row["deep_word"] == row["said"] == "w"
    assert row["parse"] == {"score": 2, "deep": {"word": "w", "list": [1]}}
    assert row["reply"] == "w 2"


@pytest.mark.parametrize(
    "body",
    [
        "return True",
        "return 'text'",
        "return None",
        "return float('nan')",
        "return float('inf')",
        "return [1]",
        "return 1 // 0",
        "raise SystemExit(0)",
        "import os; return 1",
        "return open('/etc/hostname').read()",
    ],
)
def test_a_function_that_gives_no_number_fails_its_item(strict: SGPClient, body: str) -> None:
    source = f"def score(n):\n    if n == 1:\n        return 1\n    {body}\n"

    try:
        good, bad = errors(strict, [{"n": 1}, {"n": 2}], function(source))
    except UnprocessableEntityError:
        assert "import" in body
        return

    assert good == {}
    assert bad["score"][0] in {"function_error", "invalid_output"}


@pytest.mark.slow
def test_a_function_that_never_returns_fails_its_item_and_no_other(strict: SGPClient) -> None:
    source = "def score(n):\n    while n == 1:\n        pass\n    return n\n"

    first, second, third = errors(strict, [{"n": 0}, {"n": 1}, {"n": 2}], function(source))

    assert first == third == {}
    assert second["score"][0] == "timeout"


def test_a_dry_run_tries_a_function_on_sample_rows(strict: SGPClient) -> None:
    def ratio(a: float, b: float) -> float:
        return a / b

    wrapped = CustomFunction(ratio, arg_mapping={"a": "x", "b": "item.deep.y"})

    reply = wrapped.dry_run(strict, [{"x": 1, "deep": {"y": 4}}, {"x": 1, "deep": {"y": 0}}, {"x": 1}])

    assert reply["object"] == "evaluation.task.dry_run"
    assert (reply["total"], reply["succeeded"], reply["failed"]) == (3, 1, 2)
    assert [one["index"] for one in reply["results"]] == [0, 1, 2]
    assert (reply["results"][0]["result"], reply["results"][0]["error"]) == (0.25, None)
    assert reply["results"][1]["error"]["type"] == "function_error"
    assert reply["results"][1]["result"] is None
    assert reply["results"][2]["error"]["type"] == "missing_field"


@pytest.mark.parametrize(
    "source",
    [
        "def f(:",
        "",
        "x = 1",
        "f = lambda x: x",
        "async def f(x):\n    return 1",
        "def f(*x):\n    return 1",
        "def f(**x):\n    return 1",
        "class F:\n    pass",
        "def f(x):\n    return 1\ndef g(x):\n    return 1",
        "import os\ndef f(x):\n    return 1",
        "def f(x):\n    import socket\n    return 1",
        "def f(x):\n    return '\x00'",
    ],
)
def test_broken_source_is_refused_by_dry_runs_and_evaluations(strict: SGPClient, source: str) -> None:
    configuration = {"function_source": source}
    body = {"task_type": "custom_function", "configuration": configuration, "sample_data": [{"x": 1}]}

    with pytest.raises(UnprocessableEntityError) as refused:
        strict.post("/v5/evaluations/tasks/dry-run", body=body, cast_to=object)
    assert "function_source" in str(refused.value.body)
    with pytest.raises(UnprocessableEntityError) as refused:
        strict.evaluations.create(evaluation=standalone([{"x": 1}], function(source)))  # type: ignore[arg-type]
    assert "function_source" in str(refused.value.body)


def test_what_calls_cost_is_recorded_with_their_results(strict: SGPClient) -> None:
    rows = [{"question": "what does this cost?"}, {"question": "and this?"}, {"question": "!status 400"}]
    done, _ = run(strict, standalone(rows, chat(alias="answer"), metric("f1", "answer", "question")))

    found: Any = strict.get(f"/v5/evaluations/{done.id}/aggregates", cast_to=object)

    answer, score = found["tasks"]
    assert (answer["alias"], answer["task_type"]) == ("answer", "chat_completion")
    assert (answer["completed"], answer["errored"], answer["missing"]) == (2, 1, 1)
    assert answer["tokens"] == {"prompt": 9, "completion": 9}
    assert answer["latency"]["mean"] >= 0.005
    assert answer["attempts"] == 3
    assert answer["error_types"] == {"inference_error": 1}
    assert (score["n"], score["mean"], score["errored"], score["missing"]) == (2, 1.0, 1, 1)
    assert score["error_types"] == {"upstream_error": 1}
