"""One evaluation against a real, small language model on this machine: judged for wiring, never for wisdom."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scale_gp_beta import SGPClient

from tests.builders.judging import guided_task, question_task
from tests.builders.wire import chat, metric, run, standalone
from tests.fakes.real_model import real_model
from tests.fakes.server_process import ServerProcess, running_server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server whose vendor `local` is a small model served on this machine."""
    data_dir: Path = tmp_path_factory.mktemp("real") / "data"
    with real_model(data_dir.with_name("model.log")) as url:
        environment = {
            "ASSAY_VENDORS__LOCAL__BASE_URL": url,
            "ASSAY_VENDORS__LOCAL__API_KEY_REQUIRED": "false",
            "ASSAY_VENDORS__LOCAL__CONCURRENCY": "1",
        }
        with running_server(data_dir, **environment) as process:
            yield process


def test_a_real_model_answers_and_its_answers_are_scored(strict: SGPClient) -> None:
    rows = [
        {"question": "What is the capital of France?", "expected": "Paris"},
        {"question": "Say hello.", "expected": "Hello"},
    ]
    answer = chat("Answer in one short sentence. {{item.question}}", alias="answer", max_tokens=24, temperature=0)
    answer["configuration"]["model"] = "local/smollm2"

    done, items = run(strict, standalone(rows, answer, metric("rougeL", "answer", "expected")), timeout=120)

    assert done.status == "completed"
    assert done.error_count == 0, [item.task_errors for item in items]
    for item in items:
        text = item.data["answer"]
        assert isinstance(text, str)
        assert len(text.strip()) > 1
        score = item.data["rougeL"]
        assert isinstance(score, int | float)
        assert 0 <= score <= 1
    found: Any = strict.get(f"/v5/evaluations/{done.id}/aggregates", cast_to=object)
    tokens = found["tasks"][0]["tokens"]
    assert tokens["prompt"] > 10
    assert 0 < tokens["completion"] <= 48


def test_a_real_model_streams_and_is_left_in_the_middle(strict: SGPClient) -> None:
    ask: Any = {"model": "local/smollm2", "messages": [{"role": "user", "content": "Count to ten."}], "temperature": 0}
    options = {"include_usage": True}
    chunks = list(strict.chat.completions.create(**ask, max_tokens=12, stream=True, stream_options=options))
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert len([piece for piece in pieces if piece]) > 3
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] in ("stop", "length")
    assert chunks[-1].usage is not None
    assert 0 < chunks[-1].usage.completion_tokens <= 12

    whole = strict.chat.completions.create(**ask, max_tokens=12)
    assert whole.choices[0].message.content == "".join(pieces)
    with strict.chat.completions.create(**ask, max_tokens=900, stream=True) as stream:
        next(stream)
    begun = time.monotonic()
    completed = strict.completions.create(model="local/smollm2", prompt="One, two, three,", max_tokens=4)
    assert completed.choices[0].text.strip()
    assert time.monotonic() - begun < 20, "the model still worked for somebody who had left"


def test_a_real_model_judges_through_its_json_schema_mode(strict: SGPClient) -> None:
    """So small a model cannot judge; but held to a shape its every answer can be read."""
    question = strict.questions.create(
        question={
            "question_type": "rating",
            "name": "kind",
            "prompt": "How kind is the text?",
            "configuration": {"steps": 5, "min_label": "unkind", "max_label": "kind"},
        }
    )
    few = {"temperature": 0, "max_tokens": 120}
    rating = question_task(question.id, model="local/smollm2", inference_args=few, alias="rating")
    choice = guided_task(
        "Is this kind? {{item.text}}", model="local/smollm2", choices=["Yes", "No"], inference_args=few, alias="choice"
    )
    schema = {
        "type": "object",
        "properties": {"kind": {"type": "boolean"}, "score": {"type": "integer", "minimum": 0, "maximum": 3}},
        "required": ["kind", "score"],
        "additionalProperties": False,
    }
    scored = guided_task(model="local/smollm2", response_format=schema, inference_args=few, alias="scored")
    rows = [{"text": "What a lovely day, thank you!"}, {"text": "Go away."}]

    done, items = run(strict, standalone(rows, rating, choice, scored), timeout=240)

    assert done.status == "completed"
    for item in items:
        errors = item.task_errors or {}
        assert item.data.get("choice") in ("Yes", "No"), errors
        found: Any = item.data["scored"]
        assert type(found["kind"]) is bool
        assert found["score"] in range(4)
        if "rating" in errors:  # its reasons may run into max_tokens, and then it must say so
            assert errors["rating"].type == "invalid_output"
            assert "cut off" in errors["rating"].message
        else:
            assert item.data["rating"] in range(1, 6)
