"""Version 4's official client against a real server: whole flows, from an application to what its evaluation says."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from scale_gp import SGPClient

import assay
from tests.fakes.application_endpoint import ApplicationProcess
from tests.fakes.model_endpoint import EndpointProcess
from tests.fakes.postgres import fresh_database
from tests.fakes.server_process import ASSAY, ServerProcess, clean_environment, fake_vendor

ACCOUNT = "default"
SOURCE = str(Path(assay.__file__).parents[1])
ALIASES = {"ASSAY_MODEL_ALIASES": '{"gpt-4o": "fake/judge"}', "PYTHONPATH": SOURCE}
BOTH: Any = [{"label": "Good", "value": 1}, {"label": "Bad", "value": 0}]


@pytest.fixture(scope="module")
def judge() -> Iterator[EndpointProcess]:
    """The endpoint that answers as a judge what stands in `[[...]]` in a test case."""
    with EndpointProcess() as process:
        yield process


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(
    judge: EndpointProcess, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ServerProcess]:
    """A running server, on each kind of database, whose default judge is the fake one."""
    shared = ("--database-url", fresh_database()) if request.param == "postgres" else ()
    settings = {**fake_vendor(judge.url), **ALIASES}
    process = ServerProcess(tmp_path_factory.mktemp("flows") / "data", settings, shared)
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.log, process.log[-6000:]


def client_of(server: ServerProcess, key: str | None = None, *, strict: bool = True) -> SGPClient:
    """The official client, with the server's own key or another."""
    return SGPClient(
        api_key=key or server.api_key,
        base_url=server.base_url,
        max_retries=0,
        _strict_response_validation=strict,
    )


@pytest.fixture
def v4(server: ServerProcess) -> Iterator[SGPClient]:
    """The official client, which raises for any answer that is not of its types."""
    with client_of(server) as client:
        yield client


def a_variant(server: ServerProcess, spec_id: str, version: str, configuration: dict[str, Any]) -> str:
    """A variant, made by the client as it comes: its strict mode has no type for the answer."""
    with client_of(server, strict=False) as lenient:
        made = lenient.application_variants.create(
            account_id=ACCOUNT,
            application_spec_id=spec_id,
            name="a variant",
            version=version,  # type: ignore[arg-type]
            configuration=configuration,  # type: ignore[arg-type]
        )
        return str(made.id)


def polled(v4: SGPClient, evaluation_id: str, *views: Any, seconds: float = 60) -> Any:
    """The evaluation once it is no longer pending."""
    until = time.monotonic() + seconds
    while True:
        found = v4.evaluations.retrieve(evaluation_id, view=list(views))
        if found.status != "PENDING":
            return found
        assert time.monotonic() < until, "the evaluation is still pending"
        time.sleep(0.1)


def a_dataset(v4: SGPClient, inputs: list[Any], schema_type: Any = "GENERATION") -> tuple[str, list[str]]:
    """A published dataset and its test cases' ids."""
    dataset = v4.evaluation_datasets.create(account_id=ACCOUNT, name="d", schema_type=schema_type, type="manual")
    cases = v4.evaluation_datasets.test_cases.batch(
        dataset.id, items=[{"test_case_data": {"input": each, "expected_output": "A"}} for each in inputs]
    )
    v4.evaluation_datasets.publish(dataset.id)
    return dataset.id, [case.id for case in cases]


def judged(answer: str) -> str:
    """A question that makes the fake judge answer so."""
    return f'[[{{"reasoning": "it is {answer}", "answer": "{answer}"}}]]'


def test_flow_2_an_application_is_run_and_judged_without_a_model_being_named(
    v4: SGPClient, server: ServerProcess
) -> None:
    with ApplicationProcess() as application:
        endpoint = {
            "url": f"{application.url}/answer",
            "request": {"inputs": {"question": "{{inputs.input}}"}},
            "response": {"output": "answer", "spans": "trace.spans", "extra_info": "sources"},
        }
        spec = v4.application_specs.create(account_id=ACCOUNT, name="app", description="d")
        nodes = [{"id": "n", "application_node_schema_id": "text_input_node_schema"}]
        variant = a_variant(server, spec.id, "V0", {"nodes": nodes, "edges": [], "endpoint": endpoint})
        dataset, _ = a_dataset(v4, [judged("fine"), "!html"])
        question = v4.questions.create(account_id=ACCOUNT, type="free_text", title="t", prompt="What of it?")
        asked = v4.question_sets.create(account_id=ACCOUNT, name="set", question_ids=[question.id])
        config = v4.evaluation_configs.create(account_id=ACCOUNT, question_set_id=asked.id, evaluation_type="llm_auto")
        assert config.auto_evaluation_model == "gpt-4o"
        evaluation = v4.evaluations.create(
            account_id=ACCOUNT,
            application_spec_id=spec.id,
            application_variant_id=variant,
            evaluation_dataset_id=dataset,
            evaluation_config_id=config.id,
            name="e",
            description="d",
        )
        assert (evaluation.status, evaluation.total_test_case_result_count) == ("PENDING", 0)
        with client_of(server, strict=False) as lenient:
            found = polled(lenient, evaluation.id, "TestCaseResults")
    assert found.status == "COMPLETED"
    assert [each["label_status"] for each in found.test_case_results] == ["COMPLETED", "FAILED"]
    assert found.test_case_results[0]["result"] == {question.id: "fine"}
    views: Any = ["AnnotationResults", "Trace", "TestCaseVersion"]
    first, failed = list(v4.evaluations.test_case_results.list(evaluation.id, view=views))
    assert first.test_case_evaluation_data.generation_output == judged("fine").upper()
    assert failed.test_case_evaluation_data.generation_output == ""
    traced: Any = first.application_test_case_output
    assert (traced.interaction.interaction_source, traced.id) == ("EVALUATION", first.application_test_case_output_id)
    assert {"retrieve", "generate"} <= {span.node_id for span in traced.interaction.trace_spans}
    [annotation] = first.annotation_results or []
    assert annotation.llm_auto_eval_metadata is not None
    assert annotation.llm_auto_eval_metadata.llm_reasoning == "it is fine"
    jobs: Any = v4.evaluations.retrieve(evaluation.id, view=["AsyncJobs"]).async_jobs
    assert {job.status for job in jobs} == {"Completed"}


def test_flow_3_outputs_with_metrics_and_spans_are_put_before_people(v4: SGPClient, server: ServerProcess) -> None:
    dataset, _ = a_dataset(v4, ["text", {"a": 1, "b": 2}, {"a": "x", "b": "y"}], "FLEXIBLE")
    questions = [
        v4.questions.create(account_id=ACCOUNT, type="categorical", title="ok", prompt="Ok?", choices=BOTH),
        v4.questions.create(account_id=ACCOUNT, type="free_text", title="why", prompt="Why?", choices=[]),
    ]
    asked = v4.question_sets.create(account_id=ACCOUNT, name="set", question_ids=[each.id for each in questions])
    config = v4.evaluation_configs.create(account_id=ACCOUNT, question_set_id=asked.id, evaluation_type="human")
    spec = v4.application_specs.create(account_id=ACCOUNT, name="app", description="d")
    variant = a_variant(server, spec.id, "OFFLINE", {})
    cases = v4.evaluation_datasets.test_cases.history.list("1", evaluation_dataset_id=dataset, limit=10000).items
    assert len(cases) == 3
    outputs = v4.application_test_case_outputs.batch(
        items=[
            {
                "account_id": ACCOUNT,
                "application_variant_id": variant,
                "evaluation_dataset_version_num": 1,
                "test_case_id": case.id,
                "output": {"generation_output": {"answer": f"output {number}"}},
                "metrics": {"grammar": 0.5 * number, "memory": 1},
                "trace_spans": [
                    {
                        "node_id": "formatter",
                        "start_timestamp": "2026-01-02T03:04:05.678",  # type: ignore[typeddict-item]
                        "operation_input": {"initial_prompt": "p"},
                        "operation_output": {"formatted_prompt": f"formatted {number}"},
                    },
                    {
                        "node_id": "completion",
                        "start_timestamp": "2026-01-02T03:04:06",  # type: ignore[typeddict-item]
                        "operation_input": {"prompt": "p"},
                        "operation_output": {"response": "r"},
                        "operation_metadata": {"model": "m"},
                    },
                ],
            }
            for number, case in enumerate(cases)
        ]
    )
    assert len({each.application_test_case_output_group_id for each in outputs}) == 1
    layout: Any = {
        "annotation_config_type": "flexible",
        "direction": "row",
        "components": [
            [{"data_loc": ["test_case_data", "input"]}, {"data_loc": ["test_case_output", "output", "answer"]}],
            [{"data_loc": ["trace", "formatter", "output", "formatted_prompt"], "label": "formatted"}],
        ],
    }
    override: Any = {"components": [[{"data_loc": ["trace", "completion", "output"]}]], "direction": "col"}
    evaluation = v4.evaluations.create(
        account_id=ACCOUNT,
        application_spec_id=spec.id,
        application_variant_id=variant,
        evaluation_dataset_id=dataset,
        evaluation_config_id=config.id,
        annotation_config=layout,
        question_id_to_annotation_config={questions[1].id: override},
        name="e",
        description="d",
    )
    until = time.monotonic() + 30
    while v4.evaluations.retrieve(evaluation.id).total_test_case_result_count < 3:
        assert time.monotonic() < until
        time.sleep(0.05)
    views: Any = ["Metrics", "Task", "AuditTasks", "Trace", "TestCaseVersion", "CustomMetrics", "AnnotationResults"]
    shown = list(v4.evaluations.test_case_results.list(evaluation.id, view=views))
    assert [each.metrics for each in shown] == [{"grammar": 0.5 * n, "memory": 1.0} for n in range(3)]
    assert [each.task.status for each in shown if each.task] == ["PENDING"] * 3
    first: Any = shown[0].application_test_case_output
    assert [span.node_id for span in first.interaction.trace_spans] == ["formatter", "completion"]
    task = v4.evaluations.claim_task(evaluation.id, task_type="EVALUATION_ANNOTATION")
    assert task is not None
    v4.evaluations.test_case_results.update(
        task.task_entity_id, evaluation_id=evaluation.id, result={questions[0].id: 1, questions[1].id: "so"}
    )
    with httpx.Client(base_url=server.base_url, headers={"x-api-key": server.api_key}) as raw:
        items = raw.get("/v5/evaluation-items", params={"evaluation_id": evaluation.id}).json()["items"]
    [answered] = [item for item in items if item["id"] == task.task_entity_id]
    assert answered["data"][f"q:{questions[0].id}"] == 1
    assert answered["data"]["trace"]["formatter"]["output"]["formatted_prompt"].startswith("formatted")


def test_flow_7_people_annotate_and_audit_until_nothing_is_left(
    v4: SGPClient, server: ServerProcess, tmp_path: Path
) -> None:
    dataset, cases = a_dataset(v4, ["q0", "q1", "q2"])
    question = v4.questions.create(
        account_id=ACCOUNT, type="categorical", title="ok", prompt="Ok?", choices=BOTH, required=True
    )
    asked = v4.question_sets.create(account_id=ACCOUNT, name="set", question_ids=[question.id])
    spec = v4.application_specs.create(account_id=ACCOUNT, name="app", description="d")
    variant = a_variant(server, spec.id, "OFFLINE", {})
    v4.application_test_case_outputs.batch(
        items=[
            {
                "account_id": ACCOUNT,
                "application_variant_id": variant,
                "evaluation_dataset_version_num": 1,
                "test_case_id": case,
                "output": {"generation_output": judged("Good" if case == cases[0] else "Bad")},
            }
            for case in cases
        ]
    )
    inline: Any = {"account_id": ACCOUNT, "question_set_id": asked.id, "evaluation_type": "llm_benchmark"}
    evaluation = v4.evaluations.create(
        account_id=ACCOUNT,
        application_spec_id=spec.id,
        application_variant_id=variant,
        evaluation_dataset_id=dataset,
        inline_evaluation_config=inline,
        name="e",
        description="d",
    )
    until = time.monotonic() + 30
    while (task := v4.evaluations.claim_task(evaluation.id, task_type="EVALUATION_ANNOTATION")) is None:
        assert time.monotonic() < until
        time.sleep(0.05)
    annotated = 0
    while task is not None:
        v4.evaluations.test_case_results.update(
            task.task_entity_id, evaluation_id=evaluation.id, result={question.id: 1}, time_spent_labeling_s=5
        )
        annotated += 1
        task = v4.evaluations.claim_task(evaluation.id, task_type="EVALUATION_ANNOTATION")
    assert annotated == 3
    made = subprocess.run(
        [str(ASSAY), "keys", "create", "auditor", "--data-dir", str(server.data_dir), *server.arguments],
        env=clean_environment(tmp_path, PYTHONPATH=SOURCE),
        capture_output=True,
        text=True,
        check=True,
    )
    with client_of(server, made.stdout.strip()) as auditor:
        audited = 0
        while (audit := auditor.evaluations.claim_task(evaluation.id, task_type="EVALUATION_AUDIT")) is not None:
            auditor.evaluations.test_case_results.update(
                audit.task_entity_id, evaluation_id=evaluation.id, audit_status="APPROVED"
            )
            audited += 1
        assert audited == 3
    found = polled(v4, evaluation.id)
    assert (found.status, found.completed_test_case_result_count) == ("COMPLETED", 3)
    metrics = v4.evaluations.evaluation_metrics.retrieve(evaluation.id)
    assert (metrics.num_test_cases_approved, metrics.avg_labeling_time_per_test_case) == (3, 5.0)
    [contributor] = list(v4.evaluations.contributor_metrics.list(evaluation.id))
    assert (contributor.total_num_test_cases_labeled, contributor.total_time_spent_labeling_sec) == (3, 15)
    info: Any = v4.evaluations.hybrid_eval_metrics.retrieve(evaluation.id).all_question_info
    assert (info[question.id].num_correct, info[question.id].num_wrong) == (1, 2)


def test_results_posted_one_by_one_are_judged_and_the_evaluation_opens_and_closes(v4: SGPClient) -> None:
    dataset, cases = a_dataset(v4, [f"{number} {judged('Good')}" for number in range(12)])
    assert dataset
    question = v4.questions.create(
        account_id=ACCOUNT, type="categorical", title="ok", prompt="Ok?", choices=BOTH, required=True
    )
    asked = v4.question_sets.create(account_id=ACCOUNT, name="set", question_ids=[question.id])
    config = v4.evaluation_configs.create(account_id=ACCOUNT, question_set_id=asked.id, evaluation_type="llm_auto")
    spec = v4.application_specs.create(account_id=ACCOUNT, name="app", description="d")
    evaluation = v4.evaluations.create(
        account_id=ACCOUNT,
        application_spec_id=spec.id,
        name="e",
        description="",
        evaluation_config_id=config.id,
        metric_config={"components": [{"type": "bleu", "name": "b"}]},
    )
    results = v4.evaluations.test_case_results
    for round_of in (cases[:8], cases[8:11], cases[11:]):
        for case in round_of:
            results.create(
                evaluation.id,
                application_spec_id=spec.id,
                evaluation_dataset_version_num="1",
                test_case_id=case,
                test_case_evaluation_data={"generation_output": "A"},
            )
        found = polled(v4, evaluation.id)
        assert found.status == "COMPLETED"
        assert found.completed_test_case_result_count == found.total_test_case_result_count
    views: Any = ["CustomMetrics", "AnnotationResults"]
    shown = list(results.list(evaluation.id, view=views, limit=5))
    assert [each.result for each in shown] == [{question.id: 1.0}] * 12
    assert {(len(each.custom_metrics or []), len(each.annotation_results or [])) for each in shown} == {(1, 1)}


def test_a_killed_server_goes_on_judging_and_asks_nothing_twice(tmp_path: Path) -> None:
    count = 120
    with EndpointProcess(latency=0.15) as endpoint:
        settings = {**fake_vendor(endpoint.url), **ALIASES, "ASSAY_VENDORS__FAKE__CONCURRENCY": "8"}
        server = ServerProcess(tmp_path / "data", settings)
        server.start()
        try:
            with client_of(server) as v4:
                dataset, cases = a_dataset(v4, [f"{number} {judged('Good')}" for number in range(count)])
                spec = v4.application_specs.create(account_id=ACCOUNT, name="app", description="d")
                variant = a_variant(server, spec.id, "OFFLINE", {})
                v4.application_test_case_outputs.batch(
                    items=[
                        {
                            "account_id": ACCOUNT,
                            "application_variant_id": variant,
                            "evaluation_dataset_version_num": 1,
                            "test_case_id": case,
                            "output": {"generation_output": "A"},
                        }
                        for case in cases
                    ]
                )
                question = v4.questions.create(
                    account_id=ACCOUNT, type="categorical", title="ok", prompt="Ok?", choices=BOTH, required=True
                )
                asked = v4.question_sets.create(account_id=ACCOUNT, name="set", question_ids=[question.id])
                inline: Any = {"account_id": ACCOUNT, "question_set_id": asked.id, "evaluation_type": "llm_auto"}
                evaluation = v4.evaluations.create(
                    account_id=ACCOUNT,
                    application_spec_id=spec.id,
                    application_variant_id=variant,
                    evaluation_dataset_id=dataset,
                    inline_evaluation_config=inline,
                    metric_config={"components": [{"type": "rouge", "name": "overlap"}]},
                    name="e",
                    description="d",
                )
            while len(endpoint.calls()) < count // 3:
                time.sleep(0.05)
            server.kill()
            server.start()
            with client_of(server) as v4:
                found = polled(v4, evaluation.id)
                views: Any = ["CustomMetrics"]
                results = list(v4.evaluations.test_case_results.list(evaluation.id, view=views, limit=10000))
            assert (found.status, found.completed_test_case_result_count) == ("COMPLETED", count)
            assert [each.result for each in results] == [{question.id: 1.0}] * count
            assert {len(each.custom_metrics or []) for each in results} == {3}
            assert count <= len(endpoint.calls()) <= count + 16
        finally:
            server.stop()
    assert "Traceback" not in server.log, server.log[-6000:]
