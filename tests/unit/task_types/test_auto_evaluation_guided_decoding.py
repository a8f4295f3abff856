"""`auto_evaluation.guided_decoding`: choices, schemas and criteria, with and without a run condition."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from assay.registry.discovery import load_task_types
from assay.registry.task_types import ConfigurationProblem
from tests.builders.judging import Judges, agent_task, guided_task, judges, unreadable

TASK = load_task_types()["auto_evaluation.guided_decoding"]
SCHEMA = {
    "type": "object",
    "properties": {"score": {"$ref": "#/$defs/score"}, "why": {"type": "string", "pattern": "^(a+)+$"}},
    "required": ["score"],
    "additionalProperties": False,
    "$defs": {"score": {"type": "integer", "minimum": 0, "maximum": 3}},
}


@pytest.fixture
async def fake() -> AsyncIterator[Judges]:
    async with judges() as running:
        yield running


def checked(fake: Judges, **configuration: Any) -> Sequence[ConfigurationProblem]:
    model = TASK.Configuration.model_validate(guided_task(**configuration)["configuration"])
    return TASK.check(model.model_dump(exclude_unset=True), fake.services)


class TestChoices:
    @pytest.mark.parametrize("said", ['{"answer": "Yes"}', "Yes", " Yes\n", '"Yes"', '```json\n{"answer": "Yes"}\n```'])
    async def test_the_result_is_the_choice(self, fake: Judges, said: str) -> None:
        outcome = await fake.run(guided_task(choices=["Yes", "No"]), {"text": f"[[{said}]]"})
        assert (outcome.value, outcome.detail) == ("Yes", None)

    @pytest.mark.parametrize(
        "said", ["yes", "Yes!", '{"answer": "Maybe"}', '{"answer": true}', '{"answer": ["Yes"]}', "{"]
    )
    async def test_anything_else_is_unreadable(self, fake: Judges, said: str) -> None:
        outcome = await fake.run(guided_task(choices=["Yes", "No"]), {"text": f"[[{said}]]"})
        unreadable(outcome)
        assert outcome.detail == {"first": said, "raw": said}

    async def test_a_choice_that_looks_like_json_is_still_a_text(self, fake: Judges) -> None:
        outcome = await fake.run(guided_task(choices=["1", "true", '{"a": 1}']), {"text": "[[1]]"})
        assert outcome.value == "1"

    async def test_an_unreadable_answer_is_repaired_once(self, fake: Judges) -> None:
        outcome = await fake.run(guided_task(choices=["Yes", "No"]), {"text": "[[perhaps]] [[No]]"})
        assert outcome.value == "No"
        assert outcome.detail == {"first": "perhaps", "repaired": True}

    async def test_the_prompt_is_the_user_message_and_the_system_prompt_comes_first(self, fake: Judges) -> None:
        task = guided_task(
            "Q {{item.text}} ok?", choices=["Yes"], system_prompt="Judge {{item.n}}.", inference_args={"temperature": 0}
        )
        await fake.run(task, {"text": "[[Yes]]", "n": 1})
        request = orjson.loads(fake.endpoint.last_body)
        system, user = request["messages"]
        assert user == {"role": "user", "content": "Q [[Yes]] ok?"}
        assert system["content"].startswith("Judge 1.\n\n")
        assert '"Yes"' in system["content"]
        assert request["temperature"] == 0
        assert request["response_format"]["json_schema"]["schema"]["properties"]["answer"]["enum"] == ["Yes"]

    async def test_a_located_prompt_that_is_no_text_is_rendered(self, fake: Judges) -> None:
        outcome = await fake.run(guided_task("item.text", choices=["Yes"]), {"text": ["[[Yes]]"]})
        assert outcome.value == "Yes"


class TestStructured:
    @pytest.mark.parametrize(
        "given", [SCHEMA, {"type": "json_schema", "json_schema": {"name": "verdict", "strict": True, "schema": SCHEMA}}]
    )
    async def test_the_result_is_the_object(self, fake: Judges, given: dict[str, Any]) -> None:
        outcome = await fake.run(guided_task(response_format=given), {"text": '[[{"score": 3, "why": "aaa"}]]'})
        assert outcome.value == {"score": 3, "why": "aaa"}
        sent = orjson.loads(fake.endpoint.last_body)["response_format"]["json_schema"]
        assert sent["schema"] == SCHEMA
        assert (sent["name"], sent.get("strict")) == (("verdict", True) if given is not SCHEMA else ("answer", None))

    @pytest.mark.parametrize(
        ("said", "words"),
        [
            ('{"score": 4}', "score: 4"),
            ('{"score": true}', "score"),
            ('{"score": 1.5}', "score"),
            ("{}", "required"),
            ('{"score": 1, "more": 1}', "more"),
            ('[{"score": 1}]', "must be an object"),
            ("3", "must be an object"),
            ('{"score": 1, "why": "' + "a" * 5000 + 'b"}', "why"),
            ("score: 3", "not JSON"),
        ],
    )
    async def test_an_object_that_does_not_match_is_unreadable_and_says_why(
        self, fake: Judges, said: str, words: str
    ) -> None:
        outcome = await fake.run(guided_task(response_format=SCHEMA), {"text": f"[[{said}]]"})
        assert words in unreadable(outcome)
        assert outcome.detail == {"first": said, "raw": said}

    @pytest.mark.parametrize(
        "schema",
        [
            {"$ref": "http://127.0.0.1:1/schema.json"},
            {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
            {"properties": {"a": {"$ref": "other.json"}}},
            {"properties": {"enum": {"$ref": "http://127.0.0.1:1/x"}}},
            {"$schema": "http://127.0.0.1:1/meta"},
            {"$id": "http://127.0.0.1:1/x", "properties": {"a": {"$ref": "#/x"}}},
            {"$dynamicRef": "#x"},
            {"$ref": "#"},
            {"$ref": "#/$defs/none"},
            {"properties": {"a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}}},
            {"type": "array"},
            {"type": "nonsense"},
            {"required": "a"},
            {"properties": {"a": {"pattern": "("}}},
            {"properties": {"a": {"pattern": "(a{1,1000}){1,1000}"}}},
            {"properties": {"a": {"pattern": "(?=a)(?!b)"}}},
            {"type": "json_schema"},
            {"type": "json_schema", "json_schema": {"name": "x"}},
            {
                "$ref": "#/$defs/d0",
                "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}},
            },
            {"properties": {f"p{n}": {"enum": ["x" * 1000]} for n in range(300)}},
            {"properties": {f"p{n}": {"pattern": "a"} for n in range(21)}},
            {"patternProperties": {f"p{n}": True for n in range(21)}},
        ],
    )
    def test_a_schema_that_answers_cannot_be_held_to_is_refused(self, fake: Judges, schema: dict[str, Any]) -> None:
        (problem,) = checked(fake, response_format=schema)
        assert problem.loc == ("response_format",)

    async def test_the_more_patterns_the_shorter_an_answer_must_be(self, fake: Judges) -> None:
        said = '[[{"a": "' + "a" * 100_000 + '"}]]'
        plain = await fake.run(guided_task(response_format={"type": "object"}), {"text": said})
        assert plain.error is None
        patterned = {"type": "object", "properties": {"a": {"pattern": "a"}, "b": {"pattern": "b"}}}
        outcome = await fake.run(guided_task(response_format=patterned), {"text": said})
        assert "longer than 90909 characters" in unreadable(outcome)


class TestCondition:
    IS_LONG: dict[str, Any] = {  # noqa: RUF012
        "op": "gt",
        "left": {"op": "var", "path": "item.length"},
        "right": {"op": "const", "value": 3},
    }

    @pytest.mark.parametrize(
        ("values", "runs"),
        [({"length": 4}, True), ({"length": 3}, False), ({"length": None}, False), ({"length": "4"}, False)],
    )
    async def test_an_item_for_which_it_is_not_true_is_skipped(
        self, fake: Judges, values: dict[str, Any], runs: bool
    ) -> None:
        task = guided_task(choices=["Yes"], run_condition=self.IS_LONG)
        outcome = await fake.run(task, {"text": "[[Yes]]", **values})
        assert outcome.skipped is not runs
        assert len(fake.endpoint.calls) == runs
        assert outcome.error is None

    async def test_what_an_item_does_not_have_is_null(self, fake: Judges) -> None:
        gone = {"op": "is_null", "operands": [{"op": "var", "path": "item.length"}]}
        task = guided_task(choices=["Yes"], run_condition=gone)
        assert (await fake.run(task, {"text": "[[Yes]]"}, columns=["text", "length"])).value == "Yes"
        assert (await fake.run(task, {"text": "[[Yes]]", "length": 0})).skipped

    async def test_a_literal_in_a_condition_is_never_a_locator(self, fake: Judges) -> None:
        same = {"op": "eq", "left": {"op": "var", "path": "text"}, "right": "item.n"}
        outcome = await fake.run(guided_task(choices=["Yes"], run_condition=same), {"text": "item.n", "n": "item.n"})
        assert not outcome.skipped

    def test_a_bad_condition_is_refused_at_its_place(self, fake: Judges) -> None:
        bad = {"op": "and", "operands": [True, {"op": "eq", "left": 1}]}
        (problem,) = checked(fake, choices=["a"], run_condition=bad)
        assert problem.loc == ("run_condition", "operands", 1, "right")


class TestAgent:
    async def test_a_definition_makes_it_an_agents_task(self, fake: Judges) -> None:
        configuration = agent_task(output_type="integer")["configuration"]
        task = {"task_type": "auto_evaluation.guided_decoding", "configuration": configuration}
        outcome = await fake.run(task, {"text": '[[{"answer": 3}]]'})
        assert outcome.value == 3


class TestConfiguration:
    @pytest.mark.parametrize(
        ("more", "place"),
        [
            ({}, ()),
            ({"choices": ["a"], "response_format": {}}, ()),
            ({"choices": None}, ()),
            ({"choices": []}, ("choices",)),
            ({"choices": [""]}, ("choices", 0)),
            ({"choices": ["a", "b", "a"]}, ("choices",)),
            ({"choices": ["a", 1]}, ("choices", 1)),
            ({"choices": "a"}, ("choices",)),
            ({"choices": ["a"], "prompt": ""}, ("prompt",)),
            ({"choices": ["a"], "model": 1}, ("model",)),
            ({"response_format": []}, ("response_format",)),
            ({"definition": "d"}, ("name",)),
        ],
    )
    def test_what_fits_none_of_the_three_is_refused_at_its_place(self, more: dict[str, Any], place: Any) -> None:
        with pytest.raises(ValidationError) as refused:
            TASK.Configuration.model_validate({"model": "fake/m", "prompt": "p", **more}, strict=False)
        assert place in [fault["loc"] for fault in refused.value.errors()]

    def test_what_is_given_is_what_is_kept(self) -> None:
        given = {"model": "fake/m", "prompt": "p", "choices": ["a"], "run_condition": None, "inference_args": {"x": 1}}
        assert TASK.Configuration.model_validate(given).model_dump(exclude_unset=True) == given

    def test_a_judge_that_is_not_configured_is_refused_at_model(self, fake: Judges) -> None:
        (problem,) = checked(fake, choices=["a"], model="nobody/m")
        assert problem.loc == ("model",)
        assert "ASSAY_VENDORS__NOBODY__BASE_URL" in problem.message

    def test_arguments_of_the_task_itself_are_refused(self, fake: Judges) -> None:
        problems = checked(fake, choices=["a"], inference_args={"messages": [], "stream": True, "seed": 1})
        assert {problem.loc for problem in problems} == {("inference_args", "messages"), ("inference_args", "stream")}
