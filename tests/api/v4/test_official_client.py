"""Version 4's official client in its strict mode against a real server on either database: from an application to a
labelled result."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from scale_gp import NotFoundError, SGPClient, UnprocessableEntityError
from scale_gp.lib.dataset_builder import DatasetBuilder
from scale_gp.lib.types.multiturn import MultiturnTestCaseSchema
from scale_gp.lib.types.summarization import SummarizationTestCaseSchema
from scale_gp.lib.types.translation import TranslationTestCaseSchema
from scale_gp.types.evaluation_datasets import FlexibleTestCaseSchema, GenerationTestCaseSchema

import assay
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import ServerProcess, running_server

ACCOUNT = "default"
FOUR_VIEWS: Any = ["ApplicationSpec", "AsyncJobs", "EvaluationConfig", "EvaluationDatasets"]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A running server of the source under test."""
    environment = {"PYTHONPATH": str(Path(assay.__file__).parents[1])}
    if request.param == "postgres":
        environment["ASSAY_DATABASE_URL"] = fresh_database()
    with running_server(tmp_path_factory.mktemp("v4") / "data", **environment) as process:
        yield process
    assert "Traceback" not in process.log, process.log[-6000:]


@pytest.fixture(scope="module")
def raw(server: ServerProcess) -> Iterator[httpx.Client]:
    """Plain HTTP with the server's key."""
    with httpx.Client(base_url=server.base_url, headers={"x-api-key": server.api_key}) as opened:
        yield opened


@pytest.fixture(scope="module", params=["", "/public"])
def v4(server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[SGPClient]:
    """The official client, which raises for any answer that is not of its types."""
    with SGPClient(
        api_key=server.api_key,
        base_url=server.base_url + request.param,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


def a_config(v4: SGPClient) -> tuple[str, str]:
    """An evaluation config for people with one categorical question; both ids."""
    question = v4.questions.create(
        account_id=ACCOUNT,
        type="categorical",
        title="ok",
        prompt="Is it good?",
        choices=[{"label": "yes", "value": 1}, {"label": "no", "value": 0}],  # type: ignore[list-item]
        required=True,
    )
    question_set = v4.question_sets.create(account_id=ACCOUNT, name="set", question_ids=[question.id])
    config = v4.evaluation_configs.create(account_id=ACCOUNT, question_set_id=question_set.id, evaluation_type="human")
    return config.id, question.id


def a_dataset(v4: SGPClient, count: int) -> tuple[str, list[str]]:
    """A published dataset, in the calls of the vendor's own example, and its test cases' ids."""
    dataset = v4.evaluation_datasets.create(account_id=ACCOUNT, name="d", schema_type="GENERATION", type="manual")
    cases = v4.evaluation_datasets.test_cases
    first = cases.create(dataset.id, test_case_data={"input": "q0", "expected_output": "a0"})
    rest = cases.batch(dataset.id, items=[{"test_case_data": {"input": f"q{n}"}} for n in range(1, count)])
    assert v4.evaluation_datasets.evaluation_dataset_versions.create(dataset.id).num == 1
    assert v4.evaluation_datasets.publish(dataset.id).success
    assert [case.id for case in cases.list(dataset.id, limit=2)] == [first.id, *(case.id for case in rest)]
    return dataset.id, [first.id, *(case.id for case in rest)]


def test_an_evaluation_is_labelled_from_its_first_result_to_its_last(v4: SGPClient) -> None:
    spec = v4.application_specs.create(account_id=ACCOUNT, name="app", description="d")
    config, question = a_config(v4)
    dataset, cases = a_dataset(v4, 3)
    evaluation = v4.evaluations.create(
        account_id=ACCOUNT,
        application_spec_id=spec.id,
        name="by hand",
        description="",
        evaluation_config_id=config,
        tags={"model": "m", "nested": {"n": 1}},
    )
    results = v4.evaluations.test_case_results
    made = results.batch(
        evaluation.id,
        items=[
            {
                "application_spec_id": spec.id,
                "evaluation_dataset_version_num": "1",
                "test_case_id": case,
                "test_case_evaluation_data": {"generation_output": f"output {number}"},
            }
            for number, case in enumerate(cases)
        ],
    )
    for number, result in enumerate(made):
        found = v4.evaluations.retrieve(evaluation.id, view=FOUR_VIEWS)
        assert (found.status, found.completed_test_case_result_count) == ("PENDING", number)
        results.update(result.id, evaluation_id=evaluation.id, result={question: number % 2}, time_spent_labeling_s=3)
    found = v4.evaluations.retrieve(evaluation.id, view=FOUR_VIEWS)
    assert (found.status, found.total_test_case_result_count, found.completed_test_case_result_count) == (
        "COMPLETED",
        3,
        3,
    )
    assert (found.application_spec.id, [each.id for each in found.evaluation_datasets or []]) == (spec.id, [dataset])  # type: ignore[union-attr]
    assert [each.result for each in results.list(evaluation.id, limit=1, view=["TestCaseVersion"])] == [
        {question: 0.0},
        {question: 1.0},
        {question: 0.0},
    ]
    assert v4.evaluations.delete(evaluation.id).count == 1
    assert evaluation.id not in [each.id for each in v4.evaluations.list(application_spec_id=spec.id)]
    assert v4.evaluations.update(evaluation.id, restore=True).archived_at is None


SUMMARY = {"expected_summary": None, "other_inputs": None, "other_expected": None}


@pytest.mark.parametrize(
    ("cases", "kept"),
    [
        ([GenerationTestCaseSchema(input="i", expected_output="o")], {"input": "i", "expected_output": "o"}),
        (
            [FlexibleTestCaseSchema(input={"n": 1, "s": "t"}, expected_output={"l": [1]})],
            {"input": {"n": 1, "s": "t"}, "expected_output": {"l": [1]}},
        ),
        (
            [SummarizationTestCaseSchema(document="d", **SUMMARY)],
            {"input": {"document": "d"}, "expected_output": {}},
        ),
        (
            [MultiturnTestCaseSchema(messages=[{"role": "user", "content": "hi"}], turns=[1])],
            {"input": {"messages": [{"role": "user", "content": "hi"}], "turns": [1]}, "expected_output": {}},
        ),
        (
            [TranslationTestCaseSchema(original_text="o", language="de", expected_translation="t")],
            {"input": {"original_text": "o", "language": "de"}, "expected_output": {"expected_translation": "t"}},
        ),
    ],
    ids=["generation", "flexible", "summarization", "multiturn", "translation"],
)
def test_the_clients_own_builder_of_datasets_publishes_version_1(
    v4: SGPClient, raw: httpx.Client, cases: Any, kept: dict[str, Any]
) -> None:
    builder = DatasetBuilder(v4)
    dataset = builder.initialize(account_id=ACCOUNT, name="built", test_cases=cases)
    versions = v4.evaluation_datasets.evaluation_dataset_versions.list(dataset.id)
    assert [(version.num, version.draft) for version in versions] == [(1, False)]
    stored = raw.get(f"/v4/evaluation-datasets/{dataset.id}/test-cases/history/1", params={"limit": 10_000}).json()
    assert [case["test_case_data"] for case in stored["items"]] == [kept]
    rows = raw.get("/v5/dataset-items", params={"dataset_id": dataset.id}).json()["items"]
    assert [row["data"] for row in rows] == [kept]


def test_every_page_of_a_sorted_list_is_reached_once(v4: SGPClient) -> None:
    spec = v4.application_specs.create(account_id=ACCOUNT, name="many", description="")
    made = [
        v4.evaluations.create(account_id=ACCOUNT, application_spec_id=spec.id, name=f"n{number % 3}", description="").id
        for number in range(7)
    ]
    listed = list(v4.evaluations.list(application_spec_id=spec.id, limit=2, sort_by=["name:desc", "created_at:asc"]))
    assert [each.name for each in listed] == ["n2", "n2", "n1", "n1", "n0", "n0", "n0"]
    assert sorted(each.id for each in listed) == sorted(made)
    assert [each.id for each in v4.evaluations.list(application_spec_id=spec.id, limit=3)] == made[::-1]


def test_updates_at_once_keep_every_field(v4: SGPClient, raw: httpx.Client) -> None:
    spec = v4.application_specs.create(account_id=ACCOUNT, name="s", description="")
    made = v4.evaluations.create(account_id=ACCOUNT, application_spec_id=spec.id, name="n", description="")
    changes: list[dict[str, Any]] = [{"description": "d"}, {"tags": {"k": 1}}, {"evaluation_config": {"x": 1}}]
    with ThreadPoolExecutor() as pool:
        by_v5 = pool.submit(raw.patch, f"/v5/evaluations/{made.id}", json={"tags": ["t"]})
        list(pool.map(lambda change: v4.evaluations.update(made.id, **change), changes))
        assert by_v5.result().status_code == 200
    found = v4.evaluations.retrieve(made.id)
    assert (found.description, found.tags, found.evaluation_config) == ("d", {"k": 1}, {"x": 1})
    assert raw.get(f"/v5/evaluations/{made.id}").json()["tags"] == ["t"]


def test_bad_questions_are_refused_by_name(v4: SGPClient) -> None:
    for wrong, parameter in (
        ({"view": ["Nonsense"]}, "view"),
        ({"sort_by": ["x:asc"]}, "sort_by"),
        ({"page": 0}, "page"),
    ):
        with pytest.raises(UnprocessableEntityError, match=parameter):
            list(v4.evaluations.list(**wrong))  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        v4.evaluations.retrieve("'; DROP TABLE evaluations; --")
